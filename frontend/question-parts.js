/** What the cards of questions are made of: buttons to choose one of several values, facts, and text with links. */

import { h, on } from "./dom.js";

const URL_IN_TEXT = /(https?:\/\/[^\s<>"]+)/;
const LONG_FACT = 400; // characters: a longer one is folded

/** Buttons of which one at most is pressed. */
export class Choices {
  picked = -1; // the place of the value
  #buttons;

  /** @param {string[]} names @param {any} label attribute that names them all @param {(place: number) => void} onPick */
  constructor(names, label, onPick) {
    this.#buttons = names.map((name, place) => {
      const button = h("button.q-choice", { type: "button", "aria-pressed": "false" }, name);
      on(button, "click", () => {
        this.pick(place);
        onPick(place);
      });
      return button;
    });
    this.element = h("div.q-choices", { role: "group", ...label }, ...this.#buttons);
  }

  /** @param {number} place -1 for none */
  pick(place) {
    this.picked = place;
    for (const [at, button] of this.#buttons.entries()) button.setAttribute("aria-pressed", String(at === place));
  }
}

/** An object's entries as a list; null if there are none. @param {any} values @param {string[]} hidden keys */
export function facts(values, hidden = []) {
  const entries = values && typeof values === "object" ? Object.entries(values).filter(([key]) => !hidden.includes(key)) : [];
  return entries.length ? h("dl.q-facts", ...entries.map(([key, value]) => h("div", h("dt", key), h("dd", fact(value))))) : null;
}

/** @param {any} value */
export function fact(value) {
  const isText = typeof value === "string";
  const words = isText ? value : (JSON.stringify(value, null, 2) ?? "");
  const text = isText ? h("p", ...linked(words)) : h("pre", words);
  return words.length > LONG_FACT ? h("details", h("summary", `${words.slice(0, LONG_FACT / 4)} …`), text) : text;
}

/** @param {string} text @returns {any[]} the text with its URLs as links */
export const linked = (text) => text.split(URL_IN_TEXT).map((piece, place) => (place % 2 ? link(piece) : piece));

const link = (url) => h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, url);
