// Lines over time, by uPlot.
import { kept, h } from "./dom.js";
import { clock, figure } from "./format.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The sums of a row of pieces, in order: what is empty is not sent. */
export const row = (time, name) => Array.from({ length: time.pieces || 0 }, (_, index) => time[name]?.[index] || 0);

/** The times at which the pieces end. */
export const ends = (time) => Array.from({ length: time.pieces || 0 }, (_, index) => time.start + (index + 1) * time.width);

/**
 * @param {string} name of the chart
 * @param {string} label what it shows, for those who do not see it
 * @param {{x: number[], lines: {label: string, colour: string, y: number[], scale?: string, fill?: boolean, unit?: (n: number) => string}[]}} data
 */
export function chart(name, label, data, { low = false } = {}) {
  return kept(h(low ? "div.chart.low" : "div.chart", { role: "img", "aria-label": label }), name, data, start);
}

function start(box, data) {
  let plot = null;
  let now = data;
  const make = () => {
    plot?.destroy();
    plot = new uPlot(options(box, now), table(now), box);
  };
  const size = new ResizeObserver(() => {
    if (!box.isConnected) {
      size.disconnect();
      document.removeEventListener("weft-theme", make);
      plot.destroy();
    } else plot.setSize(measure(box));
  });
  make();
  size.observe(box);
  document.addEventListener("weft-theme", make);
  return (next) => {
    const same = next.lines.length === now.lines.length;
    now = next;
    if (same) plot.setData(table(now));
    else make();
  };
}

const measure = (box) => ({ width: Math.max(200, box.clientWidth), height: Math.max(60, box.clientHeight - 30) });

const table = (data) => [data.x, ...data.lines.map((line) => line.y)];

/** The hour of the day; with its fractions where lines are nearer than a second. */
const times = (_plot, values, _axis, _space, apart) =>
  values.map((value) => (apart < 1 ? `${clock(value)}.${String(Math.round((value % 1) * 1000)).padStart(3, "0").slice(0, 2)}` : clock(value)));

function options(box, data) {
  const scales = [...new Set(data.lines.map((line) => line.scale || "y"))];
  const quiet = colour("--quiet");
  const grid = { stroke: colour("--line"), width: 1 };
  const font = "11px system-ui, 'DejaVu Sans', sans-serif";
  return {
    ...measure(box),
    cursor: { drag: { x: true, y: false }, points: { size: 6 } },
    scales: Object.fromEntries(scales.map((scale) => [scale, { range: (_plot, _low, high) => [0, high > 0 ? high * 1.08 : 1] }])),
    axes: [
      { stroke: quiet, grid, ticks: grid, font, space: 90, size: 32, values: times },
      ...scales.map((scale, index) => {
        const line = data.lines.find((one) => (one.scale || "y") === scale);
        return {
          scale, side: index ? 1 : 3, stroke: quiet, ticks: grid, font, size: 58,
          grid: index ? { show: false } : grid,
          values: (_plot, values) => values.map(line.unit || figure),
        };
      }),
    ],
    series: [
      { label: "time", value: (_plot, value) => (value ? clock(value) : "–") },
      ...data.lines.map((line) => ({
        label: line.label,
        scale: line.scale || "y",
        stroke: colour(line.colour),
        width: 1.6,
        fill: line.fill ? `${colour(line.colour)}22` : undefined,
        points: { show: data.x.length < 3 },
        value: (_plot, value) => (value === null || value === undefined ? "–" : (line.unit || figure)(value)),
      })),
    ],
  };
}
