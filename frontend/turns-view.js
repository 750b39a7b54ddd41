/** The conversation of a task: the request, each question and its answer, and the names of the files. */

import { h } from "./dom.js";
import { count, fileSize } from "./format.js";

const MAX_CHARACTERS = 20_000; // of a message
// More than this is folded.
const PREVIEW_LINES = 6;
const PREVIEW_CHARACTERS = 600;
const PREVIEW_FILES = 8;

/** @typedef {import("./messages.js").Turn} Turn */

export class TurnsView {
  #list;
  /** @type {Turn[]} */ #turns = [];
  #drawn = 0;

  /** @param {any} list an empty `ol` */
  constructor(list) {
    this.#list = list;
  }

  /** Add the new messages; those on the page stay folded or unfolded. @param {Turn[]} turns */
  draw(turns) {
    if (turns[0] !== this.#turns[0]) {
      this.#list.replaceChildren();
      this.#drawn = 0;
    }
    this.#turns = turns;
    for (; this.#drawn < turns.length; this.#drawn += 1) this.#list.append(turnRow(turns[this.#drawn]));
  }
}

/** @param {Turn} turn */
function turnRow({ by, text, files, data }) {
  const names = files.map(({ filename, bytes }) => h("li", h("code", filename), ` ${fileSize(bytes)}`));
  const list = names.length > 0 && h("ul.sent-files", ...names);
  const folded = names.length > PREVIEW_FILES && h("details", h("summary", `${count(names.length)} files`), list);
  const placeholder = !text && !names.length && h("p.aside", data ? "structured data" : "nothing to show");
  const content = h("div", foldedText(text), folded || list, placeholder);
  return h("li.turn", { class: by === "You" ? "turn by-user" : "turn" }, h("b", by), content);
}

function foldedText(text) {
  if (!text) return null;
  const over = text.length - MAX_CHARACTERS;
  const shown = over > 0 ? `${text.slice(0, MAX_CHARACTERS)}\n… and ${count(over)} more characters` : text;
  const preview = shown.split("\n", PREVIEW_LINES).join("\n").slice(0, PREVIEW_CHARACTERS);
  if (preview.length === shown.length) return h("p", shown);
  // The preview stays above the rest when it is unfolded.
  return h("details", h("summary", preview), h("p", shown.slice(preview.length).replace(/^\n/, "")));
}
