// A task: how it ended and why, its tries, its neighbours, and what it said.
import { chart } from "../chart.js";
import { h } from "../dom.js";
import { bytes, clock, counted, instant, moment, span } from "../format.js";
import { more, split, table } from "../parts.js";
import { chip } from "../states.js";

export function page(data, { link }) {
  const one = data.task;
  if (!one.known) return [h("h1", null, `Task ${one.id}`), h("p.quiet", null, "Nothing was told of it yet. It appears here as soon as it is called.")];
  const near = (tasks) => (tasks.length ? h("ul.plain", null, tasks.map(neighbour)) : h("p.quiet", null, "Nothing."));
  const neighbour = (task) => h("li", null, chip(task.state), " ", h("a", { href: link(`tasks/${task.id}`) }, `task ${task.id}`), " ", h("span.mono", null, task.app), task.error && h("div.bad.small", null, task.error));
  return [
    h("div.head", null,
      h("h1", null, `Task ${one.id} · `, h("span.mono", null, one.app)), chip(one.dead ? "dead" : one.state),
      h("span.gap"),
      one.id > 0 && h("a", { rel: "prev", href: link(`tasks/${one.id - 1}`), "aria-label": "Task before" }, "‹"),
      h("a", { rel: "next", href: link(`tasks/${one.id + 1}`), "aria-label": "Task after" }, "›"),
      h("div.under", null, one.submitted ? `called ${moment(one.submitted)} · ` : "", counted(one.attempt, "try", "tries"), one.memory ? " · answered from memory" : "")),
    one.error && h("section.card", null,
      h("h2", null, one.state === "failed" ? "Error" : "Error of an earlier try"), h("pre", null, one.error),
      data.tracebacks.map((trace, index) => traceback(one.id, trace, index === 0, data.tracebacks.length > 1 || one.attempt > 1)),
      data.root.id !== undefined && h("p", null, "It failed because of ", h("a", { href: link(`tasks/${data.root.id}`) }, `task ${data.root.id}`), " (", h("span.mono", null, data.root.app), "): ", h("span.bad", null, data.root.error)),
      data.dead ? h("p", null, h("a", { href: link("tasks", { state: "dead" }) }, `${counted(data.dead, "task")} failed because of it.`)) : null),
    call(one, data),
    h("section.card", null, h("h2", null, "Where its time went"), split(one)),
    h("section.card", null, h("h2", null, "Tries"), tries(data.tries),
      h("p.quiet.small", null, "Clocks of machines differ: what a worker says of its times is held within what the script saw.")),
    data.samples.length ? samples(data.samples) : null,
    data.lines.length ? h("section.card", null, h("h2", null, "What it said"), data.lines_unkept ? h("p.quiet.small", null, `${counted(data.lines_unkept, "earlier line")} are in the log alone: weft logs shows them.`) : null, h("pre", null, data.lines.map(line))) : null,
    h("div.columns", null,
      h("section.card", null, h("h2", null, "It needs", data.needs_in_all > 1 && ` ${counted(data.needs_in_all, "task")}`), near(data.needs), more(data.needs.length, data.needs_in_all, "tasks")),
      h("section.card", null, h("h2", null, "It is needed by", data.needed_by_in_all > 1 && ` ${counted(data.needed_by_in_all, "task")}`), near(data.needed_by), more(data.needed_by.length, data.needed_by_in_all, "tasks"))),
    h("section.card", null, h("h2", null, "Moves"), table([["At", "nowrap"], ["State"]],
      data.moves.map((move) => [instant(move.time), chip(move.state)]))),
  ];
}

/** How it was called, what it returned, and its files. */
function call(one, data) {
  const files = (named, all, title) => named.length ? [h("h3", null, title), h("ul.plain", null, named.map((url) => h("li.mono", null, url))), more(named.length, all, "files")] : null;
  const inside = [
    data.arguments !== undefined && h("pre", null, `${one.app}(${data.arguments})`),
    data.result !== undefined && [h("h3", null, "It returned"), h("pre", null, data.result)],
    files(data.inputs, data.inputs_in_all, "Files it was given"),
    files(data.outputs, data.outputs_in_all, "Files it makes"),
  ].filter(Boolean);
  return inside.length ? h("section.card", null, h("h2", null, "Call"), inside) : null;
}

/** The one of the latest try is open; the others unfold. */
const traceback = (task, one, latest, several) => h("details", { id: `traceback-${task}-${one.attempt}`, open: latest },
  h("summary", null, "Traceback", several && ` of try ${one.attempt}`), h("pre", null, one.text));

const tries = (all) => table(
  [["Try", "n"], ["Executor"], ["Place", "t"], ["Launched", "nowrap"], ["Before", "n"], ["Ran", "n"], ["After", "n"], ["How it went", "t"]],
  all.map((one) => [
    one.attempt, h("span.mono", null, one.executor), one.place || "", clock(one.launched),
    one.before === undefined ? "" : span(one.before), one.ran === undefined ? "" : span(one.ran), one.after === undefined ? "" : span(one.after),
    one.error ? h("span.bad", null, one.error, one.delay !== undefined && h("span.quiet", null, ` · tried again after ${span(one.delay)}`))
      : one.ended === undefined ? h("span.quiet", null, "not ended") : one.how || "ended well",
  ]),
  "It was never launched.",
);

const line = (one) => `${clock(one.time)} ${one.dropped ? `(${one.dropped} left out) ` : ""}${one.level} ${one.logger ? `${one.logger}: ` : ""}${one.text}\n`;

function samples(all) {
  const last = all[all.length - 1];
  return h("section.card", null, h("h2", null, "What it used"),
    chart("samples", "Resident memory over time", {
      x: all.map((one) => one.time), lines: [{ label: "resident memory", colour: "--launched", y: all.map((one) => one.resident ?? null), fill: true, unit: bytes }],
    }, { low: true }),
    h("p.quiet", null, [
      last.user !== undefined && `processor ${span(last.user + (last.system || 0))}`, last.peak !== undefined && `peak ${bytes(last.peak)}`,
      last.read !== undefined && `read ${bytes(last.read)}`, last.written !== undefined && `wrote ${bytes(last.written)}`,
    ].filter(Boolean).join(" · ")));
}
