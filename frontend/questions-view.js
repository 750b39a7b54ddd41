/** What a waiting task asks (docs/PROTOCOL.md, section 5.12): a card for each question, answered apart or together. */

import { h, on, setText } from "./dom.js";
import { QuestionCard, keyOf } from "./question-card.js";

/** @typedef {import("./question-card.js").Question} Question */

const REFUSAL = /^An answer cannot be taken: .+/; // begins the message of a graph that did not take an answer

export class QuestionsView {
  #options;
  #sending = false;
  /** @type {Question[]} */ #questions = [];
  /** @type {Map<string, QuestionCard>} */ #cards = new Map(); // by the question's id
  #refusal = h("p.notice", { role: "alert" });
  #list = h("div.q-cards");
  #notice = h("p.notice", { role: "alert" });
  #all = h("button.button.primary", { type: "button" }, "Send all answers");
  #together = h("div.q-send", this.#all, h("span.hint", "What you leave open is asked again."), this.#notice);
  element = h("section.q-view", { ariaLabel: "Questions", hidden: true }, this.#refusal, this.#list, this.#together);

  /** @param {{onAnswer: (message: {parts: any[]}) => Promise<any>, accepts?: string[]}} options an Error of `onAnswer` says why */
  constructor(options) {
    this.#options = options;
    on(this.#all, "click", () => this.#sendAll());
  }

  /**
   * A new array of questions is a new message of the agent: the answers to the one before are settled.
   * @param {{questions: Question[], state: string, message: string}} task
   */
  draw({ questions, state, message }) {
    if (questions === this.#questions) return;
    this.#questions = questions;
    this.element.hidden = !questions.length;
    // While the task works, the cards are kept: questions that were not answered come again.
    if (!questions.length && (state === "working" || state === "submitted")) return;
    setText(this.#refusal, REFUSAL.exec(message)?.[0] ?? "");
    setText(this.#notice, "");
    this.#together.hidden = questions.length < 2;
    const before = this.#cards;
    this.#cards = new Map(questions.map((question) => [question.id, this.#cardFor(question, before.get(question.id))]));
    for (const [id, card] of before) if (this.#cards.get(id) !== card) card.element.remove();
    for (const [place, question] of questions.entries()) {
      const card = /** @type {QuestionCard} */ (this.#cards.get(question.id));
      card.draw(question, questions.length === 1);
      const next = this.#list.children[place];
      if (next !== card.element) this.#list.insertBefore(card.element, next ?? null);
    }
    const active = /** @type {any} */ (document.activeElement);
    const isElsewhere = active?.matches("input, select, textarea") && (active.value || !active.matches("textarea"));
    if (questions.length && !isElsewhere) this.focus();
  }

  /** Move the focus to the first field, or to the question if it has none. */
  focus() {
    this.#cards.values().next().value?.focus();
  }

  /** A question that comes again keeps its card, with what was typed. */
  #cardFor(question, before) {
    const reply = (answer) => this.#reply([[question.id, answer]]);
    return before?.key === keyOf(question) ? before : new QuestionCard(question, { reply, accepts: this.#options.accepts });
  }

  async #sendAll() {
    const cards = [...this.#cards.values()].filter(({ isTouched }) => isTouched);
    if (cards.some(({ state }) => state)) return;
    setText(this.#notice, cards.length ? "" : "Answer a question first.");
    if (!cards.length) return;
    for (const card of cards) card.setState("sending");
    let state = "";
    try {
      const answers = [];
      for (const card of cards) {
        const answer = await card.read();
        if (!answer) return;
        answers.push(/** @type {[string, any]} */ ([card.id, answer]));
      }
      await this.#reply(answers);
      state = "sent";
    } catch (/** @type {any} */ error) {
      setText(this.#notice, error.message);
    } finally {
      for (const card of cards) card.setState(state);
    }
  }

  /** @param {[string, import("./question-card.js").Answer][]} answers with the ids of their questions */
  async #reply(answers) {
    if (this.#sending) throw new Error("Another answer is on its way.");
    this.#sending = true;
    try {
      await this.#options.onAnswer({ parts: partsOf(answers, this.#questions.length === 1) });
    } finally {
      this.#sending = false;
    }
  }
}

/** The parts of a reply. @param {boolean} isAlone whether the task asks one question only */
function partsOf(answers, isAlone) {
  const [[id, { value, isText }]] = answers;
  const files = answers.flatMap(([, answer]) => answer.files ?? []);
  if (isAlone && isText) return [...(value ? [{ text: value }] : []), ...files];
  // A server of an older version gives no ids.
  const data = id ? { answers: Object.fromEntries(answers.map(([each, answer]) => [each, answer.value])) } : value;
  return [{ data }, ...files];
}
