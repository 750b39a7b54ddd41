/**
 * The report as it is written. It follows the text while the reader is at its end, lets go as soon
 * as the reader scrolls up, and offers the way back.
 */

import { byId, setText } from "./dom.js";
import { MarkdownView } from "./markdown.js";

const AT_END = 40; // px; nearer than this counts as being at the end

export class ReportView {
  #pane = byId("report-pane");
  #body = byId("report");
  #jump = byId("report-jump");
  #view = new MarkdownView(this.#body);
  #text = "";
  #writing = false;
  #follows = false;
  #steered = false; // whether the reader ever scrolled by hand
  #aborter = new AbortController();

  constructor() {
    const options = { signal: this.#aborter.signal, passive: true };
    for (const scroller of [this.#pane, window]) scroller.addEventListener("scroll", () => this.#scrolled(), options);
    for (const hand of ["wheel", "touchmove", "keydown"]) {
      this.#pane.addEventListener(hand, () => (this.#steered = true), options);
    }
    this.#jump.onclick = () => this.#follow(true);
  }

  /** @param {string} text @param {{writing: boolean, live: boolean, ended: boolean}} how */
  draw(text, { writing, live, ended }) {
    // Who watches begins at its end, who opens a finished one at its top.
    if (!this.#text && text && live && this.#hasPane()) this.#follows = true;
    // Who only watched it being written reads it from the top.
    const rewind = this.#writing && !writing && ended && this.#follows && !this.#steered;
    this.#text = text;
    this.#writing = writing;
    this.#view.update(text);
    this.#body.setAttribute("aria-busy", String(writing));
    const waiting = ended ? "none was written" : "comes when the agents have looked";
    setText(byId("report-status"), !text ? waiting : writing ? "being written" : "");
    if (rewind) this.#pane.scrollTop = 0;
    this.#follow(this.#follows && !rewind);
  }

  close() {
    this.#aborter.abort();
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
    const reads = this.#hasPane() || this.#body.getBoundingClientRect().top < innerHeight / 2;
    this.#follows = reads && this.#below() < AT_END;
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
