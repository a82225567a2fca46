// Files that were moved, that are moving, and that could not be moved.
import { h } from "../dom.js";
import { bytes, clock, count, span } from "../format.js";
import { head, more, table } from "../parts.js";

const ways = { in: "in", out: "out" };

export function page(data) {
  const moving = Object.values(data.moving);
  return [
    head(data.run, "Files"),
    h("section.card", null, h("h2", null, "Moved"), table(
      [["Way"], ["Scheme"], ["Executor"], ["Files", "n"], ["Data", "n"], ["Tries that failed", "n"], ["Took in all", "n"], ["Mean", "n"]],
      Object.values(data.traffic).map((one) => [
        ways[one.way] || one.way, h("span.mono", null, one.scheme), h("span.mono", null, one.executor), count(one.moved), volume(one),
        one.failed ? h("span.bad", null, count(one.failed)) : "", span(one.seconds), one.moved ? span(one.seconds / one.moved) : "",
      ]),
      "No file was moved.",
    )),
    moving.length ? h("section.card", null, h("h2", null, "On their way"), table(
      [["Way"], ["File", "t"], ["Executor"], ["Moved", "n"], [""]],
      moving.map((one) => [ways[one.way] || one.way, h("span.mono", null, one.url), h("span.mono", null, one.executor), one.total ? `${bytes(one.done)} of ${bytes(one.total)}` : bytes(one.done), progress(one)]),
    ), more(moving.length, data.moving_in_all, "files")) : null,
    data.ended.length ? h("section.card", null, h("h2", null, "Last"), table(
      [["At", "nowrap"], ["Way"], ["File", "t"], ["Executor"], ["Try", "n"], ["How it went", "t"]],
      data.ended.map((one) => [
        clock(one.time), ways[one.way] || one.way, h("span.mono", null, one.url), h("span.mono", null, one.executor), one.attempt,
        one.error !== undefined ? h("span.bad", null, one.error, h("span.quiet", null, one.again ? " · tried again" : " · given up")) : took(one),
      ]),
    )) : null,
  ];
}

/** How much data the files had, as far as that is known. */
function volume(one) {
  if (!one.unsized) return one.moved ? bytes(one.bytes) : "";
  return one.unsized >= one.moved ? "unknown" : `${bytes(one.bytes)} and ${count(one.unsized)} of unknown size`;
}

const took = (one) => (one.bytes === null || one.bytes === undefined ? span(one.seconds) : `${bytes(one.bytes)} in ${span(one.seconds)}`);

function progress(one) {
  if (!one.total) return "";
  return h("div.bar.thin", { role: "progressbar", "aria-valuenow": Math.round((100 * one.done) / one.total), "aria-label": one.url },
    h("span.p-ran", { css: { "--n": one.done } }), h("span.s-none", { css: { "--n": Math.max(0, one.total - one.done) } }));
}
