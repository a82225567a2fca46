// The tasks of a run: sought, sorted, a page at a time.
import { h } from "../dom.js";
import { clock, counted, span } from "../format.js";
import { head, table } from "../parts.js";
import { ORDER, WORDS, chip } from "../states.js";

const ORDERS = [["newest", "newest first"], ["oldest", "oldest first"], ["changed", "changed last first"], ["longest", "longest first"], ["tries", "most tries first"]];
let typed = 0;

export function page(data, { asked, link, go }) {
  const change = (what) => go(link("tasks", { ...asked, page: "", ...what }), { replace: true });
  const choice = (name, label, options) =>
    h("select", { "aria-label": label, onchange: (event) => change({ [name]: event.target.value }) },
      options.map(([value, text]) => h("option", { value, selected: (asked[name] || "") === value }, text)));
  return [
    head(data.run, "Tasks"),
    h("section.card", null,
      h("div.tools", null,
        h("input", {
          type: "search", placeholder: "Seek in errors, places, apps   /", "aria-label": "Seek", value: asked.words || "",
          oninput: (event) => {
            clearTimeout(typed);
            typed = setTimeout(() => change({ words: event.target.value }), 250);
          },
        }),
        choice("app", "App", [["", "all apps"], ...data.apps.map((app) => [app, app])]),
        choice("state", "State", [["", "all states"], ["unfinished", "unfinished"], ...ORDER.map((state) => [state, WORDS[state] || state]), ["dead", "dead branches"]]),
        choice("order", "Order", ORDERS.map(([value, text]) => [value === "newest" ? "" : value, text])),
        h("span.gap"),
        h("span.quiet", null, counted(data.found, "task")),
        turn("prev", "‹", data.page - 1, data, link, asked),
        h("span.quiet", null, `${data.page + 1} / ${data.pages}`),
        turn("next", "›", data.page + 1, data, link, asked)),
      table(
        [["Task", "n"], ["App", "nowrap"], ["State"], ["Called", "nowrap"], ["Waited", "n"], ["Launched", "n"], ["Ran", "n"], ["Try", "n"], ["Place or error", "t"]],
        data.tasks.map((one) => [
          h("a.mono", { href: link(`tasks/${one.id}`) }, one.id),
          h("span.mono", null, one.app),
          chip(one.dead ? "dead" : one.state),
          one.submitted ? clock(one.submitted) : "",
          one.waited ? span(one.waited) : "", one.launched ? span(one.launched) : "", one.ran ? span(one.ran) : "",
          one.attempt || "",
          one.error ? h("span", { class: one.state === "failed" ? "bad" : "quiet" }, one.error) : one.memory ? h("span.quiet", null, "from memory") : [one.place || one.executor],
        ]),
        "No task is like that.",
      )),
  ];
}

function turn(rel, text, to, data, link, asked) {
  const label = rel === "prev" ? "Page before" : "Page after";
  if (to < 0 || to >= data.pages) return h("button", { type: "button", disabled: true, "aria-label": label }, text);
  return h("a", { rel, "aria-label": label, href: link("tasks", { ...asked, page: to || "" }) }, text);
}
