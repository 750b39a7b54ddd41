/** What a waiting task asks. One question is answered in the box for replies; each of several has a box of its own. */

import { h, on, setText } from "./dom.js";

const URL_IN_TEXT = /(https?:\/\/[^\s<>"]+)/;

export class QuestionsView {
  #heading;
  #list;
  #single;
  /** @type {Map<string, any>} */ #boxes = new Map(); // by the question's id

  /** @param {any} form the form for the reply @param {(id: string) => any} find */
  constructor(form, find) {
    this.#heading = find("question");
    this.#list = find("answers");
    on(this.#list, "keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) form.requestSubmit();
    });
    this.#single = [form.querySelector("label[for=reply-text]"), find("reply-text"), form.querySelector("[role=group]")];
  }

  /** @param {string} text of all questions @param {import("./messages.js").Question[]} questions */
  draw(text, questions) {
    const several = questions.length > 1;
    if (several) setText(this.#heading, `The agents have ${questions.length} questions`);
    else this.#heading.replaceChildren(...linked(text || "The agents need more information."));
    for (const element of this.#single) element.hidden = several;
    this.#list.hidden = !several;
    const boxes = this.#boxes;
    this.#boxes = new Map();
    if (!several) return this.#list.replaceChildren();
    const rows = questions.map(({ id, text: words }) => {
      const box = h("textarea", { id: `answer-${id}`, rows: 2, spellcheck: false, value: boxes.get(id)?.value ?? "" });
      this.#boxes.set(id, box);
      return h("li", h("label", { htmlFor: box.id }, ...linked(words)), box);
    });
    this.#list.replaceChildren(...rows);
  }

  /** Whether there are several questions. */
  get several() {
    return this.#boxes.size > 1;
  }

  /** The part with the answers; null if none is written. Questions without an answer stay open. */
  part() {
    const written = [...this.#boxes].map(([id, box]) => [id, box.value.trim()]).filter(([, answer]) => answer);
    return written.length ? { data: { answers: Object.fromEntries(written) } } : null;
  }
}

/** @param {string} text @returns {any[]} the text with its URLs as links */
function linked(text) {
  const attributes = { target: "_blank", rel: "noopener noreferrer" };
  return text.split(URL_IN_TEXT).map((piece, place) => (place % 2 ? h("a", { href: piece, ...attributes }, piece) : piece));
}
