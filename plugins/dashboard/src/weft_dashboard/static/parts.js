// Parts that several pages have.
import { h } from "./dom.js";
import { count, moment, span } from "./format.js";
import { chip } from "./states.js";

export const figureBox = (value, label, link) => {
  const inside = [h("b", null, value), h("span", null, label)];
  return h("div.figure", null, link ? h("a", { href: link }, inside) : inside);
};

export const table = (heads, rows, none = "None.") =>
  rows.length
    ? h("div.wide", null, h("table", null,
        h("thead", null, h("tr", null, heads.map(([name, kind]) => h(kind ? `th.${kind}` : "th", { scope: "col" }, name)))),
        h("tbody", null, rows.map((row) => h("tr", null, row.map((cell, index) => h(heads[index][1] ? `td.${heads[index][1]}` : "td", null, cell)))))))
    : h("p.quiet", null, none);

/** What every page of a run begins with. */
export function head(run, title) {
  const took = run.state === "running" ? Date.now() / 1000 - run.started : run.last - run.started;
  return h("div.head", null,
    h("h1", null, title || run.program || run.name), chip(run.state),
    h("div.under", null, run.started ? `${moment(run.started)} · ${span(Math.max(0, took))}${run.host ? ` · ${run.host}` : ""} · ` : "", h("span.mono", { title: run.folder }, run.folder.split("/").slice(-2).join("/"))));
}

const PARTS = [
  ["waited", "waited", "for inputs, memory or the next try"],
  ["staged", "staged", "while files were moved"],
  ["way", "on the way", "in queues of executors, on the way there and back"],
  ["ran", "ran", "while functions ran"],
  ["joined", "joined", "for the tasks of join apps"],
];

/** Where time went. */
export function split(of) {
  const parts = { ...of, way: Math.max(0, of.launched - of.ran), ran: Math.min(of.ran, of.launched) };
  const there = PARTS.filter(([name]) => parts[name] > 0);
  const all = there.reduce((sum, [name]) => sum + parts[name], 0);
  if (!all) return h("p.quiet", null, "No time was spent yet.");
  return h("div", null,
    h("div.bar", { role: "img", "aria-label": there.map(([name, word]) => `${word} ${span(parts[name])}`).join(", ") },
      there.map(([name]) => h("span", { class: `p-${name}`, css: { "--n": parts[name] } }))),
    h("ul.legend", null, there.map(([name, word, why]) =>
      h("li", { class: `p-${name}`, title: why }, h("i", { "aria-hidden": "true" }, "■"), " ", h("b", null, span(parts[name])), ` ${word} · ${percent(parts[name] / all)}`))));
}

export const percent = (part) => `${part > 0.995 || part === 0 ? Math.round(part * 100) : part < 0.01 ? "<1" : Math.round(part * 100)} %`;

export const more = (shown, all, what) => (all > shown ? h("p.quiet.small", null, `${count(all - shown)} more ${what}.`) : null);
