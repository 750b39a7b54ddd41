/** The events of a task as they came: the newest 500. */

import { h, setText } from "./dom.js";
import { count, plainName } from "./format.js";

const SHOWN = 500;
const MAX_CHARACTERS = 2_000; // an event may carry a megabyte of log
const AT_END = 40; // px; from here on the list follows its end

/** `text` is JSON. @typedef {{seq: number, kind: string, agent: string, text: string}} RawEvent */

export class RawEvents {
  #drawnSeq = 0;
  #list = h("ol.raw-list", { tabIndex: 0, ariaLabel: "Raw events", "data-testid": "raw-list" });
  #note = h("p.raw-about");
  element = h("div", this.#note, this.#list);

  /** @param {RawEvent[]} events */
  draw(events) {
    const newest = events.slice(-SHOWN);
    const added = newest.filter(({ seq }) => seq > this.#drawnSeq);
    if (!added.length) return;
    const list = this.#list;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < AT_END;
    list.append(...added.map(eventRow));
    while (list.childElementCount > SHOWN) list.firstElementChild.remove();
    this.#drawnSeq = newest[newest.length - 1].seq;
    setText(this.#note, this.#drawnSeq > newest.length ? `the last ${newest.length} of ${count(this.#drawnSeq)}` : "");
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}

function eventRow({ seq, kind, agent, text }) {
  // What every event of a task repeats is left out.
  const start = text.slice(0, MAX_CHARACTERS).replace(/^.*?"result":/, "").replace(/"(taskId|contextId)":"[^"]*",/g, "");
  const rest = text.length > MAX_CHARACTERS ? ` … ${count(text.length)} characters` : "";
  return h("li", h("span.raw-seq", seq), h("span.raw-kind", kind), h("span.raw-agent", plainName(agent)), h("code", start + rest));
}
