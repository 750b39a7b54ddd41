/** Building and finding elements. A string becomes a text node or an attribute's value, never HTML. */

import { visible } from "./format.js";

const isSet = (value) => value !== undefined && value !== null && value !== false;

/**
 * `h("li.file", { title, onclick }, "text", child)`: an element with classes, then properties, attributes and listeners
 * (or no object), then children. Null, undefined and false add nothing.
 * @param {string} selector @param {...any} children @returns {any}
 */
export function h(selector, ...children) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  if (children[0]?.constructor === Object) {
    for (const [name, value] of Object.entries(children.shift())) {
      if (!isSet(value)) continue;
      if (name.startsWith("on")) on(element, name.slice(2), value);
      else if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
  }
  const isCode = tag === "code" || tag === "pre";
  element.append(...children.filter(isSet).map((child) => (typeof child === "string" ? visible(child, isCode) : child)));
  return element;
}

/**
 * Add a listener. Unlike with a property such as `onkeydown`, a handler that returns false cancels nothing.
 * @param {EventTarget} target @param {string} type @param {(event: any) => void} handler
 */
export const on = (target, type, handler, options = {}) => target.addEventListener(type, handler, options);

/** Append any number of nodes. As arguments of one call, some hundred thousand would overflow the stack. */
export function appendAll(parent, nodes) {
  for (const node of nodes) parent.append(node);
  return parent;
}

/** Write only a text that changed: an untouched text node costs no layout and keeps the reader's selection. */
export function setText(node, written) {
  const text = visible(written);
  if (node.textContent !== text) node.textContent = text;
}

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** A stroked glyph of 16 × 16. The shape tells what it is; the colour only repeats that. @param {string} d its path */
export const glyph = (d) => svg("svg", { viewBox: "0 0 16 16", class: "glyph", "aria-hidden": "true" }, svg("path", { d }));

/** @param {ParentNode} root the page, or a view of it @returns {any} */
export function byId(id, root = document) {
  const element = root.querySelector(`#${id}`);
  if (!element) throw new Error(`index.html has no element with the id "${id}"`);
  return element;
}

let ids = 0;
/** An id that no other element of the page has, for labels and ARIA. */
export const uniqueId = () => `id-${(ids += 1)}`;

/** Say a change of state to screen readers. @param {string} sentence */
export const announce = (sentence) => setText(byId("announcer"), sentence);

/** Copy a text. The button says for a moment whether it was possible. @param {any} button @param {string} text */
export async function copyText(button, text, refused = "Not allowed") {
  const label = button.dataset.label ?? (button.dataset.label = button.textContent);
  const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  setText(button, copied ? "Copied" : refused);
  setTimeout(() => setText(button, label), 2_000);
}
