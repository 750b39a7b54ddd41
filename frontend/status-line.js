/** What a turn's task and its connection are doing, in one line. */

import { glyph, h, on, setText } from "./dom.js";
import { count, duration, stateWords } from "./format.js";
import { isRunning } from "./task-state.js";

// In ms.
const SHORT_CUT = 1_000;
const QUIET_AFTER = 10_000;
const GLYPHS = {
  live: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z",
  "catching-up": "M3 4l4 4-4 4M9 4l4 4-4 4",
  reconnecting: "M13 8a5 5 0 1 1-1.7-3.7M13 2v3h-3",
  finished: "M4.5 4.5h7v7h-7Z",
  waiting: "M6 4v8M10 4v8",
  cut: "M4 4l8 8M12 4l-8 8",
};
const REFUSALS = { 401: "not signed in", 403: "not allowed", 404: "unknown task" };

export class StatusLine {
  #state = h("span.state", { "data-testid": "task-state" });
  #elapsed = h("span.elapsed", { role: "timer", "aria-live": "off" });
  #icon = h("span");
  #words = h("span");
  #pill = h("span.pill", { "data-testid": "connection-pill" }, this.#icon, this.#words);
  #retry = h("button.link", { type: "button", hidden: true }, "Try now");
  #seq = h("b", { "data-testid": "last-seq" }, "0");
  #quiet = h("span.fact");
  #note = h("span.fact", { "data-testid": "stream-note" });
  #goesOn = h("span.fact.goes-on", "The task goes on if you close this page.");
  element = h("div.facts", this.#state, this.#elapsed, this.#pill, this.#retry, h("span.fact", "seq ", this.#seq), this.#quiet, this.#note, this.#goesOn);

  /** @param {() => void} onRetry */
  constructor(onRetry) {
    on(this.#retry, "click", onRetry);
  }

  /** Say what happened to the stream or the task. @param {string} sentence */
  note(sentence) {
    setText(this.#note, sentence);
  }

  /**
   * @param {import("./task-state.js").Task} task @param {import("./event-stream.js").EventStream} stream
   * @param {{now: number, quiet: number}} times `now` by the task's clock, and for how long no event has come; in ms
   * @returns {string} the state of the connection: live, quiet, catching-up, reconnecting, finished or cut
   */
  draw(task, stream, { now, quiet }) {
    const { state, attempt, signIn, start, end, seq } = task;
    const words = signIn ? "sign-in required" : stateWords(state);
    this.#state.dataset.state = state;
    setText(this.#state, attempt > 1 ? `${words} · attempt ${attempt}` : words);
    setText(this.#elapsed, start === null ? "" : duration((end ?? now) - start));
    setText(this.#seq, String(seq));
    this.#goesOn.hidden = !isRunning(state);
    const isQuiet = isRunning(state) && stream.isUpToDate && quiet > QUIET_AFTER;
    setText(this.#quiet, isQuiet ? `no event for ${Math.floor(quiet / 1000)} s` : "");
    return this.#drawPill(stream, state === "input-required");
  }

  #drawPill(stream, asks) {
    const [state, words, icon = state] = this.#describe(stream, asks);
    this.#pill.dataset.state = state;
    if (this.#icon.dataset.glyph !== icon) this.#icon.replaceChildren(glyph(GLYPHS[(this.#icon.dataset.glyph = icon)]));
    setText(this.#words, words);
    this.#retry.hidden = state !== "reconnecting";
    return state;
  }

  #describe({ state, downSince, retryAt, backlog, refusal, isBusy }, asks) {
    const down = downSince ? Date.now() - downSince : 0;
    // A reconnect of less than a second loses nothing, and is what a rotation looks like.
    const justCut = down && down < SHORT_CUT && this.#pill.dataset.state === "live";
    if (state === "live" || justCut) return ["live", "live"];
    if (state === "ended") return asks ? ["finished", "stream paused", "waiting"] : ["finished", "stream complete"];
    if (state === "lost") return ["cut", `cut: ${REFUSALS[refusal?.status] ?? "refused by the gateway"}`];
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    if (state === "quiet") return ["quiet", `${isBusy ? "busy" : "quiet"}, looks again in ${Math.max(0, seconds)} s`, "waiting"];
    if (state === "waiting" && seconds > 0) return ["reconnecting", `reconnecting in ${seconds} s`];
    if (state === "waiting" || (state === "opening" && down)) return ["reconnecting", "reconnecting"];
    return ["catching-up", backlog ? `catching up, ${count(backlog)} events` : "catching up"];
  }
}
