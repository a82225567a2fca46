// How far a run is, what failed and why, and where the time went.
import { chart, ends, row } from "../chart.js";
import { h } from "../dom.js";
import { clock, count, counted, figure, moment, span } from "../format.js";
import { figureBox, head, more, split, table } from "../parts.js";
import { bar, legend } from "../states.js";

export function page(data, { link }) {
  const { run, apps } = data;
  const counts = run.counts;
  const total = Object.values(counts).reduce((sum, number) => sum + number, 0);
  const seconds = Math.max(0, run.last - run.started);
  const lost = Object.values(apps).reduce((sum, app) => sum + app.lost, 0);
  const rate = run.state === "running" ? data.pace.rate || 0 : seconds ? (counts.done || 0) / seconds : 0;
  return [
    head(run),
    run.state === "broken off" && h("p.notice.bad", { role: "alert" }, "This run was broken off: it was killed, or its machine went down. What it had told until then is here."),
    run.damage && h("p.notice", null, `The log is damaged: ${counted(run.damage.chunks, "chunk")} missing, ${count(run.damage.bytes)} bytes passed over. All else is counted here.`),
    run.lost && h("p.notice", null, `${counted(run.lost, "event was", "events were")} not told: too many at once.`),
    h("section.card", { "aria-label": "Progress" },
      bar(counts),
      total ? legend(counts, (state) => link("tasks", { state })) : h("p.quiet", null, "No task was called yet.")),
    h("div.figures", null,
      figureBox(`${count(counts.done || 0)}`, `of ${counted(total, "task")} done`),
      figureBox(figure(rate), run.state === "running" ? "tasks end per second now" : "tasks done per second"),
      run.state === "running" ? figureBox(data.pace.left ? span(data.pace.left) : "–", "left, for what was called so far") : figureBox(span(seconds), "from start to end"),
      figureBox(h("span", { class: counts.failed ? "bad" : "" }, count(counts.failed || 0)), "failed", counts.failed && link("tasks", { state: "failed" })),
      figureBox(count(lost), "tries were repeated", lost && link("tasks", { order: "tries" }))),
    data.causes.length ? causes(data, link) : null,
    h("section.card", null, h("h2", null, "Tasks over time"), timeline(data.time)),
    h("section.card", null, h("h2", null, "Apps"), appsTable(apps, link)),
    h("div.columns", null,
      h("section.card", null, h("h2", null, "Where the time of tasks went"), split(data.split)),
      h("section.card", null, h("h2", null, "Executors"), executors(data))),
    Object.keys(data.blocks).length ? h("section.card", null, h("h2", null, "Blocks"), blocks(data.blocks)) : null,
    notices(data),
    h("section.card", null, h("h2", null, "The run"), facts(run)),
  ];
}

function timeline(time) {
  const launched = row(time, "launched");
  let now = 0;
  const there = launched.map((change) => (now += change));
  const ended = row(time, "done").map((number, index) => (number + (time.failed?.[index] || 0) + (time.cancelled?.[index] || 0)) / time.width);
  return chart("timeline", "Tasks that ended per second, and tasks at executors, over time", {
    x: ends(time),
    lines: [
      { label: "ended per second", colour: "--done", y: ended, fill: true },
      { label: "at executors", colour: "--launched", y: there, scale: "there" },
    ],
  });
}

function causes(data, link) {
  return h("section.card", null,
    h("h2", null, "Why tasks failed"),
    data.causes.map((cause) =>
      h("div.cause", null,
        h("b.bad", null, count(cause.count)),
        h("div", null,
          h("div", null, h("code", null, cause.example || cause.error)),
          h("div.quiet.small", null, `in ${cause.app}`, cause.others ? ` · ${counted(cause.others, "more task")} failed because of it` : "")),
        h("a", { href: link(`tasks/${cause.task}`) }, `task ${cause.task}`))),
    more(data.causes.length, data.causes_in_all, "causes"));
}

function appsTable(apps, link) {
  const rows = Object.entries(apps).sort(([, a], [, b]) => b.waited + b.launched + b.staged + b.joined - (a.waited + a.launched + a.staged + a.joined));
  return table(
    [["App"], ["Progress"], ["Tasks", "n"], ["Done", "n"], ["Failed", "n"], ["Repeated", "n"], ["Waited", "n"], ["Launched", "n"], ["Ran", "n"], ["Longest try", "n"], [""]],
    rows.map(([name, app]) => [
      h("a.mono", { href: link("tasks", { app: name }) }, name),
      bar(app.counts, { thin: true }),
      count(app.tasks),
      count(app.counts.done || 0),
      app.counts.failed ? h("a.bad", { href: link("tasks", { app: name, state: "failed" }) }, count(app.counts.failed)) : "",
      app.lost ? count(app.lost) : "",
      span(app.waited), span(app.launched), span(app.ran), span(app.longest),
      app.memory ? h("span.quiet", null, `${count(app.memory)} from memory`) : "",
    ]),
    "No app was called yet.",
  );
}

function executors(data) {
  return table(
    [["Executor"], ["Plugin"], ["Tries", "n"], ["Workers"]],
    Object.entries(data.executors).map(([label, one]) => [
      h("span.mono", null, label), one.plugin, count(one.tries), workers(data.managers[label], one.stopped),
    ]),
    "None has started yet.",
  );
}

function workers(managers, stopped) {
  const there = Object.entries(managers || {}).filter(([state]) => state !== "ended");
  if (!there.length) return h("span.quiet", null, stopped ? "stopped" : "–");
  return there.map(([state, of]) => h("div", { class: state === "lost" || state === "away" ? "bad" : "" }, `${counted(of.workers, "worker")} on ${counted(of.managers, "manager")} ${state}`));
}

const blocks = (all) => table(
  [["Block"], ["State"], ["Job"], ["Managers", "n"], ["Since", "nowrap"], ["Reason", "t"]],
  Object.values(all).map((one) => [
    h("span.mono", null, `${one.executor} ${one.block}`),
    h("span", { class: ["failed", "lost"].includes(one.state) ? "bad" : "" }, one.state, one.exit !== undefined ? ` (exit ${one.exit})` : ""),
    h("span.mono", null, one.job), count(one.managers), clock(one.time), one.reason,
  ]),
);

function notices(data) {
  if (!data.notices.length) return null;
  return h("section.card", null, h("h2", null, "Notices"),
    h("ul.plain", null, [...data.notices].reverse().map((one) =>
      h("li", null, h("span.quiet.mono", null, clock(one.time)), " ",
        one.level !== "info" && h("b", { class: one.level === "error" ? "bad" : "" }, `${one.level} `), `${one.source}: ${one.text}`))),
    more(data.notices.length, data.notices_in_all, "notices"));
}

const facts = (run) => h("dl.facts", null, [
  ["Id", run.id], ["Command", (run.command || []).join(" ")], ["In", run.cwd], ["Log in", run.folder], ["By", run.user && `${run.user} on ${run.host}, process ${run.pid}`],
  ["Versions", run.weft && `weft ${run.weft}, Python ${run.python}`], ["Started", moment(run.started)], ["Last told", moment(run.last)],
].filter(([, text]) => text).map(([name, text]) => [h("dt", null, name), h("dd.mono", null, text)]));
