/** One finding: a row that opens to its evidence. */

import { glyph, h, on, setText, uniqueId } from "../dom.js";
import { count } from "../format.js";
import { isObject } from "./incidents.js";
import { lasting, percent, quantity, reveal, utc } from "./words.js";

/** @typedef {import("./incidents.js").Finding} Finding */

const MOST_LINES = 200; // shown; all are copied
const LONGEST = 2000; // characters of a line, or of one value of the evidence
const LONGEST_SUBJECT = 300;
// Shown elsewhere in the row.
const HIDDEN = new Set(["series", "lines", "example", "log"]);
const STATES = new Map([["over", "over"], ["ongoing", "goes on to the end of the recording"], ["unknown", "not known"]]);
const DOT = "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z"; // for a type that nobody foresaw
/** By type. */
const GLYPHS = new Map([
  ["level_shift", "M1 11.5h6.5V4.5H15"],
  ["spike", "M1 11.5h4.5L8 3l2.5 8.5H15"],
  ["drift", "M1 12 15 4"],
  ["flat_line", "M1 5l2 4 2-5 2 4h8"],
  ["new_template", "M8 3v10M3 8h10"],
  ["burst", "M3 12V9M6.5 12V4M9.5 12V3M13 12V8"],
  ["rare", "M1 12h14M8 8.5v-1"],
  ["gone", "M1 8h6M10 8h.5M13 8h.5"],
]);

export const typeWords = (type) => shorten(type.replaceAll("_", " "), 60);
export const shorten = (text, most = LONGEST) => (text.length > most ? `${text.slice(0, most)}…` : text);

export class FindingRow {
  #finding;
  #reportOf;
  #showChart = /** @type {((finding: Finding) => void) | null} */ (null);
  #track = h("div.f-track", { "aria-hidden": "true" });
  #opener;
  #details = /** @type {any} */ (null);
  /** @type {any} */ element;

  /** @param {Finding} finding @param {(subject: string) => any} reportOf returns the link in the report that names a subject */
  constructor(finding, reportOf) {
    this.#finding = finding;
    this.#reportOf = reportOf;
    const { type, subject, summary, confidence } = finding;
    const id = uniqueId();
    this.#opener = h("button.f-opener", { type: "button", "aria-expanded": "false", "aria-label": `Details of ${shorten(subject, 100)}`, "aria-controls": id }, chevron());
    const figures = h("div.f-figures", h("span.f-size", sizeOf(finding)), confidenceBar(confidence));
    const name = h("code.f-subject", shorten(subject, LONGEST_SUBJECT));
    this.element = h(
      "li.f-row",
      { "data-testid": "finding", "data-type": type },
      this.#opener,
      timeOf(finding),
      h("div.f-main", h("p.f-name", glyph(GLYPHS.get(type) ?? DOT), name), h("p.f-summary", h("b", typeWords(type)), " ", summaryText(finding))),
      this.#track,
      figures,
      h("div.f-details", { id, hidden: true }),
    );
    this.#details = this.element.lastChild;
    on(this.element, "click", (event) => this.#handleClick(event));
  }

  /**
   * Draw when the finding was, within its incident.
   * @param {{range: [number, number] | null, alertAt: number | null, showChart: ((finding: Finding) => void) | null}} incident
   */
  place({ range, alertAt, showChart }) {
    this.#showChart = showChart;
    this.#track.replaceChildren(...(range ? marks(this.#finding, range, alertAt) : []));
  }

  /** Put the row in sight, and the focus on it. */
  show() {
    reveal(this.element);
    this.#opener.focus({ preventScroll: true });
  }

  /** A click anywhere on the row's head opens it, unless it ends the selection of text. */
  #handleClick({ target }) {
    if (this.#details.contains(target)) return;
    if (this.#opener.contains(target) || !String(getSelection()).trim()) this.toggle();
  }

  toggle(isOpen = this.#details.hidden) {
    if (isOpen && !this.#details.firstChild) this.#details.append(...this.#detailParts());
    this.#details.hidden = !isOpen;
    this.#opener.setAttribute("aria-expanded", String(isOpen));
  }

  #detailParts() {
    const { subject, evidence, raw, start } = this.#finding;
    const tool = (text, onclick) => h("button.f-tool", { type: "button", onclick }, text);
    const toReport = this.#reportOf(subject) && tool("Show in the report", () => showMention(this.#reportOf(subject)));
    const toChart = this.#showChart && start !== null && (Array.isArray(evidence.series) || isObject(evidence.lines)) && tool("Show in the chart", () => this.#showChart?.(this.#finding));
    const copy = copyButton("Copy as JSON", () => jsonOf(raw, 2));
    return [...linesOf(evidence).map(linesBox), facts(this.#finding), h("p.f-tools", toReport, toChart, copy)];
  }
}

function showMention(link) {
  if (!link) return;
  reveal(link);
  link.focus({ preventScroll: true });
}

/** The summary, with times of the finding's day as the row shows them. */
export const summaryText = ({ summary, raw }) => shorten(clocks(summary, raw.start), 600);

/** A text in which the times of the day on which something started have no date. */
export function clocks(text, start) {
  const day = typeof start === "string" ? start.slice(0, 10) : "";
  return text.replace(/\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(?:\.\d+)?Z/g, (time, clock) => (day && time.startsWith(day) ? clock : time));
}

const chevron = () => glyph("M6 4l4 4-4 4");

function timeOf({ start, end, raw }) {
  if (start === null) return h("span.f-time", "no time");
  const length = end - start;
  const title = `${String(raw.start)} – ${String(raw.end ?? raw.start)}`;
  return h("time.f-time", { dateTime: new Date(start * 1000).toISOString(), title }, utc(start), length >= 1 && h("span", lasting(length)));
}

/** A bar for the finding's time, and a line for the alert. */
function marks({ start, end }, [from, to], alertAt) {
  const share = (time) => ((Math.min(to, Math.max(from, time)) - from) / (to - from || 1)) * 100;
  const bar = h("i.f-bar");
  bar.style.left = `${share(start)}%`;
  bar.style.width = `${share(end) - share(start)}%`;
  if (alertAt === null || alertAt < from || alertAt > to) return [bar];
  const tick = h("i.f-alert-tick");
  tick.style.left = `${share(alertAt)}%`;
  return [bar, tick];
}

/** 0 → 8 · 353 lines · 0 of 51 lines */
function sizeOf({ type, magnitude, unit, evidence }) {
  const [before, after, expected, came] = ["before", "after", "expected", "count"].map((key) => (typeof evidence[key] === "number" ? evidence[key] : null));
  if (type === "level_shift" && before !== null && after !== null) return `${quantity(before)} → ${quantity(after, unit)}`;
  if (type === "gone" && expected !== null && came !== null) return `${count(came)} of ${count(expected)} lines`;
  if (type === "burst" && unit === "times the usual rate") return `× ${quantity(magnitude)}`;
  return quantity(magnitude, shorten(unit, 40));
}

function confidenceBar(share) {
  if (share === null) return h("span.f-confidence", { title: "The finding has no confidence from 0 to 1." }, "–");
  const bar = h("i.f-level", { "aria-hidden": "true" });
  bar.style.setProperty("--share", String(share));
  return h("span.f-confidence", { title: "confidence in this finding" }, bar, h("span.visually-hidden", "confidence "), percent(share));
}

// Details

/** Lines of logs in the evidence: an example, and every list of texts. @returns {{title: string, lines: string[]}[]} */
function linesOf(evidence) {
  const boxes = [];
  const { example, log } = evidence;
  if (typeof example === "string" && example) boxes.push({ title: typeof log === "string" && log ? log : "Example", lines: example.split(/\r?\n/) });
  for (const [key, value] of Object.entries(evidence)) {
    if (!Array.isArray(value) || !value.length || HIDDEN.has(key)) continue;
    const lines = value.map((each) => (typeof each === "string" ? each : isObject(each) && typeof each.text === "string" ? lineOf(each) : null));
    if (!lines.includes(null)) boxes.push({ title: key.replaceAll("_", " "), lines: /** @type {string[]} */ (lines) });
  }
  return boxes;
}

const lineOf = ({ text, count: times }) => (typeof times === "number" ? `${count(times).padStart(7)}  ${text}` : text);

export function linesBox({ title, lines }) {
  const shown = lines.slice(0, MOST_LINES).map((line) => shorten(line)).join("\n");
  const more = lines.length > MOST_LINES && h("p.f-quiet", `The first ${count(MOST_LINES)} of ${count(lines.length)} lines.`);
  const head = h("figcaption", h("span", shorten(title, 120)), copyButton(lines.length > 1 ? "Copy lines" : "Copy line", () => lines.join("\n")));
  return h("figure.f-lines", head, h("pre", { tabIndex: 0 }, h("code", shown)), more);
}

/** What the evidence says besides lines and samples. */
function facts(finding) {
  const { raw, evidence, confidence } = finding;
  const list = h("dl.f-facts");
  const add = (name, text) => text && list.append(h("div", h("dt", shorten(name, 60)), h("dd", shorten(text, 600))));
  add("from", String(raw.start ?? ""));
  add("to", String(raw.end ?? ""));
  add("size", quantity(finding.magnitude, finding.unit));
  add("confidence", confidence === null ? jsonOf(raw.confidence) : percent(confidence));
  add("agent", finding.agent);
  if (STATES.has(raw.state)) add("state", STATES.get(raw.state));
  const shownAsLines = new Set(Object.keys(evidence).filter((key) => Array.isArray(evidence[key]) && linesOf({ [key]: evidence[key] }).length));
  for (const [key, value] of Object.entries(evidence).slice(0, 60)) {
    if (!HIDDEN.has(key) && !shownAsLines.has(key)) add(key.replaceAll("_", " "), factText(value));
  }
  return list;
}

function factText(value) {
  if (typeof value === "number") return value.toLocaleString("en", { maximumSignificantDigits: 6 });
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (isObject(value) && Object.values(value).every((each) => typeof each !== "object" || each === null)) {
    return Object.entries(value).map(([key, each]) => `${key.replaceAll("_", " ")} ${factText(each)}`).join(", ");
  }
  return jsonOf(value);
}

/** JSON of anything; what is nested too deep for it is named so. */
export function jsonOf(value, indent = 0) {
  try {
    return JSON.stringify(value, null, indent) ?? "";
  } catch {
    return "nested too deep to be shown";
  }
}

export function copyButton(label, textOf) {
  const button = h("button.f-tool", { type: "button" }, label);
  on(button, "click", async () => {
    const copied = await navigator.clipboard?.writeText(textOf()).then(() => true, () => false);
    setText(button, copied ? "Copied" : "Copying is not allowed here");
    setTimeout(() => setText(button, label), 2000);
  });
  return button;
}
