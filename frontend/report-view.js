/**
 * The report while it is written. It follows the text as long as the reader is at its end, stops when the reader
 * scrolls up, and offers a button back to the end.
 */

import { byId, on, setText } from "./dom.js";
import { MarkdownView } from "./markdown.js";

const HEADS = { report: "Report", response: "Answer" };
const AT_END = 40; // px; a reader who is nearer than this is at the end
const DRAWING_SHARE = 3; // wait this many times as long as the last drawing took

export class ReportView {
  #pane;
  #body;
  #jump;
  #head;
  #status;
  #markdown;
  #text = "";
  #writing = false;
  #follows = false;
  #scrolledByHand = false;
  #timer = 0;
  #nextDrawing = 0; // not before this, by performance.now()
  #aborter = new AbortController();

  /** @param {any} view of a task */
  constructor(view) {
    const ids = ["report-pane", "report", "report-jump", "report-head", "report-status"];
    [this.#pane, this.#body, this.#jump, this.#head, this.#status] = ids.map((id) => byId(id, view));
    this.#markdown = new MarkdownView(this.#body);
    const options = { signal: this.#aborter.signal, passive: true };
    for (const scroller of [this.#pane, window]) on(scroller, "scroll", () => this.#handleScroll(), options);
    for (const type of ["wheel", "touchmove", "keydown"]) on(this.#pane, type, () => (this.#scrolledByHand = true), options);
    on(this.#jump, "click", () => this.#follow(true));
  }

  /**
   * @param {{name: string, text: string}} report or, without one, another text
   * @param {{writing: boolean, live: boolean, ended: boolean}} state of the text, the events and the task
   */
  draw({ name, text }, { writing, live, ended }) {
    setText(this.#head, HEADS[name || "report"] ?? name);
    // A report that is being written opens at its end, a finished one at its top.
    if (!this.#text && text && live && writing && this.#hasPane()) this.#follows = true;
    // When it is finished, a reader who has not scrolled gets its top.
    const rewind = this.#writing && !writing && ended && this.#follows && !this.#scrolledByHand;
    this.#text = text;
    this.#writing = writing;
    this.#render();
    this.#body.setAttribute("aria-busy", String(writing));
    const empty = ended ? "No report was written." : "The report appears here.";
    setText(this.#status, !text ? empty : writing ? "being written …" : "");
    if (rewind) this.#pane.scrollTop = 0;
    this.#follow(this.#follows && !rewind);
  }

  close() {
    this.#aborter.abort();
    clearTimeout(this.#timer);
  }

  /** A long last block takes long to draw, so it is drawn less often while it grows. */
  #render() {
    clearTimeout(this.#timer);
    const begun = performance.now();
    const wait = this.#writing ? this.#nextDrawing - begun : 0;
    if (wait > 0) {
      this.#timer = window.setTimeout(() => {
        this.#render();
        this.#follow(this.#follows);
      }, wait);
      return;
    }
    this.#markdown.update(this.#text);
    const finished = performance.now();
    this.#nextDrawing = finished + DRAWING_SHARE * (finished - begun);
  }

  /** Whether the report scrolls by itself. Narrow pages scroll as a whole. */
  #hasPane() {
    return getComputedStyle(this.#pane).overflowY === "auto";
  }

  /** How far the report's end is below the visible part, in px. */
  #distanceToEnd() {
    if (!this.#hasPane()) return this.#body.getBoundingClientRect().bottom - innerHeight;
    return this.#pane.scrollHeight - this.#pane.scrollTop - this.#pane.clientHeight;
  }

  #handleScroll() {
    // On a narrow page, a reader of the timeline above it does not read the report yet.
    const reads = this.#hasPane() || this.#body.getBoundingClientRect().top < innerHeight / 2;
    this.#follows = this.#writing && this.#text !== "" && reads && this.#distanceToEnd() < AT_END;
    this.#offerJump();
  }

  #follow(follows) {
    this.#follows = follows;
    if (follows && this.#hasPane()) this.#pane.scrollTop = this.#pane.scrollHeight;
    else if (follows && this.#distanceToEnd() > 0) scrollBy(0, this.#distanceToEnd() + 16);
    this.#offerJump();
  }

  #offerJump() {
    this.#jump.hidden = !(this.#writing && this.#text && !this.#follows && this.#distanceToEnd() > AT_END);
  }
}
