/** What was said in a task: the request, each question and its answer, with the names of the files. */

import { h } from "./dom.js";
import { bytes, count } from "./time.js";

const MOST_TEXT = 20_000; // characters of one message
const BRIEF = { lines: 6, characters: 600 }; // what is longer is folded
const MOST_FILES = 8; // what is more is folded

/** @typedef {import("./messages.js").Turn} Turn */

export class TurnsView {
  #list;
  /** @type {Turn[]} */ #turns = [];
  #drawn = 0;

  /** @param {any} list an empty `ol` */
  constructor(list) {
    this.#list = list;
  }

  /** Messages are only added, so that one that was unfolded stays so. @param {Turn[]} turns */
  draw(turns) {
    if (turns[0] !== this.#turns[0]) {
      this.#list.replaceChildren();
      this.#drawn = 0;
    }
    this.#turns = turns;
    for (; this.#drawn < turns.length; this.#drawn += 1) this.#list.append(row(turns[this.#drawn]));
  }
}

function row({ by, text, files, data }) {
  const names = files.map(({ filename, bytes: size }) => h("li", h("code", filename), ` ${bytes(size)}`));
  const list = names.length > 0 && h("ul.sent-files", ...names);
  const folded = names.length > MOST_FILES && h("details", h("summary", `${count(names.length)} files`), list);
  const nothing = !text && !names.length && h("p.aside", data ? "structured data" : "nothing that can be shown");
  return h("li.turn", { class: by === "You" ? "turn by-user" : "turn" }, h("b", by), h("div", said(text), folded || list, nothing));
}

function said(text) {
  if (!text) return null;
  const over = text.length - MOST_TEXT;
  const shown = over > 0 ? `${text.slice(0, MOST_TEXT)}\n… and ${count(over)} characters more` : text;
  const brief = shown.split("\n", BRIEF.lines).join("\n").slice(0, BRIEF.characters);
  if (brief.length === shown.length) return h("p", shown);
  // Unfolded, the rest goes on below what was there.
  return h("details", h("summary", brief), h("p", shown.slice(brief.length).replace(/^\n/, "")));
}
