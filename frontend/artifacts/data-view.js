/** Structured data of any size, depth and kind: a list of objects as a table to sort, all else as keys and values to unfold. */

import { appendAll, h, on, setText } from "../dom.js";
import { count, plainName, plural } from "../format.js";
import { scrollBox } from "../markdown.js";

const PIECE = 100; // rows that are drawn at once
const MAX_COLUMNS = 50; // on the page
const MAX_TEXT = 2_000; // characters of a value, until it is unfolded
const SMALL = 8; // entries: such a value is open from the start
const MAX_LINE = 80; // characters of a list in one line

const collator = new Intl.Collator(undefined, { numeric: true });
const isScalar = (value) => typeof value !== "object" || value === null;
/** A row may miss a column that is called `constructor`. */
export const own = (row, name) => (Object.hasOwn(row, name) ? row[name] : undefined);
const isPlain = (value) => !isScalar(value) && !Array.isArray(value);

/** What the data parts of an artifact hold. Of several, lists are joined, also those under one name. @param {any} artifact */
export function dataOf({ parts }) {
  const values = parts.filter((part) => "data" in part).map((part) => part.data);
  const [name, ...others] = Object.keys(Object(values[0]));
  if (values.length < 2) return values[0];
  if (name && !others.length && values.every((value) => isPlain(value) && Array.isArray(own(value, name)))) {
    return { [name]: values.flatMap((value) => value[name]) };
  }
  return values.flat();
}

/** The columns of a list of objects; null for all other values, also for objects with little in common. */
export function columnsOf(value) {
  if (!Array.isArray(value) || !value.every(isPlain)) return null;
  const columns = new Set();
  let cells = 0;
  for (const row of value) for (const name of Object.keys(row)) cells += Number(Boolean(columns.add(name)));
  return columns.size && columns.size * value.length <= 10 * cells ? [...columns] : null;
}

/** 10,000 rows · 3 keys: a, b, c @param {any} value */
export function sizeOf(value) {
  if (isScalar(value)) return "";
  if (Array.isArray(value)) return plural(value.length, columnsOf(value) ? "row" : "item");
  const names = Object.keys(value);
  const some = plainName(names.slice(0, 4).join(", ")).slice(0, MAX_LINE);
  return `${plural(names.length, "key")}${some && `: ${some}`}${names.length > 4 ? ", …" : ""}`;
}

/** Data that may change: what was unfolded, sorted and focused stays so. */
export class StructuredData {
  element = h("div.dv");
  #state = {};

  draw(value) {
    const controls = () => [...this.element.querySelectorAll("a, button, summary, [tabindex]")];
    const focused = controls().indexOf(document.activeElement);
    this.element.replaceChildren(view(value, this.#state));
    if (focused >= 0) controls()[focused]?.focus({ preventScroll: true });
  }
}

/**
 * Append the first items to a list. The button appends the next ones.
 * @param {{shown?: number}} state keeps how many are shown @returns {any} the button
 */
export function inPieces(list, items, make, state, piece = PIECE) {
  const more = h("button.link.dv-more", { type: "button" });
  const fill = (from) => {
    const shown = Math.min(items.length, Math.max(state.shown ?? 0, piece));
    appendAll(list, items.slice(from, shown).map(make));
    const left = items.length - shown;
    more.hidden = !left;
    const next = Math.min(left, 4 * shown);
    setText(more, next < left ? `Show ${count(next)} more of ${count(left)}` : `Show the other ${count(left)}`);
  };
  on(more, "click", () => {
    const from = list.childElementCount;
    state.shown = 5 * from;
    fill(from);
    if (!more.hidden) return;
    list.children[from].tabIndex = -1; // the focus would be lost with the button
    list.children[from].focus({ preventScroll: true });
  });
  fill(0);
  return more;
}

function view(value, state) {
  if (isScalar(value)) return scalar(value);
  const columns = columnsOf(value);
  if (columns) return table(value, columns, state);
  const list = h("dl.dv-entries");
  const entry = (name) => h("div", h("dt", plainName(name)), h("dd", nested(value[name], childOf(state, name), true)));
  return h("div", list, inPieces(list, Object.keys(value), entry, state));
}

function childOf(state, name) {
  state.children ??= new Map();
  if (!state.children.has(name)) state.children.set(name, {});
  return state.children.get(name);
}

function nested(value, state, opens) {
  if (isScalar(value)) return scalar(value);
  const values = Object.values(value);
  const small = values.length <= SMALL && values.every(isScalar);
  const line = small && Array.isArray(value) && values.map(String).join(", ");
  if (!values.length) return h("span.dv-literal", Array.isArray(value) ? "empty list" : "no keys");
  if (line && line.length <= MAX_LINE) return h("span.dv-text", line);
  state.open ??= opens && small;
  const node = h("details", { open: state.open }, h("summary", sizeOf(value)));
  const fill = () => {
    state.open = node.open;
    if (node.open && !node.children[1]) node.append(view(value, state));
  };
  on(node, "toggle", fill);
  fill();
  return node;
}

function scalar(value) {
  if (typeof value !== "string" || !value) return h("span.dv-literal", value === "" ? "empty text" : String(value));
  if (value.length <= MAX_TEXT && /^https?:\/\/\S+$/i.test(value)) {
    return h("a", { href: value, rel: "noopener noreferrer nofollow", target: "_blank" }, value);
  }
  const text = h("span.dv-text", value.slice(0, MAX_TEXT));
  if (value.length <= MAX_TEXT) return text;
  const more = h("button.link.dv-more", { type: "button" }, `Show all ${count(value.length)} characters`);
  on(more, "click", () => more.replaceWith(value.slice(MAX_TEXT)));
  text.append(" … ", more);
  return text;
}

function table(rows, columns, state) {
  const shown = columns.slice(0, MAX_COLUMNS);
  const numeric = new Set(shown.filter((name) => rows.every((row) => typeof (own(row, name) ?? 0) === "number")));
  const align = (name) => (numeric.has(name) ? "right" : null);
  const indexes = new Map(rows.map((row, index) => [row, index])); // what was unfolded stays so when the order changes
  const body = h("tbody");
  const cell = (row, name) => {
    const value = own(row, name);
    const content = value !== undefined && value !== "" && nested(value, childOf(state, `${indexes.get(row)} ${name}`), false);
    return h("td", { class: align(name) }, content);
  };
  const heads = shown.map((name) => {
    const head = h("th", { scope: "col", class: align(name) }, h("button.dv-sort", { type: "button" }, plainName(name)));
    on(head.firstChild, "click", () => sort(name));
    return head;
  });
  const foot = h("div.dv-foot");

  function sort(name) {
    const again = state.column === name;
    state.column = again && state.descending ? null : name;
    state.descending = again && !state.descending;
    fill();
  }

  function fill() {
    const { column, descending } = state;
    heads.forEach((head, index) => {
      if (shown[index] !== column) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    });
    const order = (a, b) => compare(own(a, column), own(b, column), descending ? -1 : 1);
    body.replaceChildren();
    const sorted = shown.includes(column) ? [...rows].sort(order) : rows;
    const more = inPieces(body, sorted, (row) => h("tr", ...shown.map((name) => cell(row, name))), state);
    const left = columns.length > MAX_COLUMNS && `The first ${MAX_COLUMNS} of ${count(columns.length)} columns. `;
    foot.replaceChildren(...[left, more].filter(Boolean));
  }

  fill();
  return h("div", scrollBox("Table", h("table", h("thead", h("tr", ...heads)), body)), foot);
}

/** Numbers before texts, and what is missing last in both directions. */
function compare(a, b, sign) {
  const rank = (value) => (value === undefined || value === null ? 2 : typeof value === "number" ? 0 : 1);
  const text = (value) => (isScalar(value) ? String(value) : sizeOf(value));
  return rank(a) - rank(b) || sign * (rank(a) === 0 ? a - b : collator.compare(text(a), text(b)));
}
