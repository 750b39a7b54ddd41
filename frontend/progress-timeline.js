/**
 * `<progress-timeline>`: a waterfall of agents, nodes and tools, drawn while they run.
 *
 * It draws with timeline-parts.js, dom.js and format.js; step-details.js is loaded when a row is opened, task-connection.js by
 * `connectToTask`. docs/PAGE.md has examples, and says why it is fast.
 */

import { h, setText } from "./dom.js";
import { count, duration, plainName, tokensOf, usageWords } from "./format.js";
import { detailLines, hintOf, roomFor, roundInterval, STYLES } from "./timeline-parts.js";

/**
 * A row. Times are ms since the epoch; `end` is null while it runs. The root has no parent and no row. Optional: `text` is
 * what it reported last, `total` is 0 when nothing is counted, `targets` are the agents that it chose, `usage` its tokens.
 * What else an open row shows, step-details.js says.
 * @typedef {{
 *   kind: "agent" | "node" | "tool" | "note" | "handoff", name: string, agent: string, parent: Step | null, children: Step[],
 *   state: "running" | "waiting" | "done" | "failed" | "canceled" | "superseded", start: number, end: number | null,
 *   attempt?: number, text?: string, done?: number, total?: number, targets?: {agent: string, reason: string}[],
 *   error?: string, input?: string, usage?: {input: number, output: number, models: Map<string, {input: number, output: number}>} | null,
 * }} Step
 *
 * `start` is null before the first event, `end` while it goes on. `updatedAt` is the time of the newest event. `changed` has
 * the steps to draw again, new ones among them. `counts.superseded`: how many steps another attempt has replaced. `prices`
 * has by model what a million tokens cost in dollars. `streamUrl` is the address of the task's events after a seq.
 * @typedef {{
 *   root: Step, start: number | null, end: number | null, updatedAt: number, changed: Set<Step>,
 *   counts: {superseded: number}, prices?: Record<string, {input: number, output: number}>,
 *   streamUrl?: (cursor: number) => string,
 * }} Run
 */

const SHOWN_CHILDREN = 60;
const MORE_CHILDREN = 200; // added by one click
const MANY_ROWS = 300; // with so many rows, a new parent begins folded
const AXIS_MARKS = 5; // about so many
const MAX_INDENT = 5;
/** Shown beside the name. That a step runs or is done can be seen without a word. */
const STATE_WORDS = { failed: "failed", canceled: "canceled", superseded: "superseded", waiting: "waits for you" };

/** A server may import this file, to render a page that has the element. @type {typeof HTMLElement} */
const PageElement = globalThis.HTMLElement ?? class {};

export class ProgressTimeline extends PageElement {
  /** @type {Map<Step, any>} */ #rows = new Map();
  /** @type {Set<any>} */ #running = new Set();
  /** @type {Map<Step, number>} */ #limits = new Map(); // how many children a parent shows, where it is not the default
  /** @type {Map<Step, number>} */ #firsts = new Map(); // index of the first child with a row
  /** @type {Map<Step, any>} */ #details = new Map(); // of the open rows
  /** @type {any} */ #run = null;
  /** @type {any} */ #newest = null; // row
  /** @type {any} */ #stream = null; // see connectToTask()
  #follows = true; // the newest row
  #scrolledTo = 0; // by us
  #span = 0; // seconds from the left to the right
  #axis = h("div.tl-axis", { ariaHidden: "true" });
  #body = h("div.tl-body", { role: "none" });
  #jump = h("button.tl-link.tl-jump", { type: "button", hidden: true }, "Newest step");
  #toggle = h("button.tl-link", { type: "button", hidden: true });

  /** @param {string} [containerId] id of the element to append it to */
  constructor(containerId) {
    super();
    if (containerId) document.getElementById(containerId)?.append(this);
  }

  connectedCallback() {
    const { adoptedStyleSheets } = /** @type {any} */ (this.getRootNode());
    if (!adoptedStyleSheets.includes(STYLES)) adoptedStyleSheets.push(STYLES);
    if (this.#axis.parentNode) return;
    this.setAttribute("role", "treegrid");
    this.ariaLabel ??= "Timeline";
    this.replaceChildren(this.#axis, this.#body, this.#jump, this.#toggle); // white space from a page's HTML goes
    this.addEventListener("keydown", (event) => this.#handleKey(event));
    this.addEventListener("click", (event) => this.#handleClick(event));
    this.#body.addEventListener("scroll", () => this.#handleScroll(), { passive: true });
    this.#jump.addEventListener("click", () => this.#follow(true));
    this.#toggle.addEventListener("click", () => {
      this.classList.toggle("show-superseded");
      this.#drawToggle();
    });
  }

  disconnectedCallback() {
    this.#stream?.close();
  }

  /**
   * Follow a task of the gateway that serves this file, from its first event on.
   * @param {string} id @returns {Promise<import("./event-stream.js").EventStream>}
   */
  async connectToTask(id) {
    const { connect } = await import("./task-connection.js");
    this.#stream?.close();
    return (this.#stream = connect(this, id));
  }

  /**
   * Draw the steps in `run.changed`, and empty it. A run that was not drawn before is drawn as a whole.
   * @param {Run} run @param {number} now by the clock of the run's times
   */
  draw(run, now) {
    if (run !== this.#run) {
      this.#reset(run);
    } else {
      const grown = new Set();
      for (const step of run.changed) {
        const row = this.#rows.get(step);
        if (row) this.#paint(row);
        else if (step.parent) grown.add(step.parent);
        this.#details.get(step)?.draw(run);
      }
      for (const parent of grown) this.#showChildren(parent);
    }
    const changed = run.changed.size > 0;
    run.changed.clear();
    this.#drawToggle();
    this.tick(now);
    if (changed) this.#follow(this.#follows);
  }

  /** Move what runs. @param {number} now as for `draw` */
  tick(now) {
    const run = this.#run;
    if (!run || run.start === null) return;
    const elapsed = Math.max(0, (run.end ?? Math.max(now, run.updatedAt)) - run.start) / 1000;
    this.#scale(run.end === null ? roomFor(elapsed) : Math.max(elapsed, 0.001));
    // A property of the whole timeline would cost a new style of every row.
    for (const { step, bar, time } of this.#running) {
      bar.style.setProperty("--e", elapsed.toFixed(2));
      setText(time, duration(run.start + elapsed * 1000 - step.start));
    }
  }

  #reset(run) {
    this.#run = run;
    for (const collection of [this.#rows, this.#running, this.#limits, this.#firsts, this.#details]) collection.clear();
    this.#span = 0;
    this.#newest = null;
    this.#follows = true;
    this.classList.remove("show-superseded");
    this.#body.replaceChildren();
    this.#showChildren(run.root);
  }

  /** Give a parent the rows of its newest children, and a button for the earlier ones. A folded one has no rows. */
  #showChildren(parent) {
    const parentRow = this.#rows.get(parent);
    const box = parent.parent ? parentRow?.children : this.#body;
    if (!box) return; // the parent is one of the earlier steps itself
    if (parentRow?.row.ariaExpanded === "false" && parentRow.isParent) return;
    if (parentRow && !parentRow.isParent) {
      parentRow.isParent = true;
      parentRow.row.classList.add("tl-parent");
      parentRow.row.ariaExpanded = String(this.#rows.size < MANY_ROWS);
      if (this.#rows.size >= MANY_ROWS) return;
    }
    const limit = this.#limits.get(parent) ?? SHOWN_CHILDREN;
    const first = Math.max(0, parent.children.length - limit);
    const shown = parent.children.slice(first);
    for (const step of shown) delete this.#rows.get(step)?.box.dataset.kept;
    // What somebody reads stays above the newest rows.
    const left = [...box.querySelectorAll(":scope > [data-kept]")].map((child) => child.firstChild.step);
    for (const step of [...left, ...parent.children.slice(this.#firsts.get(parent), first)]) this.#removeRow(step, true);
    this.#firsts.set(parent, first);
    let previous = [...box.querySelectorAll(":scope > [data-kept]")].at(-1);
    for (const step of shown) {
      const child = (this.#rows.get(step) ?? this.#makeRow(step)).box;
      if (child.parentNode !== box) (previous ? previous.after(child) : box.prepend(child));
      previous = child;
    }
    box.querySelector(":scope > .tl-link")?.remove();
    if (!first) return;
    const onclick = () => {
      this.#limits.set(parent, limit + MORE_CHILDREN);
      this.#showChildren(parent);
    };
    box.prepend(h("button.tl-link", { type: "button", onclick }, `${count(first)} earlier steps`));
  }

  /** @param {Step} step @param {boolean} [unlessRead] keep it if it, or a row below it, is open or has the focus */
  #removeRow(step, unlessRead) {
    const row = this.#rows.get(step);
    if (!row) return;
    if (unlessRead && (row.box.contains(document.activeElement) || row.box.querySelector(".tl-panel"))) {
      row.box.dataset.kept = "";
      return;
    }
    row.box.remove();
    for (const collection of [this.#rows, this.#details]) collection.delete(step);
    this.#running.delete(row);
    if (row.row.tabIndex === 0) this.#makeTabStop(this.querySelector(".tl-row"));
    for (const child of step.children) this.#removeRow(child);
  }

  #makeRow(step) {
    let level = 1;
    for (let parent = step.parent; parent.parent; parent = parent.parent) level += 1;
    const cell = (part, role, ...children) => h(`div.tl-${part}`, { role }, ...children);
    const spans = ["label", "hint", "by", "state", "usage"].map((part) => h(`span.tl-${part}`));
    const [name, hint, agent, state, usage] = spans;
    const bar = h("div.tl-bar");
    const [time, details] = [cell("time", "gridcell"), cell("details", "gridcell")];
    const head = cell("name", "rowheader", h("span.tl-mark"), name, agent, state, usage, hint);
    const element = cell("row", "row", head, cell("track", "none", bar), time, details);
    Object.assign(element, { ariaLevel: String(level), ariaExpanded: "false", tabIndex: this.#rows.size ? -1 : 0, step });
    const children = cell("children", "none");
    const box = h("div", { role: "none" }, element, children);
    box.style.setProperty("--level", String(Math.min(level - 1, MAX_INDENT)));
    const cells = { row: element, name, hint, agent, state, usage, bar, time, details, children };
    const row = { ...cells, step, level, box, isParent: false, lines: "" };
    this.#rows.set(step, row);
    if (!this.#newest || step.start >= this.#newest.step.start) this.#newest = row;
    this.#paint(row);
    if (step.children.length) this.#showChildren(step);
    return row;
  }

  #paint(row) {
    const { step, bar, details } = row;
    const { kind, agent, start, end, state } = step;
    const parent = /** @type {Step} */ (step.parent);
    const seconds = (time) => ((time - this.#run.start) / 1000).toFixed(3);
    if (state === "running") this.#running.add(row);
    else this.#running.delete(row);
    row.box.className = `tl-step tl-${kind} is-${state}`;
    row.row.title = (step.attempt ?? 1) > 1 ? `attempt ${step.attempt}` : "";
    setText(row.name, plainName(step.name));
    // The agent is named where the work changes hands, unless the row above names it.
    setText(row.agent, kind === "agent" || agent === parent.agent || parent.name.includes(agent) ? "" : plainName(agent));
    setText(row.state, STATE_WORDS[state] ?? "");
    // Tokens are shown where they were used, and not again above that.
    const tokens = tokensOf(step.usage);
    const isSame = step.children.slice(-SHOWN_CHILDREN).some((child) => tokensOf(child.usage) === tokens);
    setText(row.usage, tokens && !isSame ? usageWords(step.usage, this.#run.prices) : "");
    setText(row.hint, kind === "tool" ? hintOf(step.input ?? "") : "");
    bar.style.setProperty("--s", seconds(start));
    if (end !== null) bar.style.setProperty("--e", seconds(end));
    if (end !== null) setText(row.time, end > start ? duration(end - start) : "");
    const lines = JSON.stringify([step.text, step.done, step.total, state, step.targets, step.error]);
    if (lines === row.lines) return;
    row.lines = lines;
    details.replaceChildren(...detailLines(step));
    details.hidden = !details.firstChild;
  }

  #scale(span) {
    if (span === this.#span) return;
    this.#span = span;
    this.style.setProperty("--span", String(span));
    const interval = roundInterval(span / AXIS_MARKS);
    this.style.setProperty("--every", String(interval));
    const marks = [];
    for (let at = 0; at < span * 0.8; at += interval) {
      const mark = h("span", at ? duration(at * 1000).replace(".0 s", " s") : "0");
      mark.style.setProperty("--s", String(at));
      marks.push(mark);
    }
    this.#axis.replaceChildren(h("div.tl-marks", ...marks));
  }

  #drawToggle() {
    const { superseded } = this.#run.counts;
    this.#toggle.hidden = !superseded;
    const verb = this.classList.contains("show-superseded") ? "Hide" : "Show";
    setText(this.#toggle, `${verb} ${count(superseded)} superseded ${superseded === 1 ? "step" : "steps"}`);
  }

  /** @param {boolean} follows whether the newest row is to stay in sight. Only the timeline scrolls, never the page. */
  #follow(follows) {
    this.#follows = follows;
    const [area, row] = [this.#body, this.#newest?.row].map((element) => element?.getBoundingClientRect());
    if (follows && row?.height && this.#run.end === null) {
      this.#body.scrollTop += Math.max(0, row.bottom + 4 - area.bottom) || Math.min(0, row.top - area.top);
    }
    this.#scrolledTo = this.#body.scrollTop;
    this.#jump.hidden = follows || this.#run.end !== null;
  }

  /** A reader who scrolls away from the newest row stays there, also when a part of the row is still in sight. */
  #handleScroll() {
    if (!this.#run || Math.abs(this.#body.scrollTop - this.#scrolledTo) < 2) return;
    const [area, row] = [this.#body, this.#newest?.row].map((element) => element?.getBoundingClientRect());
    this.#follow(Boolean(row?.height) && row.top > area.top - 2 && row.bottom < area.bottom + 2);
  }

  #handleClick(event) {
    const element = event.target.closest(".tl-row");
    // A reader who selects text does not want to open the row.
    if (!element || String(getSelection())) return;
    if (event.target.closest(".tl-mark")) this.#fold(element);
    else this.#open(element.step);
    this.#focusRow(element, true);
  }

  /** Fold or unfold a parent; open or close the details of any other row. */
  #fold(element, open = element.ariaExpanded !== "true") {
    const row = this.#rows.get(element.step);
    if (!row.isParent) return this.#open(row.step, open);
    element.ariaExpanded = String(open);
    if (open) this.#showChildren(row.step);
  }

  /** Open or close a row's details. */
  async #open(step, open = !this.#details.has(step)) {
    const row = this.#rows.get(step);
    if (!row.isParent) row.row.ariaExpanded = String(open);
    row.row.classList.toggle("tl-open", open);
    if (!open) {
      this.#details.get(step)?.element.remove();
      this.#details.delete(step);
      return;
    }
    this.#follow(false);
    const { StepDetails } = await import("./step-details.js");
    if (this.#rows.get(step) !== row || !row.row.classList.contains("tl-open") || this.#details.has(step)) return;
    const details = new StepDetails(step, row.level + 1);
    this.#details.set(step, details);
    row.row.after(details.element);
    details.draw(this.#run);
    const [area, head, panel] = [this.#body, row.row, details.element].map((element) => element.getBoundingClientRect());
    this.#body.scrollTop += Math.max(0, Math.min(panel.bottom - area.bottom, head.top - area.top));
  }

  /** Make this the one row that Tab stops at; the arrow keys reach the others. */
  #makeTabStop(row) {
    for (const other of this.querySelectorAll('.tl-row[tabindex="0"]')) other.setAttribute("tabindex", "-1");
    row?.setAttribute("tabindex", "0");
  }

  #focusRow(row, preventScroll = false) {
    if (!row) return;
    this.#makeTabStop(row);
    row.focus({ preventScroll });
  }

  /** The keys of a treegrid, as WAI-ARIA's authoring practices list them. */
  #handleKey(event) {
    const row = event.target.closest(".tl-row");
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    /** @type {any[]} */
    const visible = [...this.querySelectorAll(".tl-row")].filter((other) => other.getClientRects().length);
    const index = visible.indexOf(row);
    const open = row.ariaExpanded === "true";
    const { isParent } = this.#rows.get(row.step);
    const actions = {
      ArrowDown: () => this.#focusRow(visible[index + 1]),
      ArrowUp: () => this.#focusRow(visible[index - 1]),
      Home: () => this.#focusRow(visible[0]),
      End: () => this.#focusRow(visible.at(-1)),
      ArrowLeft: () => (open ? this.#fold(row, false) : this.#focusRow(this.#rows.get(row.step.parent)?.row)),
      ArrowRight: () => (!open ? this.#fold(row, true) : isParent && this.#focusRow(visible[index + 1])),
      Enter: () => this.#open(row.step),
      " ": () => this.#open(row.step),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }
}

globalThis.customElements?.define("progress-timeline", ProgressTimeline);
