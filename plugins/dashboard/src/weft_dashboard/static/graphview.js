// Draws the graph on a canvas: thousands of nodes, moved and scaled by hand.
import { count } from "./format.js";
import { ORDER, WORDS, sign } from "./states.js";

const COLUMN = 210;
const ROW = 74;
const TASK_COLUMN = 46;
const TASK_ROW = 26;
const APP = { width: 150, height: 50 };
const SIZE = 9;

/**
 * @param {HTMLElement} box
 * @param {{data: any, toggle: (app: number) => void, open: (task: number) => void}} given
 */
export function draw(box, given) {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  box.append(canvas);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  box.append(tip);
  const view = { x: 0, y: 0, scale: 1, moved: false };
  let now = given;
  let placed = place(now.data);
  let asked = 0;

  const paint = () => {
    asked = 0;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [box.clientWidth, box.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    if (!view.moved) fit(view, placed, width, height);
    paintAll(canvas.getContext("2d"), placed, now.data, view, { ratio, width, height });
    canvas.setAttribute("aria-label", `The graph: ${Object.keys(now.data.nodes).length} nodes; the table beneath says the same`);
  };
  const soon = () => {
    if (!asked) asked = requestAnimationFrame(paint);
  };
  const found = (event) => {
    const edge = canvas.getBoundingClientRect();
    const x = (event.clientX - edge.left - view.x) / view.scale;
    const y = (event.clientY - edge.top - view.y) / view.scale;
    return placed.list.find((node) => Math.abs(node.px - x) <= node.w / 2 + 3 && Math.abs(node.py - y) <= node.h / 2 + 3);
  };

  let held = null;
  canvas.onpointerdown = (event) => {
    held = { x: event.clientX, y: event.clientY, far: false };
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = (event) => {
    if (held) {
      const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
      if (held.far || Math.hypot(dx, dy) > 4) {
        Object.assign(view, { x: view.x + dx, y: view.y + dy, moved: true });
        held = { x: event.clientX, y: event.clientY, far: true };
        soon();
      }
      return;
    }
    const node = found(event);
    canvas.style.cursor = node ? "pointer" : "grab";
    tip.hidden = !node;
    if (node) tip.textContent = said(node);
  };
  canvas.onpointerup = (event) => {
    const clicked = held && !held.far;
    held = null;
    const node = clicked && found(event);
    if (!node) return;
    if (node.task !== undefined) now.open(node.task);
    else now.toggle(node.number);
  };
  canvas.onpointerleave = () => {
    tip.hidden = true;
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const edge = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - edge.left, event.clientY - edge.top];
    const factor = Math.exp(-event.deltaY * 0.0015);
    const scale = Math.min(4, Math.max(0.02, view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    Object.assign(view, { scale, moved: true });
    soon();
  }, { passive: false });

  const size = new ResizeObserver(() => {
    if (box.isConnected) soon();
    else {
      size.disconnect();
      document.removeEventListener("weft-theme", soon);
    }
  });
  size.observe(box);
  document.addEventListener("weft-theme", soon);
  soon();
  return (next) => {
    if (next.data.nodes !== now.data.nodes) placed = place(next.data);
    if (String(next.data.open) !== String(now.data.open)) view.moved = false;
    now = next;
    soon();
  };
}

/** Where nodes are, in pixels at scale 1. Columns of tasks are narrower than those with apps. */
function place(data) {
  const nodes = Object.entries(data.nodes).map(([key, node]) => ({ key, ...node }));
  const columns = new Map();
  for (const node of nodes) {
    const wide = node.task === undefined;
    columns.set(node.x, columns.get(node.x) || wide);
  }
  const at = new Map();
  let x = 0;
  let before = null;
  for (const column of [...columns.keys()].sort((a, b) => a - b)) {
    const wide = columns.get(column);
    if (before !== null) x += (wide ? COLUMN / 2 : TASK_COLUMN / 2) + (before ? COLUMN / 2 : TASK_COLUMN / 2);
    at.set(column, x);
    before = wide;
  }
  const tall = nodes.some((node) => node.task !== undefined) ? TASK_ROW : ROW;
  const rows = new Map();
  for (const node of nodes) if (node.task === undefined) rows.set(node.x, ROW);
  for (const node of nodes) {
    const app = node.task === undefined;
    Object.assign(node, {
      px: at.get(node.x), py: node.y * (rows.get(node.x) || tall), w: app ? APP.width : SIZE * 2, h: app ? APP.height : SIZE * 2,
    });
  }
  const by = new Map(nodes.map((node) => [node.key, node]));
  return { list: nodes, by };
}

function fit(view, placed, width, height) {
  if (!placed.list.length) return;
  const xs = placed.list.map((node) => node.px);
  const ys = placed.list.map((node) => node.py);
  const [left, right] = [Math.min(...xs) - APP.width / 2 - 20, Math.max(...xs) + APP.width / 2 + 20];
  const [top, bottom] = [Math.min(...ys) - APP.height, Math.max(...ys) + APP.height];
  view.scale = Math.min(1.2, width / (right - left), height / (bottom - top));
  view.x = width / 2 - ((left + right) / 2) * view.scale;
  view.y = height / 2 - ((top + bottom) / 2) * view.scale;
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const states = Object.fromEntries([...ORDER, "dead"].map((state) => [state, of(`--${state.startsWith("staging") ? "staging" : state}`)]));
  return { ...states, line: of("--line"), text: of("--text"), quiet: of("--quiet"), card: of("--card"), faint: of("--faint"), sans: of("--sans") };
}

function paintAll(pen, placed, data, view, { ratio, width, height }) {
  const ink = colours();
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = ink.card;
  pen.fillRect(0, 0, width, height);
  pen.translate(view.x, view.y);
  pen.scale(view.scale, view.scale);
  const many = Object.keys(data.edges).length > 300;
  for (const [key, number] of Object.entries(data.edges)) {
    const [from, to] = key.split(" ").map((one) => placed.by.get(one));
    if (!from || !to) continue;
    const bad = to.dead && (from.dead || from.state === "failed" || from.counts?.failed);
    pen.strokeStyle = bad ? ink.dead : ink.quiet;
    pen.globalAlpha = bad ? 0.9 : many ? 0.16 : 0.45;
    pen.lineWidth = Math.min(5, 1 + Math.log10(number || 1)) / Math.sqrt(view.scale);
    pen.setLineDash(bad ? [5, 4] : []);
    pen.beginPath();
    const [x, y, u, v] = [from.px + from.w / 2, from.py, to.px - to.w / 2, to.py];
    if (from === to) {
      pen.arc(from.px, from.py - from.h / 2, 14, Math.PI, 0);
    } else {
      const bend = Math.max(20, Math.abs(u - x) / 2);
      pen.moveTo(x, y);
      pen.bezierCurveTo(x + bend, y, u - bend, v, u, v);
    }
    pen.stroke();
  }
  pen.globalAlpha = 1;
  pen.setLineDash([]);
  for (const node of placed.list) (node.task === undefined ? paintApp : paintTask)(pen, node, ink, view.scale);
}

function paintApp(pen, node, ink) {
  const [x, y] = [node.px - node.w / 2, node.py - node.h / 2];
  pen.beginPath();
  pen.roundRect(x, y, node.w, node.h, 8);
  pen.fillStyle = ink.card;
  pen.fill();
  pen.strokeStyle = node.counts.failed ? ink.failed : ink.quiet;
  pen.lineWidth = node.counts.failed ? 2 : 1;
  pen.stroke();
  pen.fillStyle = ink.text;
  pen.font = `600 13px ${ink.sans}`;
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  pen.fillText(cut(pen, node.rest ? `${node.app} (rest)` : node.app, node.w - 20), x + 10, y + 19);
  pen.fillStyle = ink.quiet;
  pen.font = `11px ${ink.sans}`;
  const failed = node.counts.failed && !node.rest ? ` · ${sign("failed")} ${count(node.counts.failed)}` : "";
  pen.fillText(`${count(node.tasks)} tasks${failed}`, x + 10, y + 34);
  let left = x + 10;
  const all = Object.values(node.counts).reduce((sum, number) => sum + number, 0) || 1;
  for (const state of ORDER) {
    const part = ((node.counts[state] || 0) / all) * (node.w - 20);
    pen.fillStyle = ink[state];
    pen.fillRect(left, y + 40, part, 4);
    left += part;
  }
}

function paintTask(pen, node, ink, scale) {
  const state = node.dead ? "dead" : node.state;
  pen.beginPath();
  if (node.state === "failed") {
    pen.rect(node.px - SIZE * 0.85, node.py - SIZE * 0.85, SIZE * 1.7, SIZE * 1.7);
  } else pen.arc(node.px, node.py, SIZE, 0, Math.PI * 2);
  pen.fillStyle = state === "dead" || state === "pending" ? ink.card : ink[state] || ink.quiet;
  pen.fill();
  pen.strokeStyle = ink[state] || ink.quiet;
  pen.lineWidth = 1.6;
  pen.stroke();
  if (scale > 0.6) {
    pen.fillStyle = state === "dead" || state === "pending" ? ink[state] : ink.card;
    pen.font = `700 10px ${ink.sans}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(sign(state), node.px, node.py + 0.5);
  }
}

function cut(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && pen.measureText(`${text.slice(0, end)}…`).width > width) end -= 1;
  return `${text.slice(0, end)}…`;
}

function said(node) {
  if (node.task !== undefined) return `task ${node.task} · ${node.app} · ${WORDS[node.dead ? "dead" : node.state] || node.state}`;
  return `${node.app} · ${count(node.tasks)} tasks${node.rest ? " not shown one by one" : ""} · ${ORDER.filter((state) => node.counts[state]).map((state) => `${count(node.counts[state])} ${WORDS[state] || state}`).join(", ")}`;
}
