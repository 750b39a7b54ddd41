/**
 * What a question shows, and what answers it: buttons, a form, or approvals; null stands for a text.
 *
 * `value` is what the graph asks. `isText`: the answer may be a message's text. `isReady`: there is something to send.
 * `read` gives null if something is missing, which the body shows.
 * @typedef {{id: string, value: any, schema?: any, agent?: string, refused?: string}} Question
 * @typedef {{value: any, files?: any[], isText?: boolean}} Answer
 * @typedef {{element: any, isReady: boolean, send?: string, read: () => Answer | null}} Body
 */

import { h, on, setText } from "./dom.js";
import { plainName, visible, wordsFor } from "./format.js";
import { SchemaForm, controlIn, resolved, schemaLike } from "./schema-form.js";

const TEXTS = ["question", "description", "message", "prompt"]; // keys of a value that may hold its text
const DRAWN = ["options", "breakpoint", "nodes", "action_requests", "review_configs"];
const SIGN_IN = ["auth_url", "auth"]; // keys of a URL to sign in at
const OF_A_CALL = ["type", "tool_call_id", "name", "args", "description"]; // drawn as an action
const PASSED_ON = ["agent", "delegated", "refused"]; // keys of another agent's question
const MAX_BUTTONS = 12;
const LONG_FACT = 400; // characters: a longer one is folded
const URL_IN_TEXT = /(https?:\/\/[^\s<>"]+)/;
const VERBS = { approve: "Approve", edit: "Edit", reject: "Reject", respond: "Respond" };

/** @param {string} text @returns {any[]} the text with its URLs as links */
export const linked = (text) =>
  text.split(URL_IN_TEXT).map((piece, place) => (place % 2 ? h("a", { href: piece, target: "_blank", rel: "noopener noreferrer" }, piece) : visible(piece)));

/** @param {Question} question */
export function contentOf({ value, schema, agent }) {
  const isObject = value?.constructor === Object;
  const actions = actionsIn(value, schema);
  const isCall = actions && !value.action_requests;
  const key = isObject && !isCall ? TEXTS.find((each) => typeof value[each] === "string") : undefined;
  const text = key ? value[key] : typeof value === "string" ? value : "";
  const url = signInUrl(value);
  const drawn = [...DRAWN, key, ...SIGN_IN.filter((each) => url && value[each] === url), ...(isCall ? OF_A_CALL : []), ...(agent ? PASSED_ON : [])];
  const details = isObject ? facts(value, drawn) : !text && fact(value);
  const content = (kind, title, ...more) => ({ kind, title, details: [details, ...more].filter(Boolean) });

  if (actions) return content("Approval", text || (actions.length === 1 ? "May the agent do this?" : `May the agent do these ${actions.length} things?`));
  if (isBreakpoint(value)) return content("Breakpoint", `The run waits ${value.breakpoint} ${value.nodes.join(" and ")}.`);
  if (url) return content("Sign-in", text || "Please sign in.", h("p", ...linked(url)));
  return content("Question", text || "The agent waits for an answer.");
}

/**
 * @param {Question} question @param {string} titleId of the element that names the controls
 * @param {(isComplete: boolean) => void} pick called for a button; `isComplete`: it is the whole answer
 * @returns {Body | null}
 */
export function bodyFor({ value, schema }, titleId, pick) {
  const actions = actionsIn(value, schema);
  if (actions) return new Approvals(actions, Boolean(value.action_requests), pick);
  if (isBreakpoint(value)) return new Buttons({ send: "Go on", titleId, pick });
  const { enum: values, titles, type } = resolved(schema, schema);
  if (values?.length <= MAX_BUTTONS) return new Buttons({ values, names: titles, titleId, pick });
  if (type === "boolean") return new Buttons({ values: [true, false], titleId, pick });
  const options = Array.isArray(value?.options) ? value.options : [];
  const url = signInUrl(value);
  if (!schema && !options.length && !url) return null;
  const form = new SchemaForm(schema ?? { type: "string" }, { labelledBy: titleId });
  if (schema && !options.length) return Object.assign(form, { isReady: true });
  const names = options.map((option) => option?.label ?? option?.title);
  return new Buttons({ values: options, names, another: form, send: options.length ? "" : "I have signed in", titleId, pick });
}

const isBreakpoint = (value) => value?.breakpoint && Array.isArray(value.nodes);
const signInUrl = (value) => SIGN_IN.map((key) => value?.[key]).find((url) => /^https?:\/\//.test(url));

/** An object's entries; null if there are none to see. @param {any} values @param {any[]} hidden keys */
function facts(values, hidden = []) {
  const entries = Object.entries(values ?? {}).filter(([key]) => !hidden.includes(key));
  return entries.length ? h("dl.q-facts", ...entries.map(([key, value]) => h("div", h("dt", plainName(key)), h("dd", fact(value))))) : null;
}

function fact(value) {
  const isText = !value || typeof value !== "object";
  const words = visible(isText ? String(value) : JSON.stringify(value, null, 2), true);
  const text = isText ? h("p", ...linked(words)) : h("pre", words);
  return words.length > LONG_FACT ? h("details", h("summary", `${words.slice(0, 100)} …`), text) : text;
}

/** Buttons of which one at most is pressed. */
class Choices {
  picked = -1; // the place of the value
  #buttons;

  /** @param {string[]} names @param {any} label attribute that names them all @param {(place: number) => void} onPick */
  constructor(names, label, onPick) {
    const press = (place) => {
      this.pick(place);
      onPick(place);
    };
    this.#buttons = names.map((name, place) => h("button.q-choice", { type: "button", ariaPressed: "false", onclick: () => press(place) }, plainName(name)));
    this.element = h("div.q-choices", { role: "group", ...label }, ...this.#buttons);
  }

  /** @param {number} picked -1 for none */
  pick(picked) {
    this.picked = picked;
    this.#buttons.forEach((button, place) => (button.ariaPressed = String(place === picked)));
  }
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
    this.#fold = another && h("details.aside", h("summary", "Another answer"), another.element);
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
    if (this.#fold?.open) return this.#another.read();
    return this.send ? { value: this.send } : null;
  }
}

/** The actions that LangChain's HumanInTheLoopMiddleware asks to approve, in a batch or one call of a tool; null if none. */
function actionsIn(value, schema = {}) {
  if (Array.isArray(value?.action_requests) && Array.isArray(value.review_configs)) {
    return value.action_requests.map((action) => {
      const config = value.review_configs.find((each) => each?.action_name === action?.name);
      return { ...action, allowed: config?.allowed_decisions ?? [], argsSchema: config?.args_schema };
    });
  }
  if (value?.type !== "tool_approval") return null;
  const variants = (schema.oneOf ?? schema.anyOf ?? [schema]).map((each) => resolved(each, schema).properties ?? {});
  const edited = resolved(variants.find((each) => each.edited_action)?.edited_action, schema).properties?.args;
  const argsSchema = edited && { ...resolved(edited, schema), $defs: schema.$defs };
  return [{ ...value, allowed: variants.map((each) => each.type?.const).filter(Boolean), argsSchema }];
}

class Approvals {
  #isBatch;
  #decisions;

  /** @param {any[]} actions @param {boolean} isBatch @param {(isComplete: boolean) => void} pick */
  constructor(actions, isBatch, pick) {
    this.#isBatch = isBatch;
    this.#decisions = actions.map((action) => new Decision(action, (type) => pick(actions.length === 1 && type === "approve")));
    const approveAll = () => {
      for (const decision of this.#decisions) decision.decide("approve");
      pick(false);
    };
    const all = actions.length > 1 && actions.every(({ allowed }) => allowed.includes("approve"));
    const rows = this.#decisions.map(({ element }) => h("li", element));
    this.element = h("div", h("ol.q-actions", ...rows), all && h("button.button", { type: "button", onclick: approveAll }, "Approve all"));
  }

  get isReady() {
    return this.#decisions.every(({ type }) => type);
  }

  read() {
    const decisions = [];
    for (const each of this.#decisions) {
      const decision = each.read();
      if (!decision) return null;
      decisions.push(decision);
    }
    return { value: this.#isBatch ? { decisions } : decisions[0] };
  }
}

/** The decision about one action. */
class Decision {
  type = "";
  #action;
  #choices;
  #detail = h("div");
  #missing = h("p.q-error", { role: "alert" });
  /** @type {Map<string, SchemaForm | null>} */ #forms = new Map(); // by decision: changing one's mind loses nothing

  /** @param {any} action @param {(type: string) => void} onDecide */
  constructor(action, onDecide) {
    this.#action = action;
    const { name, description, args, allowed } = action;
    this.#choices = new Choices(allowed.map((type) => VERBS[type] ?? type), { ariaLabel: `Decide about ${plainName(name)}` }, (place) => {
      this.decide(allowed[place]);
      controlIn(this.#detail)?.focus();
      onDecide(this.type);
    });
    // LangChain's own description repeats the arguments.
    const words = description && h("p.q-words", ...linked(description.split(/\n\nTool: .*\nArgs: /)[0]));
    this.element = h("div.q-action", h("h4", plainName(name)), words, facts(args), this.#choices.element, this.#detail, this.#missing);
  }

  /** @param {string} type */
  decide(type) {
    this.type = type;
    this.#choices.pick(this.#action.allowed.indexOf(type));
    setText(this.#missing, "");
    if (!this.#forms.has(type)) this.#forms.set(type, this.#formFor(type));
    this.#detail.replaceChildren(this.#forms.get(type)?.element ?? "");
  }

  /** What is to be written for a decision. */
  #formFor(type) {
    const { args, argsSchema } = this.#action;
    if (type === "edit") return new SchemaForm(argsSchema ?? schemaLike(args), { initial: args });
    if (type !== "reject" && type !== "respond") return null;
    const title = type === "reject" ? "Reason" : "Your answer, in place of the action’s result";
    const required = type === "respond" ? ["message"] : [];
    return new SchemaForm({ type: "object", properties: { message: { type: "string", format: "textarea", title } }, required });
  }

  read() {
    if (!this.type) {
      setText(this.#missing, `Decide about ${plainName(this.#action.name)}.`);
      this.#choices.element.firstChild?.focus();
      return null;
    }
    const form = this.#forms.get(this.type);
    const written = form ? form.read() : { value: {} };
    if (!written) return null;
    if (this.type !== "edit") return { type: this.type, ...written.value };
    return { type: "edit", edited_action: { name: this.#action.name, args: written.value } };
  }
}
