/**
 * The report as it is written. It follows the text while the reader is at its end, lets go as soon
 * as the reader scrolls up, and offers the way back.
 */

import { byId, on, setText } from "./dom.js";
import { MarkdownView } from "./markdown.js";

const AT_END = 40; // px; nearer than this counts as being at the end

export class ReportView {
  #pane;
  #body;
  #jump;
  #head;
  #status;
  #view;
  #text = "";
  #writing = false;
  #follows = false;
  #steered = false; // whether the reader ever scrolled by hand
  #timer = 0;
  #rest = 0; // no drawing before this
  #aborter = new AbortController();

  /** @param {any} view of a task */
  constructor(view) {
    const ids = ["report-pane", "report", "report-jump", "report-head", "report-status"];
    [this.#pane, this.#body, this.#jump, this.#head, this.#status] = ids.map((id) => byId(id, view));
    this.#view = new MarkdownView(this.#body);
    const options = { signal: this.#aborter.signal, passive: true };
    for (const scroller of [this.#pane, window]) on(scroller, "scroll", () => this.#scrolled(), options);
    for (const hand of ["wheel", "touchmove", "keydown"]) on(this.#pane, hand, () => (this.#steered = true), options);
    on(this.#jump, "click", () => this.#follow(true));
  }

  /**
   * @param {{name: string, text: string}} report or, without one, another artifact of text
   * @param {{writing: boolean, live: boolean, ended: boolean}} how
   */
  draw({ name, text }, { writing, live, ended }) {
    setText(this.#head, !name || name === "report" ? "Report" : name);
    // Who watches begins at its end, who opens a finished one at its top.
    if (!this.#text && text && live && writing && this.#hasPane()) this.#follows = true;
    // Who only watched it being written reads it from the top.
    const rewind = this.#writing && !writing && ended && this.#follows && !this.#steered;
    this.#text = text;
    this.#writing = writing;
    this.#render();
    this.#body.setAttribute("aria-busy", String(writing));
    const waiting = ended ? "none was written" : "comes when the agents have looked";
    setText(this.#status, !text ? waiting : writing ? "being written" : "");
    if (rewind) this.#pane.scrollTop = 0;
    this.#follow(this.#follows && !rewind);
  }

  close() {
    this.#aborter.abort();
    clearTimeout(this.#timer);
  }

  /** A last block that is long costs its length each time: then it is drawn less often while it grows. */
  #render() {
    clearTimeout(this.#timer);
    const before = performance.now();
    const wait = this.#writing ? this.#rest - before : 0;
    if (wait > 0) {
      this.#timer = window.setTimeout(() => {
        this.#render();
        this.#follow(this.#follows);
      }, wait);
      return;
    }
    this.#view.update(this.#text);
    this.#rest = performance.now() + 3 * (performance.now() - before);
  }

  /** Wide pages give the report a pane of its own; narrow ones scroll as a whole. */
  #hasPane() {
    return getComputedStyle(this.#pane).overflowY === "auto";
  }

  /** How far its end is below what can be seen, px. */
  #below() {
    if (!this.#hasPane()) return this.#body.getBoundingClientRect().bottom - innerHeight;
    return this.#pane.scrollHeight - this.#pane.scrollTop - this.#pane.clientHeight;
  }

  #scrolled() {
    // Seeing the end of the timeline on a narrow page is not yet reading the report.
    // Nor is it to see the end of what is finished, or of what is not there yet.
    const reads = this.#hasPane() || this.#body.getBoundingClientRect().top < innerHeight / 2;
    this.#follows = this.#writing && this.#text !== "" && reads && this.#below() < AT_END;
    this.#offerJump();
  }

  #follow(follows) {
    this.#follows = follows;
    if (follows && this.#hasPane()) this.#pane.scrollTop = this.#pane.scrollHeight;
    else if (follows && this.#below() > 0) scrollBy(0, this.#below() + 16);
    this.#offerJump();
  }

  #offerJump() {
    this.#jump.hidden = !(this.#writing && this.#text && !this.#follows && this.#below() > AT_END);
  }
}
