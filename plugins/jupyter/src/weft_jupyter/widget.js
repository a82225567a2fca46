// Draws the picture of a run. All text goes through textContent: nothing that a task wrote becomes markup.

const ORDER = ["done", "failed", "cancelled", "launched", "joining", "staging_out", "staging_in", "pending"];
const WORDS = {
  done: "done", failed: "failed", cancelled: "cancelled", launched: "launched", joining: "joining",
  staging_out: "files out", staging_in: "files in", pending: "waiting",
};
const STATES = { running: "▶ running", ended: "■ ended", "broken off": "✗ broken off", unknown: "? cannot be told" };
const BOX = { width: 160, height: 56, across: 48, down: 18 };
const SVG = "http://www.w3.org/2000/svg";

function make(tag, given = {}, ...inner) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) el.setAttribute(name, value);
  el.append(...inner);
  return el;
}

function draw(tag, given = {}, ...inner) {
  const el = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) el.setAttribute(name, value);
  el.append(...inner);
  return el;
}

const count = (number) => Math.round(number).toLocaleString("en-US");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const cut = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  const two = (number) => String(number).padStart(2, "0");
  const text = days || hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  return days ? `${days} d ${text}` : text;
}

function rate(perSecond) {
  if (perSecond >= 0.995) return `${perSecond < 10 ? perSecond.toFixed(1) : count(perSecond)} tasks/s`;
  return perSecond * 60 >= 0.995 ? `${(perSecond * 60).toFixed(1)} tasks/min` : `${(perSecond * 3600).toFixed(1)} tasks/h`;
}

const said = (counts) => ORDER.filter((one) => counts[one]).map((one) => `${count(counts[one])} ${WORDS[one]}`).join(", ");

function bar(counts) {
  const el = make("div", { class: "weft-bar", role: "img", "aria-label": said(counts) || "no tasks" });
  for (const state of ORDER) {
    if (counts[state]) el.append(make("span", { class: `weft-${state}`, style: `flex-grow:${counts[state]}`, title: `${count(counts[state])} ${WORDS[state]}` }));
  }
  return el;
}

function legend(counts) {
  const el = make("div", { class: "weft-legend" });
  for (const state of ORDER) {
    if (counts[state]) el.append(make("span", {}, make("i", { class: `weft-${state}` }), make("b", {}, count(counts[state])), ` ${WORDS[state]}`));
  }
  return el;
}

function graph(picture, chosen, choose) {
  const columns = [];
  picture.apps.forEach((app, number) => (columns[app.level] ||= []).push(number));
  const tallest = Math.max(...columns.map((column) => column.length));
  const height = tallest * (BOX.height + BOX.down) + BOX.down;
  const width = columns.length * (BOX.width + BOX.across) - BOX.across + 24;
  const place = picture.apps.map((app, number) => {
    const column = columns[app.level];
    const all = column.length * (BOX.height + BOX.down) - BOX.down;
    return { x: 12 + app.level * (BOX.width + BOX.across), y: (height - all) / 2 + column.indexOf(number) * (BOX.height + BOX.down) };
  });
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, style: `width:clamp(${0.7 * width}px, 100%, ${width}px)`, class: "weft-graph", role: "group", "aria-label": "Graph of the apps" });
  for (const [from, to, number] of picture.edges) {
    const bad = picture.apps[to].dead && picture.apps[from].counts.failed;
    const [a, b] = [place[from], place[to]];
    const path = from === to
      ? `M${a.x + BOX.width - 34} ${a.y} c-6 -20 26 -20 20 0`
      : curve(a.x + BOX.width, a.y + BOX.height / 2, b.x, b.y + BOX.height / 2);
    svg.append(draw("path", { d: path, class: bad ? "weft-edge weft-bad" : "weft-edge", "stroke-width": Math.min(5, 1 + Math.log10(number)) },
      titled(`${picture.apps[from].name} → ${picture.apps[to].name}: ${plural(number, "result")}`)));
  }
  picture.apps.forEach((app, number) => svg.append(node(app, place[number], number, number === chosen, choose)));
  return make("div", { class: "weft-wide" }, svg);
}

function curve(x, y, u, v) {
  const bend = Math.max(26, Math.abs(u - x) / 2);
  return `M${x} ${y} C${x + bend} ${y} ${u - bend} ${v} ${u} ${v}`;
}

function titled(text) {
  const el = draw("title");
  el.textContent = text;
  return el;
}

function text(x, y, kind, words) {
  const el = draw("text", { x, y, class: kind });
  el.textContent = words;
  return el;
}

function node(app, at, number, chosen, choose) {
  const failed = app.counts.failed || 0;
  const el = draw("g", {
    transform: `translate(${at.x} ${at.y})`, class: `weft-node${failed ? " weft-has-failed" : ""}${chosen ? " weft-chosen" : ""}`,
    role: "button", tabindex: 0, "data-app": number, "aria-pressed": chosen, "aria-label": `${app.name}: ${said(app.counts)}`,
  });
  el.append(titled(`${app.name}: ${said(app.counts)}`), draw("rect", { width: BOX.width, height: BOX.height, rx: 7 }));
  const own = failed - app.dead;
  const marks = [own > 0 ? `✗ ${count(own)}` : "", app.dead ? `⤫ ${count(app.dead)} dead` : ""].filter(Boolean).join("  ");
  el.append(text(10, 20, "weft-name", cut(app.name, 22)), text(10, 37, "weft-under", plural(app.tasks, "task")));
  if (marks) {
    const right = text(BOX.width - 10, 37, "weft-marks", marks);
    right.setAttribute("text-anchor", "end");
    el.append(right);
  }
  let x = 10;
  for (const state of ORDER) {
    const part = ((app.counts[state] || 0) / (app.tasks || 1)) * (BOX.width - 20);
    if (part) el.append(draw("rect", { x, y: 44, width: part, height: 5, class: `weft-${state}` }));
    x += part;
  }
  el.addEventListener("click", () => choose(number));
  el.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(number);
  });
  return el;
}

function rows(picture, chosen, choose) {
  const el = make("div", { class: "weft-apps" });
  picture.apps.forEach((app, number) => {
    const row = make("button", { type: "button", class: "weft-row", "data-app": number, "aria-pressed": number === chosen },
      make("span", { class: "weft-name", title: app.name }, app.name), bar(app.counts),
      make("span", { class: "weft-said" }, said(app.counts) + (app.memory ? ` (${count(app.memory)} from memory)` : "")));
    row.addEventListener("click", () => choose(number));
    el.append(row);
  });
  if (picture.more_apps) el.append(make("div", { class: "weft-quiet" }, `and ${plural(picture.more_apps, "more app")}`));
  return el;
}

function where(task) {
  return `${task.app}, task ${task.task}${task.place ? `, on ${task.place}` : ""}`;
}

function failed(task) {
  const el = make("li", {}, make("b", {}, where(task)));
  if (!task.root) return el.append(make("code", {}, task.error || "(no message)")), el;
  el.append(make("span", { class: "weft-quiet" }, " failed because of "), make("b", {}, where(task.root)), make("code", {}, task.root.error || "(no message)"));
  return el;
}

function details(app) {
  const number = app.counts.failed || 0;
  const el = make("div", { class: "weft-details", role: "region", "aria-label": `Failed tasks of ${app.name}` });
  el.append(make("div", { class: "weft-title" }, number ? `${plural(number, "failed task")} of ${app.name}` : `No task of ${app.name} has failed.`));
  if (!number) return el;
  el.append(make("ul", {}, ...app.failed.map(failed)));
  if (number > app.failed.length) el.append(make("div", { class: "weft-quiet" }, `and ${count(number - app.failed.length)} more`));
  return el;
}

function executors(list) {
  const el = make("div", { class: "weft-executors" });
  for (const one of list) {
    const parts = [];
    if (one.stopped) parts.push("stopped");
    else {
      if (one.workers !== null) parts.push(plural(one.workers, "worker"));
      parts.push(`${count(one.launched)} launched`);
    }
    const blocks = Object.entries(one.blocks).map(([state, number]) => `${number} ${state}`);
    if (blocks.length) parts.push(`blocks: ${blocks.join(", ")}`);
    el.append(make("span", {}, make("b", {}, one.label), one.plugin && one.plugin !== one.label ? ` (${one.plugin})` : "", `: ${parts.join(" · ")}`));
  }
  return el;
}

function head(picture, told) {
  const state = make("span", { class: `weft-state weft-is-${picture.state.replace(" ", "-")}` }, STATES[picture.state] || picture.state);
  const facts = make("span", { class: "weft-facts" });
  const tick = () => {
    const since = picture.state === "running" ? (performance.now() - told) / 1000 : 0;
    const parts = [clock(picture.seconds + since)];
    if (picture.rate) parts.push(rate(picture.rate));
    if (picture.left !== null && picture.left > since) parts.push(`about ${clock(picture.left - since)} left at this pace`);
    facts.textContent = parts.join(" · ");
  };
  tick();
  const el = make("div", { class: "weft-head" }, make("b", { class: "weft-program" }, picture.program), state, facts);
  if (picture.state === "broken off") {
    el.append(make("div", { class: "weft-notice" }, "The run did not come to its end: its process was killed, or its machine went down. What it had done is shown."));
  }
  return { el, tick };
}

function last(task) {
  const el = make("div", { class: "weft-last" }, make("span", { class: "weft-quiet" }, "last failure: "));
  el.append(make("b", {}, where(task)));
  if (task.root) el.append(make("span", { class: "weft-quiet" }, " because of "), make("b", {}, where(task.root)));
  el.append(make("code", {}, (task.root || task).error || "(no message)"));
  return el;
}

function render({ model, el }) {
  el.classList.add("weft-run");
  const parts = Object.fromEntries(["head", "all", "graph", "apps", "details", "executors", "last", "folder"].map((name) => [name, make("div", { class: `weft-part-${name}` })]));
  const drawn = {};
  let [chosen, tick] = [null, () => {}];

  // A part is drawn anew only when its data have changed, so that what is read or marked stays.
  const part = (name, data, build) => {
    const key = JSON.stringify(data);
    if (drawn[name] === key) return;
    const focus = parts[name].contains(document.activeElement) ? document.activeElement.getAttribute("data-app") : null;
    drawn[name] = key;
    parts[name].replaceChildren(...[build()].filter(Boolean));
    if (focus !== null) parts[name].querySelector(`[data-app="${Number(focus)}"]`)?.focus();
  };
  const choose = (number) => {
    chosen = chosen === number ? null : number;
    show();
  };
  const show = () => {
    const picture = model.get("picture");
    if (!picture.state) {
      el.replaceChildren(make("div", { class: "weft-quiet" }, picture.problem || "Reading the event log …"));
      return;
    }
    if (!el.contains(parts.head)) el.replaceChildren(...Object.values(parts));
    const { program, state, seconds, rate: pace, left, counts } = picture;
    part("head", [program, state, seconds, pace, left], () => {
      const made = head(picture, performance.now());
      tick = made.tick;
      return made.el;
    });
    part("all", counts, () => make("div", {}, bar(counts), Object.keys(counts).length ? legend(counts) : make("div", { class: "weft-quiet" }, "No task has been called yet.")));
    part("graph", [picture.apps, picture.edges, chosen], () => (picture.edges.length ? graph(picture, chosen, choose) : null));
    part("apps", [picture.apps, picture.more_apps, chosen], () => rows(picture, chosen, choose));
    const app = chosen === null ? null : picture.apps[chosen];
    part("details", app ? [app.name, app.counts.failed, app.failed] : null, () => app && details(app));
    part("executors", picture.executors, () => executors(picture.executors));
    part("last", picture.last, () => picture.last && last(picture.last));
    part("folder", picture.folder, () => make("div", { class: "weft-quiet weft-mono" }, picture.folder));
  };
  model.on("change:picture", show);
  const timer = setInterval(() => tick(), 1000);
  show();
  return () => {
    clearInterval(timer);
    model.off("change:picture", show);
  };
}

export default { render };
