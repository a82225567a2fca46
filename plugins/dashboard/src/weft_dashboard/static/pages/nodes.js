// The machines of a run: what they have, and how busy they were.
import { row } from "../chart.js";
import { h } from "../dom.js";
import { bytes, count, counted, span } from "../format.js";
import { head, more, percent, table } from "../parts.js";

export function page(data) {
  const nodes = Object.entries(data.nodes);
  const sampled = nodes.some(([, node]) => node.memory);
  return [
    head(data.run, "Nodes"),
    h("section.card", null,
      h("p.quiet", null, "Busy: the time for which functions ran, of that of all its workers, from the start of the run to the last try there.",
        sampled ? " Processor time and memory are those of tries that have ended and were sampled: the most of one of them, and what they held together over time." : ""),
      table(
        [["Node", "nowrap"], ["Workers", "n"], ["Tries", "n"], ["Failed", "n"], ["Ran", "n"], ["Busy", "n"], ["Busy over time"],
          ...(sampled ? [["Processor", "n"], ["Memory", "n"], ["Memory over time"]] : []), ["Managers", "t"]],
        nodes.map(([name, node]) => line(name, node, sampled)),
        "No task has ended yet, so no node is known.",
      ),
      more(nodes.length, data.nodes_in_all, "nodes")),
  ];
}

function line(name, node, sampled) {
  const workers = Math.max(node.workers, node.seen) || 1;
  const busy = node.busy ? row(node.busy, "busy") : [];
  const room = node.busy ? workers * node.busy.width : 1;
  const whole = busy.reduce((sum, seconds) => sum + seconds, 0);
  const used = busy.length ? whole / (room * busy.length) : 0;
  return [
    h("span.mono", null, name || "not told"), count(workers), count(node.tries), node.failed ? h("span.bad", null, count(node.failed)) : "", span(node.ran),
    busy.length ? percent(Math.min(1, used)) : "", spark(thinned(busy, 60).map((seconds) => seconds / room), (most) => `busy from 0 to ${percent(most)}`),
    ...(sampled ? memory(node) : []), managers(node.managers),
  ];
}

function memory(node) {
  if (!node.memory) return ["", "", ""];
  const held = thinned(row(node.memory, "memory"), 60).map((amount) => amount / node.memory.width);
  const most = Math.max(0, ...held);
  return [span(node.processor), node.peak ? bytes(node.peak) : "",
    h("div", null, spark(held.map((amount) => amount / (most || 1)), () => `from 0 to ${bytes(most)}`), h("span.quiet", null, `to ${bytes(most)}`))];
}

/** No more than so many pieces: neighbours become their mean. */
function thinned(row, atMost) {
  const beside = Math.ceil(row.length / atMost) || 1;
  return Array.from({ length: Math.ceil(row.length / beside) }, (_, index) => {
    const some = row.slice(index * beside, (index + 1) * beside);
    return some.reduce((sum, one) => sum + one, 0) / some.length;
  });
}

/** Shares of something over time; `says` puts into words what the largest share is. */
const spark = (parts, says) => h("div.spark", { role: "img", "aria-label": says(Math.min(1, Math.max(0, ...parts))) },
  parts.map((part) => h("span", { css: { "--h": `${Math.min(100, part * 100).toFixed(1)}%` } })));

function managers(all) {
  const found = Object.values(all);
  if (!found.length) return h("span.quiet", null, "–");
  return found.slice(0, 6).map((one) =>
    h("div", { class: one.state === "lost" || one.state === "away" ? "bad" : "" }, h("span.mono", null, `${one.executor} ${one.block}`), ` ${counted(one.workers, "worker")}, ${one.state}`, one.python ? `, Python ${one.python}` : "", one.reason ? `: ${one.reason}` : ""))
    .concat(found.length > 6 ? [h("div.quiet", null, `and ${found.length - 6} more`)] : []);
}
