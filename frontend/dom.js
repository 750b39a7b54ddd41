/**
 * Building DOM without a way to inject markup: a string becomes a text node or an attribute's value,
 * never HTML.
 */

/**
 * `h("li.file", { title, onclick }, "text", child)`: a tag with classes, properties and listeners (may be
 * left out) and children, of which null, undefined and false add nothing.
 * @param {string} what @param {...any} children @returns {any}
 */
export function h(what, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  const given = (value) => value !== undefined && value !== null && value !== false;
  if (children[0]?.constructor === Object) {
    for (const [name, value] of Object.entries(children.shift())) {
      if (!given(value)) continue;
      if (name.startsWith("on")) on(element, name.slice(2), value);
      else if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
  }
  element.append(...children.filter(given));
  return element;
}

/**
 * Listen. What the handler returns means nothing: assigned as `onkeydown`, a handler that returns false
 * cancels the key. A handler that wants to cancel calls `preventDefault`.
 * @param {EventTarget} target @param {string} type @param {(event: any) => void} handler
 */
export const on = (target, type, handler, options = {}) => target.addEventListener(type, handler, options);

/** Append any number of nodes; as arguments of one call, some hundred thousand overflow the stack. */
export function appendAll(parent, nodes) {
  for (const node of nodes) parent.append(node);
  return parent;
}

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** @param {ParentNode} root where to look: the page, or a view of it @returns {any} */
export function byId(id, root = document) {
  const element = root.querySelector(`#${id}`);
  if (!element) throw new Error(`index.html has no "${id}"`);
  return element;
}

/** Write only what changed: an untouched text node costs no layout and keeps the reader's selection. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A small bar, filled to a share between 0 and 1; the words beside it say the same. */
export function meter(share) {
  const bar = h("span.meter", { "aria-hidden": "true" });
  bar.style.setProperty("--share", String(share));
  return bar;
}

/** The one live region: changes of state. All else that moves is silent to a screen reader. */
export function announce(sentence) {
  setText(byId("announcer"), sentence);
}

/** Stroked glyphs, 16 × 16: the shape tells the state, the colour only repeats it. */
const GLYPHS = {
  live: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z",
  "catching-up": "M3 4l4 4-4 4M9 4l4 4-4 4",
  reconnecting: "M13 8a5 5 0 1 1-1.7-3.7M13 2v3h-3",
  finished: "M4.5 4.5h7v7h-7Z",
  waiting: "M6 4v8M10 4v8",
  cut: "M4 4l8 8M12 4l-8 8",
  // what was found: each is a drawing of the thing
  level_shift: "M1 11.5h6.5V4.5H15",
  spike: "M1 11.5h4.5L8 3l2.5 8.5H15",
  drift: "M1 12 15 4",
  flat_line: "M1 5l2 4 2-5 2 4h8",
  new_template: "M8 3v10M3 8h10",
  burst: "M3 12V9M6.5 12V4M9.5 12V3M13 12V8",
  rare: "M1 12h14M8 8.5v-1",
  gone: "M1 8h6M10 8h.5M13 8h.5",
};

export function glyph(name) {
  const d = GLYPHS[name] ?? GLYPHS.live;
  return svg("svg", { viewBox: "0 0 16 16", class: "glyph", "aria-hidden": "true" }, svg("path", { d }));
}
