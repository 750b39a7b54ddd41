/** The events as they came. Only the newest 500 are kept, and nothing is drawn while the drawer is closed. */

import { byId, h, on, setText } from "./dom.js";
import { count } from "./time.js";

const KEPT = 500;
const LONGEST = 2_000; // an event may carry a megabyte of log

export class RawEvents {
  /** @type {{seq: number, kind: string, agent: string, text: string}[]} */ #events = [];
  #drawn = 0;
  #drawer;
  #list;
  #note;

  /** @param {any} view of a task */
  constructor(view) {
    [this.#drawer, this.#list, this.#note] = ["raw", "raw-list", "raw-note"].map((id) => byId(id, view));
    on(this.#drawer, "toggle", () => this.draw());
  }

  push(event) {
    this.#events.push(event);
    if (this.#events.length > KEPT * 2) this.#events = this.#events.slice(-KEPT);
  }

  draw() {
    if (!this.#drawer.open) return;
    const newest = this.#events.slice(-KEPT);
    const fresh = newest.filter(({ seq }) => seq > this.#drawn);
    if (!fresh.length) return;
    const list = this.#list;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(...fresh.map(row));
    while (list.childElementCount > KEPT) list.firstElementChild.remove();
    this.#drawn = newest[newest.length - 1].seq;
    setText(this.#note, this.#drawn > newest.length ? `the last ${newest.length} of ${count(this.#drawn)}` : "");
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}

function row({ seq, kind, agent, text }) {
  // What every event of a task repeats would push the rest out of sight.
  const own = text.slice(0, LONGEST).replace(/^.*?"result":/, "").replace(/"(taskId|contextId)":"[^"]*",/g, "");
  const cut = text.length > LONGEST ? ` … ${count(text.length)} characters` : "";
  return h("li", h("span.raw-seq", seq), h("span.raw-kind", kind), h("span.raw-agent", agent), h("code", own + cut));
}
