/**
 * The approvals of LangChain's HumanInTheLoopMiddleware: actions with their arguments, and what may be decided about each.
 * In a batch the answer is `{decisions: […]}`. A question about one call of a tool takes one decision.
 */

import { h, on } from "./dom.js";
import { Choices, facts, linked } from "./question-parts.js";
import { SchemaForm, resolved, schemaLike } from "./schema-form.js";

const VERBS = { approve: "Approve", edit: "Edit", reject: "Reject", respond: "Respond" };

/**
 * What a question asks to approve; null if it asks for something else.
 * @param {{value: any, schema?: any}} question
 * @returns {{actions: any[], answer: (decisions: any[]) => any} | null}
 */
export function approvalIn({ value, schema = {} }) {
  if (Array.isArray(value?.action_requests) && Array.isArray(value.review_configs)) {
    const actions = value.action_requests.map((action) => {
      const config = value.review_configs.find((each) => each?.action_name === action?.name);
      return { ...action, allowed: config?.allowed_decisions ?? [], argsSchema: config?.args_schema };
    });
    return { actions, answer: (decisions) => ({ decisions }) };
  }
  if (value?.type !== "tool_approval") return null;
  const variants = (schema.oneOf ?? schema.anyOf ?? [schema]).map((each) => resolved(each, schema).properties ?? {});
  const allowed = variants.map((each) => each.type?.const).filter(Boolean);
  const edited = resolved(variants.find((each) => each.edited_action)?.edited_action, schema).properties?.args;
  const argsSchema = edited && { ...resolved(edited, schema), $defs: schema.$defs };
  return { actions: [{ ...value, allowed, argsSchema }], answer: ([decision]) => decision };
}

export class ApprovalForm {
  #answer;
  /** @type {Decision[]} */ #decisions;

  /** @param {any} approval from `approvalIn` @param {(isComplete: boolean) => void} onDecide `isComplete`: nothing is left to write */
  constructor({ actions, answer }, onDecide) {
    this.#answer = answer;
    this.#decisions = actions.map((action) => new Decision(action, (type) => onDecide(actions.length === 1 && type === "approve")));
    const all = h("button.link", { type: "button" }, "Approve all");
    on(all, "click", () => {
      for (const decision of this.#decisions) decision.decide("approve");
      onDecide(false);
    });
    const hasAll = actions.length > 1 && actions.every(({ allowed }) => allowed.includes("approve"));
    this.element = h("div", h("ol.q-actions", ...this.#decisions.map(({ element }) => h("li", element))), hasAll && all);
  }

  /** Whether something is decided, or there is nothing to decide. */
  get isReady() {
    return !this.#decisions.length || this.#decisions.some(({ type }) => type);
  }

  /** The answer as `{value}`; null if something is missing, and the form says what. */
  read() {
    const decisions = [];
    for (const each of this.#decisions) {
      const decision = each.read();
      if (!decision) return null;
      decisions.push(decision);
    }
    return { value: this.#answer(decisions) };
  }
}

/** The decision about one action. */
class Decision {
  type = "";
  #action;
  #choices;
  #detail = h("div.q-detail");
  #missing = h("p.q-error", { role: "alert" });
  /** @type {Map<string, SchemaForm>} */ #forms = new Map(); // by decision, so that changing one's mind loses nothing

  /** @param {any} action @param {(type: string) => void} onDecide */
  constructor(action, onDecide) {
    this.#action = action;
    const { name, description, args, allowed } = action;
    this.#choices = new Choices(allowed.map((type) => VERBS[type] ?? type), { "aria-label": `Decide about ${name}` }, (place) => {
      this.decide(allowed[place]);
      onDecide(this.type);
    });
    this.element = h(
      "div.q-action",
      h("h4.q-tool", name),
      // LangChain's own description repeats the arguments.
      description && h("p.q-words", ...linked(description.split(/\n\nTool: .*\nArgs: /)[0])),
      facts(args),
      this.#choices.element,
      this.#detail,
      this.#missing,
    );
  }

  /** @param {string} type */
  decide(type) {
    this.type = type;
    this.#choices.pick(this.#action.allowed.indexOf(type));
    this.#missing.textContent = "";
    if (!this.#forms.has(type)) {
      const form = this.#formFor(type);
      if (form) this.#forms.set(type, form);
    }
    const form = this.#forms.get(type);
    this.#detail.replaceChildren(...(form ? [form.element] : []));
    form?.focus();
  }

  /** What is to be written for a decision. */
  #formFor(type) {
    const { args, argsSchema } = this.#action;
    if (type === "edit") return new SchemaForm(argsSchema ?? schemaLike(args), { initial: args });
    const title = type === "reject" ? "Reason" : "Your answer, in place of the action’s result";
    const message = { type: "string", format: "textarea", title };
    if (type === "reject") return new SchemaForm({ type: "object", properties: { message } });
    return type === "respond" ? new SchemaForm({ type: "object", properties: { message }, required: ["message"] }) : null;
  }

  /** The decision; null if something is missing. */
  read() {
    if (!this.type) {
      this.#missing.textContent = `Decide about ${this.#action.name}.`;
      this.#choices.element.firstElementChild?.focus();
      return null;
    }
    const written = this.#forms.has(this.type) ? this.#forms.get(this.type)?.read() : { value: {} };
    if (!written) return null;
    if (this.type !== "edit") return { type: this.type, ...written.value };
    return { type: "edit", edited_action: { name: this.#action.name, args: written.value } };
  }
}
