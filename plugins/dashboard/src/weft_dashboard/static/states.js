// The states of tasks and runs: each has a word, a sign and a colour, so that none is told by colour alone.
import { h } from "./dom.js";
import { count } from "./format.js";

const SIGNS = {
  done: "✓", launched: "▶", pending: "○", staging_in: "↓", staging_out: "↑", joining: "∞", failed: "✕",
  cancelled: "⊘", dead: "✕", unknown: "?",
  running: "▶", ended: "✓", broken: "✕", gone: "✕",
};

export const WORDS = {
  staging_in: "staging in", staging_out: "staging out", dead: "dead branch", gone: "folder removed",
};

/** The order in which states stand in bars. */
export const ORDER = ["done", "failed", "cancelled", "staging_out", "joining", "launched", "staging_in", "pending"];

export const sign = (state) => SIGNS[state] || "?";

const name = (state) => (state === "broken off" ? "broken" : state === "gone" ? "broken" : state);

export function chip(state) {
  return h("span.chip", { class: `s-${name(state)}` }, h("i", { "aria-hidden": "true" }, sign(name(state))), WORDS[state] || state);
}

/** A bar of all states. */
export function bar(counts, { thin = false, total = 0 } = {}) {
  const there = ORDER.filter((state) => counts[state]);
  const said = there.map((state) => `${counts[state]} ${WORDS[state] || state}`).join(", ");
  const all = there.reduce((sum, state) => sum + counts[state], 0);
  return h(
    thin ? "div.bar.thin" : "div.bar",
    { role: "img", "aria-label": said || "no tasks", title: said },
    there.map((state) => h("span", { class: `s-${state}`, css: { "--n": counts[state] } })),
    total > all && h("span.s-none", { css: { "--n": total - all } }),
  );
}

export function legend(counts, link) {
  return h(
    "ul.legend",
    null,
    ORDER.filter((state) => counts[state]).map((state) =>
      h("li", { class: `s-${state}` }, h("a", { href: link(state) },
        h("i", { "aria-hidden": "true" }, sign(state)), " ", h("b", null, count(counts[state])), ` ${WORDS[state] || state}`)),
    ),
  );
}
