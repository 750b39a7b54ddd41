/**
 * The state of the connection, in an icon and a word. A reconnect of less than a second loses nothing and is what a
 * rotation looks like, so the pill stays live for that long.
 */

import { h, on, setText } from "./dom.js";
import { count } from "./format.js";
import { glyph } from "./glyph.js";

const SHORT_CUT = 1_000; // ms
const REFUSALS = { 401: "not signed in", 403: "not allowed", 404: "unknown task" };

export class ConnectionPill {
  #root;
  #retry;
  #icon = h("span");
  #words = h("span");

  /** @param {any} root an empty element @param {any} retry a button @param {() => void} onRetry */
  constructor(root, retry, onRetry) {
    this.#root = root;
    this.#retry = retry;
    root.replaceChildren(this.#icon, this.#words);
    on(retry, "click", onRetry);
  }

  /**
   * @param {import("./event-stream.js").EventStream} stream @param {boolean} asks whether the task waits for its user
   * @returns {string} live, catching-up, reconnecting, finished or cut
   */
  draw(stream, asks) {
    const [state, words, icon = state] = this.#describe(stream, asks);
    this.#root.dataset.state = state;
    if (this.#icon.dataset.glyph !== icon) this.#icon.replaceChildren(glyph((this.#icon.dataset.glyph = icon)));
    setText(this.#words, words);
    this.#retry.hidden = state !== "reconnecting";
    return state;
  }

  #describe({ state, downSince, retryAt, backlog, refusal }, asks) {
    const down = downSince ? Date.now() - downSince : 0;
    const justCut = down && down < SHORT_CUT && this.#root.dataset.state === "live";
    if (state === "live" || justCut) return ["live", "live"];
    if (state === "ended") return asks ? ["finished", "waiting for you", "waiting"] : ["finished", "finished"];
    if (state === "lost") return ["cut", `cut: ${REFUSALS[refusal?.status] ?? "refused by the gateway"}`];
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    if (state === "waiting" && seconds > 0) return ["reconnecting", `reconnecting in ${seconds} s`];
    if (state === "waiting" || (state === "opening" && down)) return ["reconnecting", "reconnecting"];
    return ["catching-up", backlog ? `catching up, ${count(backlog)} events` : "catching up"];
  }
}
