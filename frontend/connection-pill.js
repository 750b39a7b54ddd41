/**
 * The connection, told truthfully in an icon and a word. One leniency: a reconnect of less than a
 * second is what a rotation looks like, and nothing is lost by it, so the pill stays as it was.
 */

import { glyph, h, on, setText } from "./dom.js";
import { count } from "./time.js";

const GRACE = 1_000;
const REFUSALS = { 401: "not signed in", 403: "not allowed", 404: "unknown task" };

export class ConnectionPill {
  #root;
  #retry;
  #icon = h("span.pill-icon");
  #words = h("span");

  constructor(root, retry, tryNow) {
    this.#root = root;
    this.#retry = retry;
    root.replaceChildren(this.#icon, this.#words);
    on(retry, "click", tryNow);
  }

  /**
   * @param {import("./event-stream.js").EventStream} stream
   * @param {boolean} asks the stream ended because the task waits for its user
   * @returns {string} live, catching-up, reconnecting, finished or cut
   */
  draw(stream, asks) {
    const [state, words, icon = state] = this.#truth(stream, asks);
    this.#root.dataset.state = state;
    if (this.#icon.dataset.glyph !== icon) this.#icon.replaceChildren(glyph((this.#icon.dataset.glyph = icon)));
    setText(this.#words, words);
    this.#retry.hidden = state !== "reconnecting";
    return state;
  }

  #truth({ state, downSince, retryAt, backlog, lost }, asks) {
    const down = downSince ? Date.now() - downSince : 0;
    if (state === "live" || (down && down < GRACE && this.#root.dataset.state === "live")) return ["live", "live"];
    if (state === "ended") return asks ? ["finished", "waiting for you", "waiting"] : ["finished", "finished"];
    if (state === "lost") return ["cut", `cut: ${REFUSALS[lost?.status] ?? "the gateway refused"}`];
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    if (state === "waiting" && seconds > 0) return ["reconnecting", `reconnecting in ${seconds} s`];
    if (state === "waiting" || (state === "opening" && down)) return ["reconnecting", "reconnecting"];
    return ["catching-up", backlog ? `catching up ${count(backlog)}` : "catching up"];
  }
}
