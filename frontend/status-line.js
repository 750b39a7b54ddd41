/** What a turn's task and its connection are doing, in one line. */

import { h, on, setText } from "./dom.js";
import { count, duration, stateWords } from "./format.js";
import { glyph } from "./glyph.js";
import { isRunning } from "./task-state.js";

// In ms.
const SHORT_CUT = 1_000;
const QUIET_AFTER = 10_000;
const REFUSALS = { 401: "not signed in", 403: "not allowed", 404: "unknown task" };

export class StatusLine {
  #state = h("span.state");
  #elapsed = h("span.elapsed", { role: "timer", "aria-live": "off" });
  #icon = h("span");
  #words = h("span");
  #pill = h("span.pill", this.#icon, this.#words);
  #retry = h("button.link", { type: "button", hidden: true }, "Try now");
  #seq = h("b", "0");
  #quiet = h("span.fact");
  #note = h("span.fact");
  #goesOn = h("span.fact.goes-on", "The task goes on if you close this page.");
  element = h("div.facts", this.#state, this.#elapsed, this.#pill, this.#retry, h("span.fact", "seq ", this.#seq), this.#quiet, this.#note, this.#goesOn);

  /** @param {() => void} onRetry */
  constructor(onRetry) {
    on(this.#retry, "click", onRetry);
    const ids = { state: "task-state", pill: "connection-pill", seq: "last-seq", note: "stream-note" };
    this.#state.dataset.testid = ids.state;
    this.#pill.dataset.testid = ids.pill;
    this.#seq.dataset.testid = ids.seq;
    this.#note.dataset.testid = ids.note;
  }

  /** Say what happened to the stream or the task. @param {string} sentence */
  note(sentence) {
    setText(this.#note, sentence);
  }

  /**
   * @param {import("./task-state.js").Task} task @param {import("./event-stream.js").EventStream} stream
   * @param {{now: number, quiet: number}} times `now` by the task's clock, and for how long no event has come; in ms
   * @returns {string} the state of the connection: live, catching-up, reconnecting, finished or cut
   */
  draw(task, stream, { now, quiet }) {
    const { state, attempt, signIn, start, end, seq } = task;
    const words = signIn ? "sign-in required" : stateWords(state);
    this.#state.dataset.state = state;
    setText(this.#state, attempt > 1 ? `${words} · attempt ${attempt}` : words);
    setText(this.#elapsed, start === null ? "" : duration((end ?? now) - start));
    setText(this.#seq, String(seq));
    this.#goesOn.hidden = !isRunning(state);
    const isQuiet = isRunning(state) && stream.state === "live" && quiet > QUIET_AFTER;
    setText(this.#quiet, isQuiet ? `no event for ${Math.floor(quiet / 1000)} s` : "");
    return this.#drawPill(stream, state === "input-required");
  }

  #drawPill(stream, asks) {
    const [state, words, icon = state] = this.#describe(stream, asks);
    this.#pill.dataset.state = state;
    if (this.#icon.dataset.glyph !== icon) this.#icon.replaceChildren(glyph((this.#icon.dataset.glyph = icon)));
    setText(this.#words, words);
    this.#retry.hidden = state !== "reconnecting";
    return state;
  }

  #describe({ state, downSince, retryAt, backlog, refusal }, asks) {
    const down = downSince ? Date.now() - downSince : 0;
    // A reconnect of less than a second loses nothing, and is what a rotation looks like.
    const justCut = down && down < SHORT_CUT && this.#pill.dataset.state === "live";
    if (state === "live" || justCut) return ["live", "live"];
    if (state === "ended") return asks ? ["finished", "waiting for you", "waiting"] : ["finished", "finished"];
    if (state === "lost") return ["cut", `cut: ${REFUSALS[refusal?.status] ?? "refused by the gateway"}`];
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    if (state === "waiting" && seconds > 0) return ["reconnecting", `reconnecting in ${seconds} s`];
    if (state === "waiting" || (state === "opening" && down)) return ["reconnecting", "reconnecting"];
    return ["catching-up", backlog ? `catching up, ${count(backlog)} events` : "catching up"];
  }
}
