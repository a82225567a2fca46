// The graph: apps, and the tasks of those that are unfolded. What it draws is also a table beneath it.
import { h, kept } from "../dom.js";
import { count, counted } from "../format.js";
import { head, table } from "../parts.js";
import { bar, chip } from "../states.js";
import { draw } from "../graphview.js";

export function page(data, { link, go }) {
  const opened = new Set(data.open);
  const toggle = (number) => {
    const next = new Set(opened);
    if (!next.delete(number)) next.add(number);
    go(link("graph", { open: [...next].sort((a, b) => a - b).join(",") }), { replace: true });
  };
  const shown = Object.keys(data.nodes).length;
  return [
    head(data.run, "Graph"),
    h("section.card", null,
      h("p.quiet", null, `${counted(shown, "node")}, ${counted(Object.keys(data.edges).length, "edge")}. Drag to move, turn the wheel to come nearer, click an app to unfold it and a task to see it.`),
      kept(h("div", { id: "graph" }), "graph", { data, toggle, open: (task) => go(link(`tasks/${task}`)) }, draw),
      h("ul.legend", null, ["done", "launched", "pending", "failed", "dead", "cancelled"].map((state) => h("li", null, chip(state))))),
    h("section.card", null, h("h2", null, "Apps"), table(
      [["App", "nowrap"], ["Progress"], ["Tasks", "n"], ["Failed", "n"], [""]],
      Object.entries(data.apps).map(([name, app]) => [
        h("span.mono", null, name), bar(app.counts, { thin: true }), count(app.tasks),
        app.counts.failed ? h("a.bad", { href: link("tasks", { app: name, state: "failed" }) }, count(app.counts.failed)) : "",
        h("button", { type: "button", "aria-pressed": String(opened.has(app.number)), onclick: () => toggle(app.number) }, opened.has(app.number) ? "Fold" : "Unfold"),
      ]),
      "No app was called yet.",
    )),
  ];
}
