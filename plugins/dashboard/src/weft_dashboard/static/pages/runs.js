// All runs of the folder.
import { h } from "../dom.js";
import { count, moment, span } from "../format.js";
import { table } from "../parts.js";
import { bar, chip } from "../states.js";

export function page(data) {
  const runs = Object.entries(data.runs).sort(([a, x], [b, y]) => Number(b) - Number(a) || y.started - x.started);
  const going = runs.filter(([, run]) => run.state === "running").length;
  return [
    h("div.head", null, h("h1", null, "Runs"), going ? h("span.chip.s-running", null, h("i", null, "▶"), `${going} running`) : null,
      h("div.under.mono", null, data.folder)),
    h("section.card", null, table(
      [["Run", "nowrap"], ["Program", "t"], ["State"], ["Started", "nowrap"], ["Took", "n"], ["Tasks", "n"], ["Failed", "n"], ["Progress"]],
      runs.map(([name, run]) => line(name, run)),
      "No run with an event log is here yet. One that begins will appear by itself.",
    )),
  ];
}

function line(name, run) {
  const link = `/runs/${encodeURIComponent(name)}`;
  const tasks = run.done + run.failed + run.cancelled + run.unfinished;
  const took = run.state === "running" ? Date.now() / 1000 - run.started : run.seconds;
  return [
    h("a.mono", { href: link }, name),
    run.problem ? h("span.bad", null, run.problem) : h("a", { href: link }, run.program || "–"),
    run.whole ? chip(run.state) : h("span.quiet", null, "reading…"),
    moment(run.started),
    run.started ? span(Math.max(0, took)) : "",
    count(tasks),
    run.failed ? h("a.bad", { href: `${link}/tasks?state=failed` }, count(run.failed)) : "",
    bar({ done: run.done, failed: run.failed, cancelled: run.cancelled, pending: run.unfinished }, { thin: true }),
  ];
}
