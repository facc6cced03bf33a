// The only ways a page is changed: text nodes and harmless attributes, and only when they differ. Nothing here can turn a
// text into markup.

const SVG = "http://www.w3.org/2000/svg";

/** Who looks for a part that may be missing asks the answer. @param {string} selector @param {ParentNode} [root] @returns {Part} */
export const find = (selector, root = document) => /** @type {any} */ (root.querySelector(selector));
/** @param {string} selector @param {ParentNode} [root] @returns {Part[]} */
export const all = (selector, root = document) => /** @type {any[]} */ ([...root.querySelectorAll(selector)]);

/** @param {Part | null} node @param {string} text */
export function setText(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

/** @param {Element | null} node @param {string} name @param {string | number | null} value */
export function setAttribute(node, name, value) {
  if (node && node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** Add or remove one class. @param {Part} node @param {string} name @param {boolean} on */
export function mark(node, name, on) {
  if (node && node.classList.contains(name) !== on) node.classList.toggle(name, on);
}

/** @param {Part} node @param {boolean} on */
export function show(node, on) {
  if (node && node.hidden === on) node.hidden = !on;
}

/** Words that stand only while there are some. @param {Part} node @param {string} words */
export function showWords(node, words, place = node) {
  setText(place, words);
  show(node, words !== "");
}

/** @param {string} name of a symbol of the sprite @param {string} [look] */
export function icon(name, look = name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `i ${look}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}

/** Turn an existing shape into another one. @param {Part | null} svg @param {string} name */
export function setIcon(svg, name, look = name) {
  if (!svg) return;
  setAttribute(svg, "class", `i ${look}`);
  setAttribute(svg.firstElementChild, "href", `#${name}`);
}

/** @returns {Part} @param {string} tag @param {Record<string, string>} attributes @param {...(Node | string)} children */
export function make(tag, attributes, ...children) {
  const node = /** @type {Part} */ (document.createElement(tag));
  for (const name of Object.keys(attributes)) node.setAttribute(name, attributes[name]);
  node.append(...children);
  return node;
}

/** Whether a button may be pressed; if so it is busy until its `aria-busy` goes. @param {Part} button */
export function begin(button) {
  if (["aria-busy", "aria-disabled"].some((name) => button.getAttribute(name) === "true")) return false;
  setAttribute(button, "aria-busy", "true");
  return true;
}

/** A script that few visits need. @param {string | undefined} src */
export const bring = (src = "") => document.head.append(make("script", { type: "module", src }));
