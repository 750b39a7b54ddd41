/**
 * A question as a card: what the agent asks, and what fits to answer it.
 *
 * `value` is what the graph asks. `isText`: the answer may be a message's text. `isReady`: there is something to send.
 * `read` gives null if something is missing, and the body says what.
 * @typedef {{id: string, value: any, schema?: any, agent?: string, refused?: string}} Question
 * @typedef {{value: any, files?: any[], isText?: boolean}} Answer
 * @typedef {{element: any, isReady: boolean, send?: string, read: () => Answer | null}} Body
 */

import { ApprovalForm, approvalIn } from "./approvals.js";
import { Composer } from "./composer.js";
import { h, on, setText, uniqueId } from "./dom.js";
import { Choices, fact, facts, linked } from "./question-parts.js";
import { SchemaForm, controlIn, parsed, resolved, wordsFor } from "./schema-form.js";

const TEXTS = ["question", "description", "message", "prompt"]; // keys of a value that may hold its text
const DRAWN = ["options", "auth_url", "breakpoint", "nodes", "action_requests", "review_configs"];
const OF_A_CALL = ["type", "tool_call_id", "name", "args", "description"]; // drawn as an action
const PASSED_ON = ["agent", "delegated", "refused"]; // keys of another agent's question
const MAX_BUTTONS = 12;
const LONG_TITLE = 160; // characters
const SENDING = { sending: "Sending …", sent: "Sent" };

/** What is equal for as long as a question asks the same. @param {Question} question */
export const keyOf = ({ value, schema }) =>
  JSON.stringify([value, schema], (key, part) => (key === "refused" || key === "delegated" ? undefined : part));

export class QuestionCard {
  isTouched = false;
  state = ""; // or a key of SENDING
  #question;
  #reply;
  #isAlone = true;
  #title = h("h3.q-title", { id: uniqueId(), tabIndex: -1 });
  #refused = h("p.notice");
  #notice = h("p.notice", { role: "alert" });
  #send = h("button.button.primary", { type: "submit", "data-testid": "reply-button" });
  #keys = h("span.hint", "Ctrl+Enter sends");
  /** @type {Body | null} */ #body = null;
  /** @type {Composer | null} */ #composer = null; // in place of a body: for a text
  #isJson = h("input", { type: "checkbox" });

  /** @param {Question} question @param {{reply: (answer: Answer) => Promise<any>, accepts?: string[]}} options */
  constructor(question, { reply, accepts }) {
    this.#question = question;
    this.id = question.id;
    this.key = keyOf(question);
    this.#reply = reply;
    const { kind, title, details } = contentOf(question);
    this.#title.append(...linked(title));
    this.#title.classList.toggle("q-long", title.length > LONG_TITLE || title.includes("\n"));
    const from = question.agent ? `${kind} from ${question.agent}` : kind;
    this.element = h("div.card.q-card", { role: "group", "aria-labelledby": this.#title.id, "data-testid": "question" });
    this.element.append(h("p.q-kind", from), this.#title, this.#refused, ...details);
    this.element.append(this.#formFor(question, title, accepts));
    on(this.element, "input", () => {
      this.isTouched = true;
      setText(this.#notice, "");
    });
  }

  /** @param {Question} question the same one, perhaps with another reason why an answer was refused */
  draw(question, isAlone) {
    this.#question = question;
    this.#isAlone = isAlone;
    setText(this.#refused, question.refused ?? "");
    this.setState(this.state === "sent" ? "" : this.state);
  }

  /** @param {string} state */
  setState(state) {
    this.state = state;
    this.#composer?.block(Boolean(state));
    setText(this.#send, SENDING[state] ?? this.#body?.send ?? "Send");
    this.#send.hidden = this.#keys.hidden = !state && !this.#body?.isReady;
    this.#send.ariaDisabled = String(Boolean(state)); // a disabled button would lose the focus
    this.element.ariaBusy = String(state === "sending");
  }

  /** The answer; null if something is missing, and the card says what. @returns {Promise<Answer | null>} */
  async read() {
    if (!this.#composer) return this.#body?.read() ?? null;
    const parts = await this.#composer.parts();
    return parts && this.#textAnswer(parts);
  }

  focus() {
    (controlIn(this.element.lastChild) ?? this.#title).focus();
  }

  #formFor(question, title, accepts) {
    const pick = (isComplete) => {
      this.isTouched = true;
      this.setState(this.state);
      if (isComplete && this.#isAlone) this.#submit();
    };
    this.#body = bodyFor(question, this.#title.id, pick);
    if (!this.#body) {
      const send = (parts) => this.#reply(this.#textAnswer(parts));
      this.#composer = new Composer({ label: title, testid: "reply", onSend: send });
      if (accepts) this.#composer.accept(accepts);
      this.#composer.element.querySelector(".compose-tools").prepend(h("label.q-check", this.#isJson, "As JSON"));
      return this.#composer.element;
    }
    const form = h("form", { noValidate: true }, this.#body.element, h("div.q-send", this.#send, this.#keys), this.#notice);
    on(form, "submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    on(form, "keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
        event.preventDefault();
        this.#submit();
      }
    });
    return form;
  }

  async #submit() {
    const answer = this.state ? null : await this.read();
    if (!answer || this.state) return;
    const question = this.#question;
    this.setState("sending");
    setText(this.#notice, "");
    try {
      await this.#reply(answer);
      this.setState(question === this.#question ? "sent" : ""); // it may be asked again already
    } catch (/** @type {any} */ error) {
      setText(this.#notice, error.message);
      this.setState("");
    }
  }

  /** @param {any[]} parts of the composer @returns {Answer} */
  #textAnswer(parts) {
    const files = parts.filter(({ filename }) => filename);
    const text = parts.find(({ filename }) => !filename)?.text ?? "";
    return this.#isJson.checked ? { value: parsed(text), files } : { value: text, files, isText: true };
  }
}

/** The words of a card: its kind, its title, and what else there is to see. @param {Question} question */
function contentOf(question) {
  const { value, agent } = question;
  const isObject = value?.constructor === Object;
  const approval = approvalIn(question);
  const isCall = approval && !value.action_requests;
  const key = isObject && !isCall ? TEXTS.find((each) => typeof value[each] === "string") : undefined;
  const text = key ? value[key] : typeof value === "string" ? value : "";
  const drawn = [...DRAWN, key, ...(isCall ? OF_A_CALL : []), ...(agent ? PASSED_ON : [])];
  const details = isObject ? facts(value, drawn) : text ? null : fact(value);
  const content = (kind, title, ...more) => ({ kind, title, details: [details, ...more].filter(Boolean) });

  if (approval) return content("Approval", text || "May the agent do this?");
  if (isBreakpoint(value)) return content("Breakpoint", `The run waits ${value.breakpoint} ${value.nodes.join(" and ")}.`);
  const url = signInUrl(value);
  if (url) return content("Sign-in", text || "Please sign in.", h("p", ...linked(url)));
  return content("Question", text || "The agent waits for an answer.");
}

const isBreakpoint = (value) => Boolean(value?.breakpoint && Array.isArray(value.nodes));
const signInUrl = (value) => [value?.auth_url, value?.auth].find((url) => /^https?:\/\//.test(url));

/** @param {Question} question @param {string} titleId @param {(isComplete: boolean) => void} pick @returns {Body | null} */
function bodyFor(question, titleId, pick) {
  const { value, schema } = question;
  const approval = approvalIn(question);
  if (approval) return new ApprovalForm(approval, pick);
  if (isBreakpoint(value)) return new Buttons({ send: "Go on", titleId, pick });
  const { enum: values, titles, type } = resolved(schema, schema);
  if (values && values.length <= MAX_BUTTONS) return new Buttons({ values, names: titles, titleId, pick });
  if (type === "boolean") return new Buttons({ values: [true, false], titleId, pick });
  const options = Array.isArray(value?.options) ? value.options : [];
  if (!schema && !options.length && !signInUrl(value)) return null;
  const another = new SchemaForm(schema ?? { type: "string" }, { labelledBy: titleId });
  if (schema && !options.length) return Object.assign(another, { isReady: true });
  const names = options.map((option) => option?.label ?? option?.title);
  return new Buttons({ values: options, names, another, send: options.length ? "" : "I have signed in", titleId, pick });
}

/** A button for each value, or one button to go on; and perhaps a form for another answer. */
class Buttons {
  #values;
  #choices;
  #another;
  #fold;

  constructor({ values = [], names = [], another = null, send = "", titleId, pick }) {
    this.#values = values;
    this.#another = another;
    this.send = send;
    this.#choices = new Choices(values.map((value, place) => names[place] ?? wordsFor(value)), { "aria-labelledby": titleId }, () => pick(true));
    this.#fold = another && h("details.q-fold", h("summary", "Another answer"), another.element);
    this.element = h("div", values.length > 0 && this.#choices.element, this.#fold);
    if (!another) return;
    on(another.element, "input", () => this.#choices.pick(-1));
    on(this.#fold, "toggle", () => pick(false));
  }

  get isReady() {
    return this.#choices.picked >= 0 || Boolean(this.send || this.#fold?.open);
  }

  read() {
    const { picked } = this.#choices;
    if (picked >= 0) return { value: this.#values[picked] };
    return this.#fold?.open ? this.#another.read() : { value: this.send };
  }
}
