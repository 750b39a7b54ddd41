/** What a task made: the answer while it is written, then all other artifacts. */

import { h, on, setText } from "./dom.js";
import { plural } from "./format.js";
import { artifactParts } from "./lazy-view.js";
import { MarkdownView } from "./markdown.js";
import { isText } from "./messages.js";
import { isRunning } from "./task-state.js";

const PIECE = 20; // artifacts that are shown at first
const PAUSE = 4; // from one drawing of a text to the next: this many times as long as it took
const PROSE = /^(text\/(plain|markdown))?(;|$)/i;

export class ArtifactsView {
  #summary = h("div");
  #list = h("div.af-list");
  #more = h("button.link", { type: "button", hidden: true });
  element = h("div.af", { "data-testid": "artifacts" }, this.#summary, this.#list, this.#more);
  /** @type {Map<string, ArtifactView>} by the artifact's id */ #views = new Map();
  #shown = PIECE;
  #drawn = /** @type {any[]} */ ([]); // the arguments

  constructor() {
    on(this.#more, "click", () => {
      this.#shown *= 5;
      this.draw(this.#drawn[0], this.#drawn[1]);
    });
  }

  /** @param {any} task @param {{writing?: boolean}} [options] whether the answer is being written */
  draw(task, { writing = false } = {}) {
    this.#drawn = [task, { writing }];
    const { answer, artifacts, state } = task;
    const others = [...artifacts.values()].filter((artifact) => artifact !== answer);
    const all = answer ? [answer, ...others] : others;
    const shown = all.slice(0, this.#shown);
    const kept = new Set(shown.map(({ id }) => id));
    for (const [id, view] of this.#views) if (!kept.has(id)) view.element.remove(), this.#views.delete(id);
    let report = null; // the finished answer, for the findings' links
    shown.forEach((artifact, index) => {
      const isAnswer = artifact === answer;
      const view = this.#views.get(artifact.id) ?? new ArtifactView(this.#summary);
      this.#views.set(artifact.id, view);
      view.draw(artifact, { task, isAnswer, report, writing: isAnswer ? writing : isRunning(state) && !artifact.done });
      if (isAnswer && !writing) report = view.report;
      const { children } = this.#list;
      if (children[index] !== view.element) this.#list.insertBefore(view.element, children[index] ?? null);
    });
    const left = all.length - shown.length;
    this.#more.hidden = !left;
    if (left) setText(this.#more, `Show ${plural(left, "more artifact")}`);
  }
}

class ArtifactView {
  #name = h("h3");
  #about = h("span.aside");
  #head = h("div.af-head", this.#name, this.#about);
  #body = h("div");
  #parts = h("div");
  element = h("section", this.#head, this.#body, this.#parts);
  #summary;
  /** @type {TextView | undefined} */ #textView;
  /** @type {any} */ #partsView;
  /** @type {any} */ #findingsView;
  #drawn = /** @type {any} */ ({});

  /** @param {any} summary where the findings' summary goes */
  constructor(summary) {
    this.#summary = summary;
  }

  get report() {
    return this.#textView?.body ?? null;
  }

  draw(artifact, options) {
    const { isAnswer, writing, report, task } = options;
    const { name, text, parts, version, mediaType } = artifact;
    const drawn = this.#drawn;
    const isSame = artifact === drawn.artifact && version === drawn.version;
    if (isSame && isAnswer === drawn.isAnswer && writing === drawn.writing && report === drawn.report) return;
    this.#drawn = { artifact, version, isAnswer, writing, report };
    const findings = name === "findings" ? parts.flatMap((part) => part.data?.findings ?? []) : [];
    const kind = isAnswer ? "answer" : "artifact";
    this.element.className = findings.length ? "" : `af-${kind}`;
    this.element.dataset.testid = kind;
    // A file says its name itself.
    if (isAnswer || findings.length || (parts.length === 1 && parts[0].filename === name)) this.#head.remove();
    else this.element.prepend(this.#head);
    setText(this.#name, name);
    if (text || this.#textView) {
      if (!this.#textView) this.#body.append((this.#textView = new TextView()).element);
      this.#textView.draw(PROSE.test(mediaType) ? text : fenced(text, mediaType), writing);
    }
    if (findings.length) this.#drawFindings(findings, { task, report });
    else if (!isSame && (this.#partsView || !parts.every(isText))) this.#drawParts(artifact);
    else if (!parts.length && !writing) setText(this.#about, "empty");
  }

  /** Charts are loaded when there is something to draw. */
  async #drawFindings(findings, context) {
    const { FindingsView } = await import("./findings/findings-view.js").catch(() => ({}));
    if (!FindingsView) return this.#drawParts(this.#drawn.artifact);
    if (!this.#findingsView) {
      this.#findingsView = new FindingsView();
      this.#summary.replaceChildren(this.#findingsView.summary);
      this.#parts.append(this.#findingsView.element);
    }
    this.#findingsView.draw(findings, context);
  }

  /** Data and files are not in most answers: what draws them is loaded when they come. */
  async #drawParts(artifact) {
    const { PartsView } = await artifactParts().catch(() => ({}));
    if (!PartsView) {
      const again = h("button.link", { type: "button", onclick: () => this.#drawParts(artifact) }, "Try again");
      return this.#parts.replaceChildren("This could not be loaded. ", again);
    }
    if (!this.#partsView) this.#parts.replaceChildren((this.#partsView = new PartsView()).element);
    setText(this.#about, this.#partsView.draw(artifact));
  }
}

/** Markdown that is drawn less often while it grows, because a long last block takes long; with an outline when it is finished. */
export class TextView {
  body = h("div.md");
  element = h("div", this.body);
  #markdown = new MarkdownView(this.body);
  #text = "";
  #writing = true;
  #outline = /** @type {any} */ (null);
  #timer = 0;
  #nextDrawing = 0; // not before this, by performance.now()

  /** @param {string} text the whole text @param {boolean} [writing] whether more will come */
  draw(text, writing = false) {
    if (text === this.#text && writing === this.#writing) return;
    this.#text = text;
    this.#writing = writing;
    this.#render();
  }

  #render = () => {
    clearTimeout(this.#timer);
    const begun = performance.now();
    if (this.#writing && begun < this.#nextDrawing) {
      this.#timer = window.setTimeout(this.#render, this.#nextDrawing - begun);
      return;
    }
    this.#markdown.update(this.#text);
    this.#nextDrawing = begun + PAUSE * (performance.now() - begun);
    this.body.ariaBusy = String(this.#writing);
    this.#outline?.remove();
    this.#outline = this.#writing ? null : this.#markdown.outline();
    if (this.#outline) this.element.prepend(this.#outline);
  };
}

/** A text that is no prose, as a code block. No line of it can close the fence. */
export function fenced(text, language) {
  const fence = "~".repeat(32);
  return `${fence}${language}\n${text.replaceAll(fence, `${fence.slice(1)} `)}`;
}
