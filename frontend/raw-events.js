/** The events as they came: the newest 500, drawn only while the drawer is open. */

import { h, on, setText } from "./dom.js";
import { count } from "./format.js";

const KEPT = 500;
const MAX_CHARACTERS = 2_000; // an event may carry a megabyte of log
const AT_END = 40; // px; from here on the list follows its end

export class RawEvents {
  /** `text` is JSON. @type {{seq: number, kind: string, agent: string, text: string}[]} */ #events = [];
  #drawnSeq = 0;
  #list = h("ol.raw-list", { tabIndex: 0, ariaLabel: "Raw events" });
  #note = h("i");
  element = h("details.drawer", h("summary", "Raw events"), h("p.raw-about", this.#note), this.#list);

  constructor() {
    this.#list.dataset.testid = "raw-list";
    on(this.element, "toggle", () => this.draw());
  }

  push(event) {
    this.#events.push(event);
    if (this.#events.length > KEPT * 2) this.#events = this.#events.slice(-KEPT);
  }

  draw() {
    if (!this.element.open) return;
    const newest = this.#events.slice(-KEPT);
    const added = newest.filter(({ seq }) => seq > this.#drawnSeq);
    if (!added.length) return;
    const list = this.#list;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < AT_END;
    list.append(...added.map(eventRow));
    while (list.childElementCount > KEPT) list.firstElementChild.remove();
    this.#drawnSeq = newest[newest.length - 1].seq;
    setText(this.#note, this.#drawnSeq > newest.length ? `the last ${newest.length} of ${count(this.#drawnSeq)}` : "");
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}

function eventRow({ seq, kind, agent, text }) {
  // What every event of a task repeats is left out.
  const start = text.slice(0, MAX_CHARACTERS).replace(/^.*?"result":/, "").replace(/"(taskId|contextId)":"[^"]*",/g, "");
  const rest = text.length > MAX_CHARACTERS ? ` … ${count(text.length)} characters` : "";
  return h("li", h("span.raw-seq", seq), h("span.raw-kind", kind), h("span.raw-agent", agent), h("code", start + rest));
}
