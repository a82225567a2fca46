// The frame of all pages: which one is shown, where its data comes from, and the keys.
import { h, show } from "./dom.js";
import { Live } from "./live.js";
import { WORDS } from "./states.js";
import * as files from "./pages/files.js";
import * as graph from "./pages/graph.js";
import * as nodes from "./pages/nodes.js";
import * as overview from "./pages/overview.js";
import * as runs from "./pages/runs.js";
import * as task from "./pages/task.js";
import * as tasks from "./pages/tasks.js";

const PAGES = { overview, tasks, graph, nodes, files, task, runs };
const TABS = [["overview", "Overview"], ["tasks", "Tasks"], ["graph", "Graph"], ["nodes", "Nodes"], ["files", "Files"]];

const at = (id) => document.getElementById(id);
let live = null;
let shown = null;

/** The page that an address means: /, /runs/RUN, /runs/RUN/VIEW, /runs/RUN/tasks/TASK. */
function read() {
  const parts = location.pathname.split("/").filter(Boolean).map(decodeURIComponent);
  const asked = Object.fromEntries(new URLSearchParams(location.search));
  if (!parts.length) return { run: "", view: "runs", asked };
  const [, run, view = "overview", number] = parts;
  if (view === "tasks" && number) return { run, view: "task", asked: { task: number } };
  return { run, view: view in PAGES ? view : "overview", asked };
}

export const link = (run, view = "overview", asked = {}) => {
  const words = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== "" && value !== undefined));
  const path = `/runs/${encodeURIComponent(run)}${view === "overview" ? "" : `/${view}`}`;
  return words.size ? `${path}?${words}` : path;
};

/** Go to another address without loading the page anew. */
export function go(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  open({ focus: !replace });
}

function open({ focus = true } = {}) {
  live?.close();
  const where = read();
  const page = PAGES[where.view];
  const same = shown && shown.view === where.view && shown.run === where.run;
  shown = where;
  const main = at("main");
  if (!same) {
    show(main, h("p.quiet", null, "Loading…"));
    scrollTo(0, 0);
    if (focus) main.focus({ preventScroll: true });
  }
  frame(where, null);
  const context = { ...where, link: (view, asked) => link(where.run, view, asked), go };
  live = new Live({ ...where.asked, run: where.run, view: where.view }, {
    data: (data) => {
      frame(where, data);
      const run = data.run;
      show(main, [
        run && !run.whole && reading(run),
        run && run.state === "gone" && h("p.notice.bad", { role: "alert" }, "The folder of this run was removed, or its log replaced. This is what was known of it."),
        page.page(data, context),
      ]);
    },
    trouble: (text) => {
      status("", "");
      show(main, [h("h1", null, "Nothing to see here"), h("p", null, text), h("p", null, h("a", { href: "/" }, "All runs"))]);
    },
    state: (state) => {
      if (state === "lost") status("lost", "No connection: trying again");
      else status("live", "Live");
    },
  });
}

const reading = (run) => h("p.notice", { role: "status" }, `Reading the log: ${Math.round(run.share * 100)} % so far. Figures grow until that is done.`);

function status(state, text) {
  const box = at("live");
  box.dataset.state = state;
  if (box.textContent !== text) box.textContent = text;
}

function frame(where, data) {
  const title = { runs: "Runs", task: `Task ${where.asked.task}` }[where.view] || TABS.find(([view]) => view === where.view)[1];
  document.title = [where.run && `${title} · ${where.run}`, "weft"].filter(Boolean).join(" · ");
  show(at("crumbs"), [
    where.run ? h("a", { href: "/" }, "Runs") : "Runs",
    where.run && [h("span", null, "/"), h("a", { href: link(where.run) }, where.run)],
    where.view === "task" && [h("span", null, "/"), `task ${where.asked.task}`],
  ]);
  const current = where.view === "task" ? "tasks" : where.view;
  show(at("tabs"), where.run ? TABS.map(([view, name]) => h("a", { href: link(where.run, view), "aria-current": view === current && "page" }, name)) : []);
  if (data?.run) {
    const state = data.run.state;
    if (state === "running") status("live", "Live");
    else status("", state === "ended" ? "Ended" : WORDS[state] || state);
  }
}

/** Links within the dashboard are followed without loading it anew. */
document.addEventListener("click", (event) => {
  const anchor = event.target instanceof Element && event.target.closest("a[href]");
  if (!anchor || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const address = new URL(anchor.href);
  if (address.origin !== location.origin || anchor.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  go(address.pathname + address.search);
});
addEventListener("popstate", () => open());

function theme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("weft-theme", next);
  } catch {
    // no storage here: it lasts as long as the page
  }
  document.dispatchEvent(new Event("weft-theme"));
}

at("theme").addEventListener("click", theme);
at("help").addEventListener("click", () => at("keys").showModal());

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || at("keys").open) return;
  if (event.target instanceof Element && event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const tab = TABS[Number(event.key) - 1];
  if (tab && shown.run) go(link(shown.run, tab[0]));
  else if (event.key === "g") go("/");
  else if (event.key === "t") theme();
  else if (event.key === "?") at("keys").showModal();
  else if (event.key === "/") document.querySelector("input[type=search]")?.focus();
  else if (event.key === "[") document.querySelector("[rel=prev]")?.click();
  else if (event.key === "]") document.querySelector("[rel=next]")?.click();
  else return;
  event.preventDefault();
});

open({ focus: false });
