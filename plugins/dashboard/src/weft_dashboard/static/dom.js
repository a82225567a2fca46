// Elements from plain data, and the least change from what is shown to what is to be shown.
// Text is always set as text: nothing that a task said is ever read as markup.

/**
 * @param {string} tag with classes after dots, such as "td.n"
 * @param {Object<string, any>|null} given attributes; "on..." are listeners; "css" sets variables
 * @param {...any} inside elements, texts, numbers, lists of them; null and false are left out
 */
export function h(tag, given, ...inside) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(given || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made[key] = value;
    else if (key === "css") for (const [n, v] of Object.entries(value)) made.style.setProperty(n, String(v));
    else if (key === "class") made.className += ` ${value}`;
    else if (key === "keep") Object.assign(made, { keep: value });
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  add(made, inside);
  return made;
}

function add(made, inside) {
  for (const one of inside) {
    if (one === null || one === undefined || one === false || one === "") continue;
    if (Array.isArray(one)) add(made, one);
    else made.append(one instanceof Node ? one : document.createTextNode(String(one)));
  }
}

/**
 * A part that draws itself, such as a chart: kept as it is, and told its data.
 * @param {HTMLElement} box its place
 * @param {string} name under which it is known
 * @param {any} data what it draws now
 * @param {(box: HTMLElement, data: any) => ((data: any) => void)} start begins it; returns how it is told
 */
export function kept(box, name, data, start) {
  return Object.assign(box, { keep: { name, data, start } });
}

/** Make the inside of an element as it is to be, changing as little as possible. */
export function show(root, inside) {
  const next = h("div", null, inside);
  morphInside(root, next);
  begin(root);
}

function begin(root) {
  for (const one of root.querySelectorAll("*")) {
    if (one.keep && !one.tell) one.tell = one.keep.start(one, one.keep.data);
  }
}

function morphInside(old, next) {
  const wanted = [...next.childNodes];
  let at = old.firstChild;
  for (const node of wanted) {
    if (at && alike(at, node)) {
      const after = at.nextSibling;
      morph(at, node);
      at = after;
    } else {
      old.insertBefore(node, at);
    }
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}

function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.keep?.name === b.keep?.name && a.id === b.id;
}

function morph(old, next) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  if (next.keep) {
    old.keep = next.keep;
    old.tell?.(next.keep.data);
    return;
  }
  // What a person has unfolded, or folded, stays so.
  const theirs = old.nodeName === "DETAILS" ? "open" : "";
  for (const { name } of [...old.attributes]) if (name !== theirs && !next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) {
    if (name === theirs || old.getAttribute(name) === value) continue;
    if (name === "style") old.style.cssText = value; // as an attribute, the policy of the page forbids it
    else old.setAttribute(name, value);
  }
  for (const name of ["onclick", "onchange", "oninput", "onsubmit"]) if (old[name] !== next[name]) old[name] = next[name];
  if (old.nodeName === "SELECT" || old.nodeName === "INPUT") {
    if (document.activeElement === old) return;
    if (old.nodeName === "INPUT") {
      if (old.value !== next.value) old.value = next.value;
      return;
    }
  }
  morphInside(old, next);
}
