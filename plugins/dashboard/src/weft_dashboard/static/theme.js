// Before the page is drawn: the theme that was chosen here; without one, that of the system.
"use strict";
(() => {
  let chosen = "";
  try {
    chosen = localStorage.getItem("weft-theme") || "";
  } catch {
    // no storage here: nothing was chosen
  }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
