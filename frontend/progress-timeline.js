/**
 * `<progress-timeline>`: a waterfall of agents, nodes and tools, drawn as it happens.
 *
 *     timeline.draw(task, now)  draws the steps in `task.changed`, no others; `now` by the server's clock
 *     timeline.tick(now)        a few times a second while something runs
 *
 * It wants the model of task-state.js and its stylesheet, nothing else of the page.
 *
 * Time never touches a row: a bar holds its start and end as custom properties, the timeline holds
 * `--now` and `--span`, and one property written on one element moves every bar. A parent shows its
 * newest 60 children, so 20,000 steps are as quick as twenty.
 *
 * @typedef {import("./task-state.js").Step} Step
 */

import { h, meter, setText } from "./dom.js";
import { count, duration } from "./time.js";

const SHOWN = 60;
const LONGEST = 2_000; // characters of what a step says
const MARKS = 5; // about so many on the axis

/** What is said beside the name; running and done are plain to see. */
const WORDS = { failed: "failed", canceled: "canceled", superseded: "superseded", waiting: "waits for you" };

export class ProgressTimeline extends HTMLElement {
  /** @type {Map<Step, any>} */ #rows = new Map();
  /** @type {Set<Step>} */ #running = new Set();
  /** @type {Map<Step, number>} */ #limits = new Map();
  /** @type {any} */ #task = null;
  #span = 0;
  #axis = h("div.tl-axis", { "aria-hidden": "true" });
  #body = h("div.tl-body", { role: "none" });
  #dead = h("button.tl-link", { type: "button", hidden: true });

  connectedCallback() {
    if (this.firstChild) return;
    this.setAttribute("role", "treegrid");
    this.append(this.#axis, this.#body, this.#dead);
    this.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("click", (event) => this.#click(event));
    this.#dead.addEventListener("click", () => {
      this.classList.toggle("show-superseded");
      this.#offerDead();
    });
  }

  draw(task, now) {
    if (task !== this.#task) this.#reset(task);
    const grown = new Set();
    for (const step of task.changed) {
      if (step.state === "running") this.#running.add(step);
      else this.#running.delete(step);
      const row = this.#rows.get(step);
      if (row) this.#paint(row);
      else if (step.parent) grown.add(step.parent);
    }
    task.changed.clear();
    for (const parent of grown) this.#grow(parent);
    this.#offerDead();
    this.tick(now);
  }

  tick(now) {
    const task = this.#task;
    if (!task || task.start === null) return;
    const elapsed = Math.max(0, (task.end ?? Math.max(now, task.ts)) - task.start) / 1000;
    this.style.setProperty("--now", elapsed.toFixed(2));
    this.#scale(task.end === null ? roomFor(elapsed) : Math.max(elapsed, 0.001));
    for (const step of this.#running) {
      const row = this.#rows.get(step);
      if (row) setText(row.time, duration(task.start + elapsed * 1000 - step.start));
    }
  }

  #reset(task) {
    this.#task = task;
    this.#rows.clear();
    this.#running.clear();
    this.#limits.clear();
    this.#span = 0;
    this.classList.remove("show-superseded");
    this.#body.replaceChildren();
    for (const step of task.steps.values()) task.changed.add(step);
  }

  /** Give a parent the rows of its newest children, and a button for those before. */
  #grow(parent) {
    const row = this.#rows.get(parent);
    const box = parent.parent ? row?.children : this.#body;
    if (!box) return; // the parent is itself among the earlier ones
    const limit = this.#limits.get(parent) ?? SHOWN;
    const first = Math.max(0, parent.children.length - limit);
    for (const step of parent.children.slice(0, first)) this.#forget(step);
    let last = null;
    for (const step of parent.children.slice(first)) {
      const child = (this.#rows.get(step) ?? this.#make(step)).box;
      if (child.parentNode !== box) (last ? last.after(child) : box.prepend(child));
      last = child;
    }
    box.querySelector(":scope > .tl-link")?.remove();
    if (first) {
      const more = () => {
        this.#limits.set(parent, limit + 200);
        this.#grow(parent);
      };
      box.prepend(h("button.tl-link", { type: "button", onclick: more }, `${count(first)} earlier steps`));
    }
    if (row && !row.row.hasAttribute("aria-expanded")) row.row.setAttribute("aria-expanded", "true");
  }

  #forget(step) {
    const row = this.#rows.get(step);
    if (!row) return;
    row.box.remove();
    this.#rows.delete(step);
    if (row.row.tabIndex === 0) this.#reach(this.querySelector(".tl-row"));
    for (const child of step.children) this.#forget(child);
  }

  #make(step) {
    let level = 1;
    for (let up = step.parent; up.parent; up = up.parent) level += 1;
    const [name, who, word] = ["label", "who", "word"].map((part) => h("span", { class: `tl-${part}` }));
    const cell = (part, role, ...children) => h("div", { class: `tl-${part}`, role }, ...children);
    const bar = h("div.tl-bar");
    const time = cell("time", "gridcell");
    const more = cell("more", "gridcell");
    const head = cell("name", "rowheader", h("span.tl-mark"), name, who, word);
    const row = cell("row", "row", head, cell("track", "none", bar), time, more);
    row.setAttribute("aria-level", level);
    row.tabIndex = this.#rows.size ? -1 : 0;
    row.step = step;
    const children = cell("children", "none");
    const box = h("div", { role: "none" }, row, children);
    box.style.setProperty("--level", String(Math.min(level, 6) - 1));
    const made = { box, row, name, who, word, bar, time, more, children, step };
    this.#rows.set(step, made);
    this.#paint(made);
    if (step.children.length) this.#grow(step);
    return made;
  }

  #paint({ box, row, name, who, word, bar, time, more, step }) {
    const at = (ts) => ((ts - this.#task.start) / 1000).toFixed(3);
    const { kind, agent, parent, end } = step;
    box.className = `tl-step tl-${kind} is-${step.state}`;
    row.title = step.attempt > 1 ? `attempt ${step.attempt}` : "";
    setText(name, step.name);
    // The agent is named where the work changes hands, unless the row above says it already.
    setText(who, kind === "agent" || agent === parent.agent || parent.name.includes(agent) ? "" : agent);
    setText(word, WORDS[step.state] ?? "");
    bar.style.setProperty("--s", at(step.start));
    if (end === null) bar.style.removeProperty("--e");
    else bar.style.setProperty("--e", at(end));
    if (end !== null) setText(time, end > step.start ? duration(end - step.start) : "");
    more.replaceChildren(...said(step));
    more.hidden = !more.firstChild;
  }

  #scale(span) {
    if (span === this.#span) return;
    this.#span = span;
    this.style.setProperty("--span", String(span));
    const every = niceStep(span / MARKS);
    this.style.setProperty("--every", String(every));
    const marks = [];
    for (let at = 0; at < span * 0.8; at += every) {
      const mark = h("span", at ? duration(at * 1000).replace(".0 s", " s") : "0");
      mark.style.setProperty("--s", String(at));
      marks.push(mark);
    }
    this.#axis.replaceChildren(h("div.tl-marks", ...marks));
  }

  #offerDead() {
    const dead = this.#task.dead;
    this.#dead.hidden = !dead;
    const verb = this.classList.contains("show-superseded") ? "hide" : "show";
    setText(this.#dead, `${verb} ${count(dead)} superseded ${dead === 1 ? "step" : "steps"}`);
  }

  #click(event) {
    const row = event.target.closest(".tl-row");
    // A reader who selects text is not asking to fold.
    if (!row || String(getSelection())) return;
    this.#setOpen(row);
    this.#focus(row);
  }

  #setOpen(row, open = row.getAttribute("aria-expanded") !== "true") {
    if (row.hasAttribute("aria-expanded")) row.setAttribute("aria-expanded", String(open));
  }

  /** The one row that Tab stops at; arrows do the rest. */
  #reach(row) {
    for (const before of this.querySelectorAll('.tl-row[tabindex="0"]')) before.setAttribute("tabindex", "-1");
    row.setAttribute("tabindex", "0");
  }

  #focus(row) {
    if (!row) return;
    this.#reach(row);
    row.focus();
  }

  /** The keys of a treegrid. */
  #key(event) {
    const row = event.target.closest(".tl-row");
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const rows = [...this.querySelectorAll(".tl-row")].filter((one) => one.getClientRects().length);
    const at = rows.indexOf(row);
    const open = row.getAttribute("aria-expanded");
    const parent = this.#rows.get(row.step.parent)?.row;
    const does = {
      ArrowDown: () => this.#focus(rows[at + 1]),
      ArrowUp: () => this.#focus(rows[at - 1]),
      Home: () => this.#focus(rows[0]),
      End: () => this.#focus(rows.at(-1)),
      ArrowLeft: () => (open === "true" ? this.#setOpen(row, false) : this.#focus(parent)),
      ArrowRight: () => (open === "false" ? this.#setOpen(row, true) : open && this.#focus(rows[at + 1])),
      Enter: () => this.#setOpen(row),
      " ": () => this.#setOpen(row),
    };
    if (!does[event.key]) return;
    event.preventDefault();
    does[event.key]();
  }
}

const brief = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)} … ${count(text.length)} characters` : text);

/** What a step says under its row. */
function said({ text: whole, done, total, state, targets, error }) {
  const lines = [];
  const text = brief(whole);
  const share = total ? `${count(done)} of ${count(total)}` : "";
  if (text || share) {
    // Most progress texts carry the figures themselves.
    const words = share && !/\d/.test(text) ? `${text} ${share}` : text;
    lines.push(h("div.tl-said", total > 0 && state === "running" && meter(done / total), h("span", words)));
  }
  for (const { agent, reason } of targets) lines.push(h("div.tl-target", h("b", agent), ` ${reason}`));
  if (error) lines.push(h("div.tl-error", brief(error)));
  return lines;
}

/** A span with room to grow into, so that bars grow instead of the whole picture shrinking. */
function roomFor(elapsed) {
  const wanted = Math.max(elapsed * 1.08, 2);
  const step = niceStep(wanted / 4);
  return Math.ceil(wanted / step) * step;
}

/** The next 1, 2 or 5 times a power of ten, in seconds, minutes or hours. */
function niceStep(least) {
  const unit = least > 1800 ? 3600 : least > 30 ? 60 : 1;
  const power = unit * 10 ** Math.floor(Math.log10(least / unit));
  return power * ([1, 2, 5].find((n) => n * power >= least) ?? 10);
}

customElements.define("progress-timeline", ProgressTimeline);
