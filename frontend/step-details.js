/**
 * What an open row of `<progress-timeline>` shows: input, output, what was called, said and reported, tokens and cost, and
 * its events. Loaded when the first row is opened.
 *
 * Of a step it reads what task-state.js gives, and leaves out what is missing: `input`, `inputSize`, `output`, `outputSize`,
 * `error`, `cached`, `asked`, `log`, `said`, `calls`, `usage`, and `firstSeq` and `lastSeq` of its events.
 */

import { h, setText } from "./dom.js";
import { costOf, count, dollars, duration, plainName, plural, visible } from "./format.js";

const SAID_WORDS = { reasoning: "thinks", message: "says" };
const RELOAD_INTERVAL = 1_000; // ms, of the events while more of them come
const MAX_EVENTS = 400_000; // characters of the events' JSON
const AT_END = 8; // px; a block follows its end from here on

export class StepDetails {
  element = h("div.tl-panel", { role: "row" });
  #step;
  #cell = h("div.tl-cell", { role: "gridcell" });
  #facts = h("div.tl-facts");
  /** @type {Map<string, any>} */ #blocks = new Map();
  /** @type {any} */ #table = null;
  #usage = ""; // as it was drawn
  #log = h("ol.tl-log");
  /** @type {Map<any, any>} */ #lines = new Map(); // rows of the log by entry
  #raw = h("details.tl-raw", h("summary", "Events"));
  #events = { text: "", number: 0, seq: 0, isBusy: false, isCut: false }; // up to the seq
  #run;

  /** @param {any} step @param {number} level of its row */
  constructor(step, level) {
    this.#step = step;
    Object.assign(this.element, { ariaLevel: String(level), ariaLabel: `Details of ${plainName(step.name)}` });
    this.element.append(this.#cell);
    this.#raw.addEventListener("toggle", () => this.#drawEvents());
    this.element.addEventListener("keydown", (event) => this.#handleKey(event));
  }

  /** @param {import("./progress-timeline.js").Run} run */
  draw(run) {
    const { adoptedStyleSheets } = /** @type {any} */ (this.element.getRootNode());
    if (!adoptedStyleSheets.includes(STYLES)) adoptedStyleSheets.push(STYLES);
    this.#run = run;
    const step = this.#step;
    setText(this.#facts, factsOf(step, run));
    const { input = "", output = "", error = "", log = [], said = [], calls = [], firstSeq, usage } = step;
    const parts = [
      this.#facts,
      error && this.#block("error", "Error", error),
      input && this.#block("input", "Input", input, cutNote(input, step.inputSize)),
      ...calls.map(({ id, by, text }) => this.#block(`call ${id}`, `Call of ${by}`, text)),
      ...said.map(({ id, by, kind, text }) => this.#block(`${kind} ${id}`, `${by || "The model"} ${SAID_WORDS[kind] ?? kind}`, text)),
      log.length > 0 && this.#drawLog(log, run.start),
      output && this.#block("output", "Output", output, cutNote(output, step.outputSize)),
      usage && this.#drawUsage(usage, run.prices),
      firstSeq && run.streamUrl && this.#raw,
    ].filter(Boolean);
    for (const [at, part] of parts.entries()) {
      if (this.#cell.children[at] !== part) this.#cell.insertBefore(part, this.#cell.children[at] ?? null);
    }
    while (this.#cell.childElementCount > parts.length) this.#cell.lastElementChild.remove();
    this.#drawEvents();
  }

  /** A text with a head and a button that copies it. */
  #block(key, title, text, note = "") {
    const block = this.#blocks.get(key) ?? makeBlock(title);
    this.#blocks.set(key, block);
    setText(block.note, note);
    if (block.source === text) return block.element;
    block.source = text;
    const { pre } = block;
    const follows = pre.scrollHeight - pre.scrollTop - pre.clientHeight < AT_END && pre.firstChild;
    writeText(pre, visible(readable(text), true));
    if (follows) pre.scrollTop = pre.scrollHeight;
    return block.element;
  }

  #drawLog(log, start) {
    const rows = log.map((entry) => {
      const row = this.#lines.get(entry) ?? h("li", h("span", duration(entry.ts - start)), entry.text);
      this.#lines.set(entry, row);
      return row;
    });
    const list = this.#log;
    const follows = list.scrollHeight - list.scrollTop - list.clientHeight < AT_END;
    for (const [entry, row] of this.#lines) {
      if (log.includes(entry)) break; // older lines leave first
      row.remove();
      this.#lines.delete(entry);
    }
    for (const row of rows.slice(list.childElementCount)) list.append(row);
    if (follows) list.scrollTop = list.scrollHeight;
    const block = this.#blocks.get("log") ?? makeBlock("Progress", list);
    this.#blocks.set("log", block);
    block.source = log.map(({ text }) => text).join("\n");
    return block.element;
  }

  #drawUsage(usage, prices) {
    const drawn = JSON.stringify([usage, [...usage.models], prices]);
    if (drawn === this.#usage) return this.#table;
    this.#usage = drawn;
    const cells = (tag, texts) => texts.map((text) => h(tag, text));
    const row = (name, tokens) => {
      const cost = costOf(tokens.models ? tokens : { models: new Map([[name, tokens]]) }, prices);
      const numbers = [tokens.calls, tokens.input, tokens.output].map((number) => count(number ?? 0));
      return h("tr", ...cells("th", [plainName(name) || "unnamed"]), ...cells("td", [...numbers, cost === null ? "" : dollars(cost)]));
    };
    const rows = [...usage.models].map(([name, tokens]) => row(name, tokens));
    if (rows.length > 1) rows.push(row("all", usage));
    const head = h("tr", ...cells("th", ["Model", "Calls", "Tokens in", "out", "Cost"]));
    // Without any price there is no column for the cost.
    if (!rows.some(({ lastChild }) => lastChild.textContent)) for (const each of [head, ...rows]) each.lastChild.remove();
    const table = h("table.tl-tokens", h("thead", head), h("tbody", ...rows));
    this.#table?.replaceWith(table);
    return (this.#table = table);
  }

  /** All events as JSON, while they are open. What comes meanwhile is added once in a while. */
  async #drawEvents() {
    const events = this.#events;
    const to = this.#step.lastSeq;
    if (!this.#raw.open || events.isBusy || events.isCut || events.seq >= to) return;
    events.isBusy = true; // after a failure until the reader asks again
    this.#showEvents("loading …");
    let { text, number } = events;
    try {
      const { eventsOfStep } = await import("./step-events.js");
      for await (const event of eventsOfStep(this.#run, this.#step, events.seq, to)) {
        events.isCut = text.length > MAX_EVENTS;
        if (events.isCut) break;
        text += `${JSON.stringify(event, null, 2)}\n`;
        number += 1;
      }
      Object.assign(events, { text, number, seq: to });
      this.#showEvents(events.isCut ? `the first ${plural(number, "event")}; the download of all events has the others` : plural(number, "event"));
      setTimeout(() => this.#loadEvents(), RELOAD_INTERVAL);
    } catch (/** @type {any} */ error) {
      this.#showEvents(error.message);
      const again = h("button.tl-link", { type: "button" }, "Try again");
      again.addEventListener("click", () => {
        again.remove();
        this.#loadEvents();
      });
      this.#raw.append(again);
    }
  }

  #loadEvents() {
    this.#events.isBusy = false;
    if (this.element.isConnected) this.#drawEvents();
  }

  #showEvents(note) {
    const element = this.#block("events", "JSON", this.#events.text, note);
    if (!element.isConnected) this.#raw.append(element);
  }

  /** The keys of the treegrid are the row's; Escape goes back to it. */
  #handleKey(event) {
    event.stopPropagation();
    if (event.key === "Escape") /** @type {any} */ (this.element.previousElementSibling)?.focus();
  }
}

/** tool of cook · began after 1.2 s, at 14:03:27 · attempt 2 */
function factsOf({ kind, agent: name, start, attempt = 1, cached, asked, id }, run) {
  const isWork = kind === "node" || kind === "tool";
  const agent = plainName(name);
  const time = new Date(start).toLocaleTimeString([], { hour12: false });
  const facts = [
    isWork ? `${kind} of ${agent}` : kind === "agent" ? "agent" : `reported by ${agent}`,
    `${isWork ? "began " : ""}after ${duration(start - (run.start ?? start))}, at ${time}`,
    attempt > 1 && `attempt ${attempt}`,
    cached && "its result was known already",
    asked && `task ${asked.task} at ${asked.url}`,
    isWork && id && `step ${id}`,
  ];
  return facts.filter(Boolean).join(" · ");
}

const cutNote = (text, size = 0) => (size > text.length ? `the first ${count(text.length)} of ${count(size)} characters` : "");

/** JSON with line breaks, any other text as it is. */
function readable(text) {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Text that was added leaves the rest untouched, with what the reader has selected. */
function writeText(pre, text) {
  const node = pre.firstChild;
  if (node && text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else pre.textContent = text;
}

function makeBlock(name, content = h("pre")) {
  const title = plainName(name);
  Object.assign(content, { tabIndex: 0, role: content.role ?? (content.localName === "pre" ? "group" : null), ariaLabel: title });
  const note = h("span");
  const copy = h("button.tl-link", { type: "button", ariaLabel: `Copy: ${title}` }, "Copy");
  const element = h("div.tl-block", h("div.tl-head", h("b", title), note, copy), content);
  const block = { element, note, pre: content, source: null };
  copy.addEventListener("click", () => copyText(copy, content, block.source ?? ""));
  return block;
}

/** Where a page may not write to the clipboard, the text is selected instead. */
async function copyText(button, content, text) {
  const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  if (!copied) getSelection()?.selectAllChildren(content);
  setText(button, copied ? "Copied" : "Selected: copy it with the keyboard");
  setTimeout(() => setText(button, "Copy"), 2_000);
}

const STYLES = new CSSStyleSheet();
STYLES.replaceSync(`
.tl-panel {
  margin: 2px 0 8px calc(8px + var(--level) * 15px); padding: 8px 12px 10px; border-left: 2px solid var(--tl-accent);
  border-radius: 0 6px 6px 0; background: var(--tl-hover); font-size: 0.75rem;
}
.tl-cell { display: grid; grid-template-columns: minmax(0, 1fr); gap: 8px; }
.tl-facts, .tl-head span, .tl-log span, .tl-raw summary, .tl-tokens thead { color: var(--tl-muted); }
.tl-head { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 8px; min-height: 24px; }
.tl-head .tl-link { margin-left: auto; }
.tl-panel pre, .tl-log {
  max-height: 16rem; margin: 0; padding: 6px 8px; overflow: auto; border: 1px solid var(--tl-line); border-radius: 4px;
  background: var(--surface, Canvas); color: var(--tl-ink); white-space: pre-wrap;
}
.tl-panel pre { font: 0.75rem/1.45 var(--mono, ui-monospace, monospace); }
.tl-log { list-style: none; } .tl-log span { display: inline-block; min-width: 4.5em; padding-right: 8px; }
.tl-tokens { width: fit-content; max-width: 100%; border-collapse: collapse; font-size: 0.75rem; }
.tl-tokens :is(th, td) { padding: 2px 0 2px 16px; text-align: right; font-weight: 400; }
.tl-tokens th:first-child { padding-left: 0; text-align: left; overflow-wrap: anywhere; }
.tl-tokens tr:not(:first-child):last-child { font-weight: 600; }
.tl-raw summary { min-height: 24px; cursor: pointer; }
@media (max-width: 40rem) { .tl-panel { margin-left: 4px; padding-inline: 8px; } .tl-tokens :is(th, td) { padding-left: 8px; } }
`);
