/** What a waiting task asks (docs/PROTOCOL.md, section 5.12): a card for each question, answered apart or together. */

import { Composer } from "./composer.js";
import { h, on, setText, uniqueId } from "./dom.js";
import { bodyFor, contentOf, linked } from "./question-bodies.js";
import { controlIn, parsed } from "./schema-form.js";

/** @typedef {import("./question-bodies.js").Question} Question @typedef {import("./question-bodies.js").Answer} Answer */

const REFUSAL = /^An answer cannot be taken: .+/; // begins the message of a graph that did not take an answer
const LONG_TITLE = 160; // characters
const SENDING = { sending: "Sending …", sent: "Sent" };

export class QuestionsView {
  #options;
  #sending = false;
  /** @type {Question[]} */ #questions = [];
  /** @type {Map<string, Card>} */ #cards = new Map(); // by the question's id
  #refusal = h("p.notice", { role: "alert" });
  #list = h("div.q-cards");
  #notice = h("p.notice", { role: "alert" });
  #all = h("button.button.primary", { type: "button" }, "Send all answers");
  #together = h("div.q-send", this.#all, h("span.hint", "What you leave open is asked again."), this.#notice);
  element = h("section.q-view", { ariaLabel: "Questions", hidden: true }, this.#refusal, this.#list, this.#together);

  /** @param {{onAnswer: (message: {parts: any[]}) => Promise<any>, accepts?: any}} options an Error of `onAnswer` says why */
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
    // What is hidden loses the focus at once, so that the page can place it.
    if (!questions.length && this.element.contains(document.activeElement)) /** @type {any} */ (document.activeElement).blur();
    // While the task works, the cards are kept: questions that were not answered come again.
    if (!questions.length && (state === "working" || state === "submitted")) return;
    setText(this.#refusal, REFUSAL.exec(message)?.[0] ?? "");
    setText(this.#notice, "");
    this.#together.hidden = questions.length < 2;
    this.element.classList.toggle("q-several", questions.length > 1);
    const before = this.#cards;
    this.#cards = new Map(questions.map((question) => [question.id, this.#cardFor(question, before.get(question.id))]));
    for (const [id, card] of before) if (this.#cards.get(id) !== card) card.element.remove();
    for (const [place, question] of questions.entries()) {
      const card = /** @type {Card} */ (this.#cards.get(question.id));
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
    return before?.key === keyOf(question) ? before : new Card(question, reply, this.#options.accepts);
  }

  async #sendAll() {
    const cards = [...this.#cards.values()].filter(({ isTouched }) => isTouched);
    if (this.#sending || this.#all.ariaDisabled === "true") return;
    this.#all.ariaDisabled = "true";
    setText(this.#notice, cards.length ? "" : "Answer a question first.");
    try {
      const answers = [];
      for (const card of cards) {
        const answer = await card.read();
        if (!answer) return;
        answers.push(/** @type {[string, Answer]} */ ([card.id, answer]));
      }
      if (answers.length) await this.#reply(answers);
    } catch (/** @type {any} */ error) {
      setText(this.#notice, error.message);
    } finally {
      this.#all.ariaDisabled = "false";
    }
  }

  /** @param {[string, Answer][]} answers with the ids of their questions */
  async #reply(answers) {
    if (this.#sending) throw new Error("Another answer is on its way.");
    this.#sending = true;
    const questions = this.#questions;
    const cards = answers.map(([id]) => this.#cards.get(id));
    for (const card of cards) card?.setState("sending");
    let state = "";
    try {
      await this.#options.onAnswer({ parts: partsOf(answers, questions.length === 1) });
      if (questions === this.#questions) state = "sent";
    } finally {
      this.#sending = false;
      for (const card of cards) card?.setState(state);
    }
  }
}

/** The parts of a reply. @param {[string, Answer][]} answers @param {boolean} isAlone whether the task asks one question only */
function partsOf(answers, isAlone) {
  const [[id, { value, isText }]] = answers;
  const files = answers.flatMap(([, answer]) => answer.files ?? []);
  if (isAlone && isText) return [...(value ? [{ text: value }] : []), ...files];
  // A server of an older version gives no ids.
  const data = id ? { answers: Object.fromEntries(answers.map(([each, answer]) => [each, answer.value])) } : value;
  return [{ data }, ...files];
}

/** What is equal for as long as a question asks the same. @param {Question} question */
const keyOf = ({ value, schema }) =>
  JSON.stringify([value, schema], (key, part) => (key === "refused" || key === "delegated" ? undefined : part));

class Card {
  isTouched = false;
  #state = "";
  #reply;
  #isAlone = true;
  #title = h("h3.q-title", { id: uniqueId(), tabIndex: -1 });
  #refused = h("p.notice");
  #notice = h("p.notice", { role: "alert" });
  #send = h("button.button.primary", { type: "submit", "data-testid": "reply-button" });
  #buttons = h("div.q-send", this.#send, h("span.hint.q-keys", "Ctrl+Enter sends"));
  /** @type {import("./question-bodies.js").Body | null} */ #body = null;
  /** @type {Composer | null} */ #composer = null; // in place of a body: for a text
  #isJson = h("input", { type: "checkbox" });

  /** @param {Question} question @param {(answer: Answer) => Promise<any>} reply @param {any} accepts for `Composer` */
  constructor(question, reply, accepts) {
    this.id = question.id;
    this.key = keyOf(question);
    this.#reply = reply;
    let content;
    try {
      content = contentOf(question);
      this.#body = bodyFor(question, this.#title.id, (isComplete) => this.#pick(isComplete));
    } catch {
      // An agent may send a schema that is none. Any JSON can be the answer.
      content ??= contentOf({ id: "", value: JSON.stringify(question.value) });
    }
    const { kind, title, details } = content;
    this.#title.append(...linked(title));
    this.#title.classList.toggle("q-long", title.length > LONG_TITLE || title.includes("\n"));
    const from = question.agent ? `${kind} from ${question.agent}` : kind;
    const head = [h("p.q-kind", from), this.#title, this.#refused, ...details];
    const form = this.#body ? this.#form(this.#body) : this.#textForm(title, accepts);
    this.element = h("div.card.q-card", { "data-testid": "question" }, ...head, form);
    on(this.element, "input", () => {
      this.isTouched = true;
      setText(this.#notice, "");
    });
  }

  /** @param {Question} question the same one, perhaps with another reason why an answer was refused */
  draw({ refused }, isAlone) {
    this.#isAlone = isAlone;
    setText(this.#refused, refused ?? "");
    this.setState(this.#state === "sent" ? "" : this.#state);
  }

  /** @param {string} state a key of SENDING, or "" */
  setState(state) {
    this.#state = state;
    this.#composer?.block(Boolean(state));
    setText(this.#send, SENDING[state] || this.#body?.send || "Send");
    this.#send.ariaDisabled = String(Boolean(state)); // a disabled button would lose the focus
    this.#buttons.hidden = !state && !this.#body?.isReady;
    this.element.ariaBusy = String(state === "sending");
  }

  /** The answer; null if something is missing, and the card says what. @returns {Promise<Answer | null>} */
  async read() {
    if (!this.#composer) return this.#body?.read() ?? null;
    const parts = await this.#composer.parts();
    return parts && this.#textAnswer(parts);
  }

  focus() {
    const control = controlIn(this.element.lastChild);
    (control?.checkVisibility() ? control : this.#title).focus();
  }

  /** @param {import("./question-bodies.js").Body} body */
  #form(body) {
    const form = h("form.q-form", { noValidate: true }, body.element, this.#buttons, this.#notice);
    on(form, "submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    on(form, "keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    return form;
  }

  #textForm(title, accepts) {
    const onSend = async (parts) => {
      const { text } = composer;
      await this.#reply(this.#textAnswer(parts));
      setTimeout(() => (composer.text ||= text)); // it is cleared, but the question may be asked again
    };
    const composer = new Composer({ label: title, testid: "reply", modes: accepts, onSend });
    composer.element.querySelector(".compose-tools").append(h("label.q-check", this.#isJson, "as JSON"));
    this.#composer = composer;
    return composer.element;
  }

  /** A button was pressed. @param {boolean} isComplete whether it is the whole answer */
  #pick(isComplete) {
    this.isTouched = true;
    this.setState(this.#state);
    if (isComplete && this.#isAlone) this.#submit();
  }

  async #submit() {
    const answer = this.#state ? null : await this.read();
    if (!answer || this.#state) return;
    setText(this.#notice, "");
    try {
      await this.#reply(answer);
    } catch (/** @type {any} */ error) {
      setText(this.#notice, error.message);
    }
  }

  /** @param {any[]} parts of the composer @returns {Answer} */
  #textAnswer(parts) {
    const files = parts.filter(({ filename }) => filename);
    const text = parts.find(({ filename }) => !filename)?.text ?? "";
    return this.#isJson.checked ? { value: parsed(text), files } : { value: text, files, isText: true };
  }
}
