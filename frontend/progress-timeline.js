/**
 * `<progress-timeline>`: a waterfall of agents, nodes and tools, drawn while they run.
 *
 * This file needs no other. docs/PAGE.md has an example, and says why it is fast.
 */

/**
 * A row. All times are ms since the epoch.
 * @typedef {object} Step
 * @property {string} kind agent, node, tool, note or handoff
 * @property {string} name
 * @property {string} agent that did it
 * @property {Step | null} parent null for the root, which has no row
 * @property {Step[]} children
 * @property {number} start
 * @property {number | null} end null while it runs
 * @property {string} state running, waiting, done, failed, canceled or superseded
 * @property {number} [attempt] 1, 2, 3 …
 * @property {string} [text] what it reported last
 * @property {number} [done] of `total`
 * @property {number} [total] 0 when nothing is counted
 * @property {{agent: string, reason: string}[]} [targets] the agents that it chose
 * @property {string} [error]
 */

/**
 * @typedef {object} Run
 * @property {Step} root holds the steps that no other step began
 * @property {number | null} start null before the first event
 * @property {number | null} end null while it goes on
 * @property {number} updatedAt the time of the newest event
 * @property {{superseded: number}} counts how many steps another attempt has replaced
 * @property {Set<Step>} changed the steps to draw again, new ones among them
 */

const SHOWN_CHILDREN = 60;
const MORE_CHILDREN = 200; // added by one click
const MAX_CHARACTERS = 2_000; // of a step's text
const AXIS_MARKS = 5; // about so many
const MAX_INDENT = 5;
/** Shown beside the name. That a step runs or is done can be seen without a word. */
const STATE_WORDS = { failed: "failed", canceled: "canceled", superseded: "superseded", waiting: "waits for you" };

export class ProgressTimeline extends HTMLElement {
  /** @type {Map<Step, any>} */ #rows = new Map();
  /** @type {Set<any>} */ #running = new Set();
  /** @type {Map<Step, number>} */ #limits = new Map(); // how many children a parent shows, where it is not the default
  /** @type {Map<Step, number>} */ #firsts = new Map(); // index of the first child with a row
  /** @type {any} */ #run = null;
  #span = 0; // seconds from the left to the right
  #axis = make("div", { className: "tl-axis", ariaHidden: "true" });
  #body = make("div", { className: "tl-body", role: "none" });
  #toggle = make("button", { className: "tl-link", type: "button", hidden: true });

  connectedCallback() {
    const { adoptedStyleSheets } = /** @type {any} */ (this.getRootNode());
    if (!adoptedStyleSheets.includes(STYLES)) adoptedStyleSheets.push(STYLES);
    if (this.#axis.parentNode) return;
    this.setAttribute("role", "treegrid");
    this.replaceChildren(this.#axis, this.#body, this.#toggle); // white space from a page's HTML goes
    this.addEventListener("keydown", (event) => this.#handleKey(event));
    this.addEventListener("click", (event) => this.#handleClick(event));
    this.#toggle.addEventListener("click", () => {
      this.classList.toggle("show-superseded");
      this.#drawToggle();
    });
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
      }
      for (const parent of grown) this.#showChildren(parent);
    }
    run.changed.clear();
    this.#drawToggle();
    this.tick(now);
  }

  /** Move what runs. @param {number} now as for `draw` */
  tick(now) {
    const run = this.#run;
    if (!run || run.start === null) return;
    const elapsed = Math.max(0, (run.end ?? Math.max(now, run.updatedAt)) - run.start) / 1000;
    this.style.setProperty("--now", elapsed.toFixed(2));
    this.#scale(run.end === null ? roomFor(elapsed) : Math.max(elapsed, 0.001));
    for (const { step, time } of this.#running) setText(time, duration(run.start + elapsed * 1000 - step.start));
  }

  #reset(run) {
    this.#run = run;
    for (const collection of [this.#rows, this.#running, this.#limits, this.#firsts]) collection.clear();
    this.#span = 0;
    this.classList.remove("show-superseded");
    this.#body.replaceChildren();
    this.#showChildren(run.root);
  }

  /** Give a parent the rows of its newest children, and a button for the earlier ones. */
  #showChildren(parent) {
    const parentRow = this.#rows.get(parent);
    const box = parent.parent ? parentRow?.children : this.#body;
    if (!box) return; // the parent is one of the earlier steps itself
    const limit = this.#limits.get(parent) ?? SHOWN_CHILDREN;
    const first = Math.max(0, parent.children.length - limit);
    for (const step of parent.children.slice(this.#firsts.get(parent), first)) this.#removeRow(step);
    this.#firsts.set(parent, first);
    let previous = null;
    for (const step of parent.children.slice(first)) {
      const child = (this.#rows.get(step) ?? this.#makeRow(step)).box;
      if (child.parentNode !== box) (previous ? previous.after(child) : box.prepend(child));
      previous = child;
    }
    box.querySelector(":scope > .tl-link")?.remove();
    if (first) {
      const onclick = () => {
        this.#limits.set(parent, limit + MORE_CHILDREN);
        this.#showChildren(parent);
      };
      box.prepend(make("button", { className: "tl-link", type: "button", onclick }, `${count(first)} earlier steps`));
    }
    if (parentRow && parentRow.row.ariaExpanded === null) parentRow.row.ariaExpanded = "true";
  }

  #removeRow(step) {
    const row = this.#rows.get(step);
    if (!row) return;
    row.box.remove();
    this.#rows.delete(step);
    this.#running.delete(row);
    if (row.row.tabIndex === 0) this.#makeTabStop(this.querySelector(".tl-row"));
    for (const child of step.children) this.#removeRow(child);
  }

  #makeRow(step) {
    let level = 1;
    for (let parent = step.parent; parent.parent; parent = parent.parent) level += 1;
    const cell = (part, role, ...children) => make("div", { className: `tl-${part}`, role }, ...children);
    const [name, agent, state] = ["label", "by", "state"].map((part) => make("span", { className: `tl-${part}` }));
    const bar = make("div", { className: "tl-bar" });
    const [time, details] = [cell("time", "gridcell"), cell("details", "gridcell")];
    const head = cell("name", "rowheader", make("span", { className: "tl-mark" }), name, agent, state);
    const element = cell("row", "row", head, cell("track", "none", bar), time, details);
    Object.assign(element, { ariaLevel: String(level), tabIndex: this.#rows.size ? -1 : 0, step });
    const children = cell("children", "none");
    const box = make("div", { role: "none" }, element, children);
    box.style.setProperty("--level", String(Math.min(level - 1, MAX_INDENT)));
    const row = { step, box, row: element, name, agent, state, bar, time, details, children };
    this.#rows.set(step, row);
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
    setText(row.name, step.name);
    // The agent is named where the work changes hands, unless the row above names it.
    setText(row.agent, kind === "agent" || agent === parent.agent || parent.name.includes(agent) ? "" : agent);
    setText(row.state, STATE_WORDS[state] ?? "");
    bar.style.setProperty("--s", seconds(start));
    if (end === null) bar.style.removeProperty("--e");
    else bar.style.setProperty("--e", seconds(end));
    if (end !== null) setText(row.time, end > start ? duration(end - start) : "");
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
      const mark = make("span", {}, at ? duration(at * 1000).replace(".0 s", " s") : "0");
      mark.style.setProperty("--s", String(at));
      marks.push(mark);
    }
    this.#axis.replaceChildren(make("div", { className: "tl-marks" }, ...marks));
  }

  #drawToggle() {
    const { superseded } = this.#run.counts;
    this.#toggle.hidden = !superseded;
    const verb = this.classList.contains("show-superseded") ? "Hide" : "Show";
    setText(this.#toggle, `${verb} ${count(superseded)} superseded ${superseded === 1 ? "step" : "steps"}`);
  }

  #handleClick(event) {
    const row = event.target.closest(".tl-row");
    // A reader who selects text does not want to fold the row.
    if (!row || String(getSelection())) return;
    this.#fold(row);
    this.#focusRow(row);
  }

  #fold(row, open = row.ariaExpanded !== "true") {
    if (row.ariaExpanded !== null) row.ariaExpanded = String(open);
  }

  /** Make this the one row that Tab stops at; the arrow keys reach the others. */
  #makeTabStop(row) {
    for (const other of this.querySelectorAll('.tl-row[tabindex="0"]')) other.setAttribute("tabindex", "-1");
    row?.setAttribute("tabindex", "0");
  }

  #focusRow(row) {
    if (!row) return;
    this.#makeTabStop(row);
    row.focus();
  }

  /** The keys of a treegrid, as WAI-ARIA's authoring practices list them. */
  #handleKey(event) {
    const row = event.target.closest(".tl-row");
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    /** @type {any[]} */
    const visible = [...this.querySelectorAll(".tl-row")].filter((other) => other.getClientRects().length);
    const index = visible.indexOf(row);
    const open = row.ariaExpanded;
    const actions = {
      ArrowDown: () => this.#focusRow(visible[index + 1]),
      ArrowUp: () => this.#focusRow(visible[index - 1]),
      Home: () => this.#focusRow(visible[0]),
      End: () => this.#focusRow(visible.at(-1)),
      ArrowLeft: () => (open === "true" ? this.#fold(row, false) : this.#focusRow(this.#rows.get(row.step.parent)?.row)),
      ArrowRight: () => (open === "false" ? this.#fold(row, true) : open && this.#focusRow(visible[index + 1])),
      Enter: () => this.#fold(row),
      " ": () => this.#fold(row),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }
}

/** `make("div", { className, role }, "text", child)`: an element with properties and children. @returns {any} */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Write only a text that changed: an untouched text node costs no layout and keeps the reader's selection. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** 1,234 @param {number} n */
export const count = (n) => n.toLocaleString("en");

/** 430 ms · 12.4 s · 3 m 12 s · 1 h 04 m @param {number} ms */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const pad = (n) => String(n % 60).padStart(2, "0");
  return seconds < 3600 ? `${minutes} m ${pad(seconds)} s` : `${Math.floor(minutes / 60)} h ${pad(minutes)} m`;
}

const shorten = (text) =>
  text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)} … ${count(text.length)} characters` : text;

/** What is shown below a step's name: its progress, the agents that it chose, its error. @param {Step} step */
function detailLines({ text = "", done = 0, total = 0, state, targets = [], error = "" }) {
  const lines = [];
  const share = total ? `${count(done)} of ${count(total)}` : "";
  if (text || share) {
    // Most progress texts contain the figures.
    const words = share && !/\d/.test(text) ? `${shorten(text)} ${share}` : shorten(text);
    const bar = total > 0 && state === "running" ? [make("progress", { value: done, max: total, ariaHidden: "true" })] : [];
    lines.push(make("div", { className: "tl-progress" }, ...bar, make("span", {}, words)));
  }
  for (const { agent, reason } of targets) {
    lines.push(make("div", { className: "tl-target" }, make("b", {}, agent), ` ${reason}`));
  }
  if (error) lines.push(make("div", { className: "tl-error" }, shorten(error)));
  return lines;
}

/** A span with room to grow: the bars grow, and the picture does not shrink. In seconds. */
function roomFor(elapsed) {
  const wanted = Math.max(elapsed * 1.08, 2);
  const interval = roundInterval(wanted / 4);
  return Math.ceil(wanted / interval) * interval;
}

/** The next 1, 2 or 5 times a power of ten, in seconds, minutes or hours. Takes and returns seconds. */
function roundInterval(least) {
  const unit = least > 1800 ? 3600 : least > 30 ? 60 : 1;
  const power = unit * 10 ** Math.floor(Math.log10(least / unit));
  return power * ([1, 2, 5].find((n) => n * power >= least) ?? 10);
}

const STYLES = new CSSStyleSheet();
STYLES.replaceSync(`
progress-timeline {
  --now: 0; --span: 1; --every: 1;
  --tl-accent: var(--accent, teal); --tl-line: var(--line, silver); --tl-ink: var(--ink, currentColor);
  --tl-muted: var(--muted, gray); --tl-hover: var(--hover, #8882); --tl-warn: var(--warn, orange); --tl-bad: var(--bad, red);
  display: block; font-size: 0.8125rem; line-height: 1.35; font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
.tl-axis, .tl-row { display: grid; grid-template-columns: minmax(0, 42%) minmax(0, 1fr) 72px; column-gap: 12px; }
.tl-axis { height: 20px; color: var(--tl-muted); font-size: 0.6875rem; }
.tl-marks { position: relative; grid-column: 2; overflow-x: clip; border-bottom: 1px solid var(--tl-line); }
.tl-marks span { position: absolute; left: calc(var(--s) / var(--span) * 100%); padding-left: 4px; border-left: 1px solid var(--tl-line); white-space: nowrap; }
/* --tone: the colour of a step's state */
.tl-row { --tone: color-mix(in srgb, var(--tl-accent) 45%, var(--tl-line)); padding: 3px 0; border-radius: 4px; align-items: center; }
.tl-agent > .tl-row { --tone: color-mix(in srgb, var(--tl-accent) 15%, var(--tl-line)); }
.tl-tool > .tl-row { --tone: color-mix(in srgb, var(--tl-accent) 70%, var(--tl-line)); }
.is-running > .tl-row { --tone: var(--tl-accent); }
.is-failed > .tl-row { --tone: var(--tl-bad); }
:is(.is-canceled, .tl-handoff) > .tl-row { --tone: var(--tl-muted); }
:is(.is-waiting, .tl-note) > .tl-row { --tone: var(--tl-warn); }
.tl-row:hover { background: var(--tl-hover); } .tl-row[aria-expanded] { cursor: pointer; }
.tl-row[aria-expanded="false"] + .tl-children { display: none; }
.tl-name { display: flex; align-items: baseline; gap: 6px; padding-left: calc(4px + var(--level) * 15px); }
.tl-agent > .tl-row .tl-label { font-weight: 650; }
.tl-tool > .tl-row:not([aria-expanded]) .tl-label { font-family: var(--mono, ui-monospace, monospace); font-size: 0.75rem; }
:is(.tl-note, .tl-handoff) > .tl-row .tl-label { color: var(--tone); }
.tl-by, .tl-state { color: var(--tl-accent); font-size: 0.6875rem; white-space: nowrap; }
.tl-state { color: var(--tl-muted); } .is-failed > .tl-row .tl-state { color: var(--tl-bad); font-weight: 600; }
/* The mark is a triangle where there is something to fold, else a dot. */
.tl-mark { flex: none; align-self: center; width: 8px; height: 8px; background: var(--tone); clip-path: circle(28%); }
.tl-row[aria-expanded] .tl-mark { background: var(--tl-muted); clip-path: polygon(5% 15%, 95% 15%, 50% 95%); }
.tl-row[aria-expanded="false"] .tl-mark { clip-path: polygon(15% 5%, 95% 50%, 15% 95%); }
.tl-track { position: relative; height: 14px; background: linear-gradient(to right, var(--tl-line) 1px, transparent 1px) 0 0 / calc(var(--every) / var(--span) * 100%) 100%; }
.tl-bar {
  --e: var(--now);
  position: absolute; inset-block: 3px; border-radius: 2px; background: var(--tone); left: calc(var(--s) / var(--span) * 100%);
  width: calc((var(--e) - var(--s)) / var(--span) * 100%); min-width: 3px; max-width: calc(100% - var(--s) / var(--span) * 100%);
}
.tl-agent > .tl-row .tl-bar { inset-block: 5px; } .tl-note > .tl-row .tl-bar { inset-block: 0; }
:is(.is-waiting, .is-canceled) > .tl-row .tl-bar { background: repeating-linear-gradient(-45deg, var(--tone) 0 2px, transparent 2px 5px); }
.tl-time { color: var(--tl-muted); text-align: right; white-space: nowrap; }
.is-running > .tl-row .tl-time, .tl-target b { color: var(--tl-ink); }
.tl-details { grid-column: 1 / -1; padding-left: calc(18px + var(--level) * 15px); color: var(--tl-muted); font-size: 0.75rem; }
.tl-progress { display: flex; gap: 8px; align-items: center; }
.tl-progress progress { flex: none; width: 40px; height: 6px; accent-color: var(--tl-accent); }
.tl-error { color: var(--tl-bad); white-space: pre-wrap; } .tl-target b::before { content: "→ "; color: var(--tl-accent); }
.tl-step.is-superseded { display: none; }
progress-timeline.show-superseded .is-superseded { display: block; }
.is-superseded > .tl-row { opacity: 0.6; } .is-superseded > .tl-row .tl-label { text-decoration: line-through; }
.tl-link { border: 0; background: none; color: var(--tl-accent); font-size: 0.75rem; text-decoration: underline; cursor: pointer; }
.tl-children > .tl-link { margin-left: calc(14px + var(--level) * 15px); }
@media (prefers-reduced-motion: no-preference) { .is-running > .tl-row .tl-bar { transition: width 0.1s linear; } }
@media (max-width: 40rem) {
  .tl-axis { grid-template-columns: 1fr; }
  .tl-row { grid-template-columns: minmax(0, 1fr) auto; row-gap: 1px; }
  .tl-marks { grid-column: 1; }
  .tl-time { grid-area: 1 / 2; }
  .tl-track { grid-area: 2 / 1 / 3 / 3; height: 8px; }
  .tl-step > .tl-row .tl-bar { inset-block: 1px; }
}
`);

customElements.define("progress-timeline", ProgressTimeline);
