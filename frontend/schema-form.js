/**
 * A form for a JSON Schema. What it cannot draw is a box for JSON. It says only what would be refused anyway, because the
 * server decides.
 *
 * @typedef {{element: any, isEmpty: () => boolean, read: (problems: any[]) => any}} Field
 *   `read` gives the value, or undefined to leave it out; a control with a wrong value is added to `problems`.
 * @typedef {{schema: any, label: string, initial: any, required: boolean, depth: number}} About
 */

import { h, on, setText, uniqueId } from "./dom.js";

const MAX_DEPTH = 5; // of forms in forms; what is deeper is JSON
const LONG_TEXT = 60; // characters
const INPUTS = { date: "date", email: "email", uri: "url", time: "time", "date-time": "datetime-local" }; // by format

export class SchemaForm {
  #field;

  /** @param {any} schema @param {{initial?: any, labelledBy?: string}} options `labelledBy` names a form of one field */
  constructor(schema, { initial, labelledBy } = {}) {
    this.#field = fieldFor({ schema, label: "", initial, required: true, depth: 0 }, schema);
    this.element = this.#field.element;
    const control = controlIn(this.element);
    if (labelledBy && !control?.labels?.length) control?.setAttribute("aria-labelledby", labelledBy);
  }

  /** What is written, as `{value}`; null if something is missing or wrong, and the form says what. */
  read() {
    const problems = [];
    const value = this.#field.read(problems);
    problems[0]?.focus();
    return problems.length ? null : { value };
  }

  focus() {
    controlIn(this.element)?.focus();
  }
}

/** The first control in an element, to be focused. @returns {any} */
export const controlIn = (element) => element.querySelector("input, textarea, select");

/** @param {any} schema @param {any} root its `$defs` @returns {any} the schema behind references, unions with null, and the like */
export function resolved(schema, root) {
  let isNullable = false;
  for (let n = 0; n < 16 && schema && typeof schema === "object"; n += 1) {
    const { $ref, allOf, anyOf, oneOf, ...rest } = schema;
    const union = anyOf ?? oneOf ?? [];
    const variants = union.filter((variant) => variant.type !== "null");
    isNullable ||= variants.length < union.length || (Array.isArray(rest.type) && rest.type.includes("null"));
    if (Array.isArray(rest.type)) rest.type = rest.type.find((type) => type !== "null");
    const one = $ref ? lookUp($ref, root) : (allOf ?? variants).length === 1 ? (allOf ?? variants)[0] : null;
    if (one && typeof one === "object") schema = { ...one, ...rest };
    else if (variants.length && variants.every((variant) => "const" in variant)) {
      return { ...rest, enum: variants.map((variant) => variant.const), titles: variants.map(({ title }) => title), isNullable };
    } else return { ...schema, ...(rest.type && { type: rest.type }), isNullable };
  }
  return {};
}

/** What a reference like "#/$defs/Place" means. */
const lookUp = ($ref, root) =>
  String($ref).slice(2).split("/").reduce((place, key) => place?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], root);

/** A schema for a value like this one. */
export function schemaLike(value) {
  const type = Number.isInteger(value) ? "integer" : typeof value;
  if (["string", "integer", "number", "boolean"].includes(type)) return { type };
  if (Array.isArray(value)) {
    return value.length && value.every((each) => typeof each === "string") ? { type: "array", items: { type: "string" } } : {};
  }
  const entries = Object.entries(value ?? {});
  const properties = Object.fromEntries(entries.map(([key, each]) => [key, { title: key, ...schemaLike(each) }]));
  return entries.length ? { type: "object", properties, required: Object.keys(properties) } : {};
}

/** @param {About} about @param {any} root @returns {Field} */
function fieldFor(about, root) {
  const schema = resolved(about.schema, root);
  const inner = { ...about, schema, initial: about.initial ?? schema.default, label: schema.title ?? about.label };
  const { type, items, properties } = schema;
  if ("const" in schema) return { element: h("input", { type: "hidden" }), isEmpty: () => true, read: () => schema.const };
  if (schema.enum) return choice(inner, schema.enum, schema.titles ?? []);
  if (type === "boolean") return typeof inner.initial === "boolean" || about.required ? checkbox(inner) : choice(inner, [true, false], ["Yes", "No"]);
  if (type === "string" || type === "number" || type === "integer") return line(inner);
  if (about.depth < MAX_DEPTH && type === "object" && properties) return group(inner, root);
  if (about.depth < MAX_DEPTH && type === "array" && items) return list(inner, root);
  return json(inner);
}

/** A control with its label, its description, and a place for what is wrong. */
function labelled(control, { label, schema, required, depth }, { read, isEmpty = () => control.value === "", after = false }) {
  const error = h("p.q-error", { id: uniqueId(), hidden: true });
  const limits = [schema.minimum !== undefined && `at least ${schema.minimum}`, schema.maximum !== undefined && `at most ${schema.maximum}`];
  const about = [schema.description, ...limits].filter(Boolean).join(" · ");
  const hint = about && h("p.q-hint", { id: uniqueId() }, about);
  control.id = uniqueId();
  control.setAttribute("aria-describedby", [...(hint ? [hint.id] : []), error.id].join(" "));
  const say = (words) => {
    setText(error, words);
    error.hidden = !words;
    control.setAttribute("aria-invalid", String(Boolean(words)));
  };
  on(control, "input", () => say(""));
  const name = label && h("label", { htmlFor: control.id }, label, !required && depth > 0 && h("span.q-optional", " optional"));
  return {
    element: h("div.q-field", !after && name, control, after && name, hint, error),
    isEmpty,
    read: (problems) => {
      try {
        return read();
      } catch (/** @type {any} */ problem) {
        say(problem.message);
        problems.push(control);
      }
    },
  };
}

/** A text or a number. @param {About} about */
function line(about) {
  const { schema, initial, required } = about;
  const isText = schema.type === "string";
  const text = initial === undefined || initial === null ? "" : String(initial);
  const isLong = text.length > LONG_TEXT || text.includes("\n") || schema.format === "textarea" || (!about.depth && !schema.format);
  const control = isText && isLong ? h("textarea", { rows: 2 }) : h("input", { type: isText ? (INPUTS[schema.format] ?? "text") : "number" });
  control.autocomplete = "off";
  if (!isText) Object.assign(control, { min: schema.minimum ?? "", max: schema.maximum ?? "", step: schema.type === "integer" ? 1 : "any" });
  control.value = text;
  if (control.value !== text && isText) Object.assign(control, { type: "text", value: text }); // no date, for example
  control.required = required && !schema.isNullable && !(isText && initial === "");
  const read = () => {
    const { valueMissing, badInput, rangeUnderflow, rangeOverflow, stepMismatch } = control.validity;
    if (valueMissing || badInput || rangeUnderflow || rangeOverflow || stepMismatch) throw new Error(control.validationMessage);
    if (!control.value) return !required ? undefined : schema.isNullable ? null : "";
    if (control.type === "datetime-local") return new Date(control.value).toISOString();
    return isText ? control.value : Number(control.value);
  };
  return labelled(control, about, { read });
}

/** @param {About} about */
function checkbox(about) {
  const control = h("input", { type: "checkbox", checked: about.initial === true });
  return labelled(control, about, { read: () => control.checked, isEmpty: () => true, after: true });
}

/** One of several values. @param {About} about */
function choice(about, values, titles) {
  const names = values.map((value, place) => titles[place] ?? wordsFor(value));
  const start = values.findIndex((value) => JSON.stringify(value) === JSON.stringify(about.initial));
  const control = h("select", { required: about.required }, h("option", { value: "" }, about.required ? "Choose …" : "—"));
  control.append(...names.map((name, place) => h("option", { value: String(place) }, name)));
  control.value = start < 0 ? "" : String(start);
  const read = () => {
    if (control.validity.valueMissing) throw new Error(control.validationMessage);
    return control.value === "" ? undefined : values[Number(control.value)];
  };
  return labelled(control, about, { read });
}

/** The fields of an object. @param {About} about */
function group({ schema, label, initial, required, depth }, root) {
  const needed = schema.required ?? [];
  const before = initial && typeof initial === "object" ? initial : {};
  const fields = Object.entries(schema.properties).map(([key, each]) => {
    const about = { schema: each, label: named(key), initial: before[key], required: needed.includes(key), depth: depth + 1 };
    return /** @type {[string, Field]} */ ([key, fieldFor(about, root)]);
  });
  const isEmpty = () => fields.every(([, field]) => field.isEmpty());
  return {
    element: h("fieldset.q-group", label && depth > 0 && h("legend", label), ...fields.map(([, field]) => field.element)),
    isEmpty,
    read: (problems) => {
      if (!required && isEmpty()) return undefined;
      const value = { ...before }; // also what the schema does not name
      for (const [key, field] of fields) {
        value[key] = field.read(problems);
        if (value[key] === undefined) delete value[key];
      }
      return value;
    },
  };
}

/** The items of an array: a field each. @param {About} about */
function list({ schema, label, initial, required, depth }, root) {
  /** @type {Set<Field>} */ const fields = new Set();
  const rows = h("ol.q-items");
  const add = (value) => {
    const name = `${label || "Item"} ${fields.size + 1}`;
    const field = fieldFor({ schema: schema.items, label: name, initial: value, required: false, depth: depth + 1 }, root);
    const remove = h("button.q-remove", { type: "button", "aria-label": `Remove ${name}` }, "×");
    const row = h("li", field.element, remove);
    on(remove, "click", () => {
      fields.delete(field);
      row.remove();
      more.focus();
    });
    fields.add(field);
    rows.append(row);
    return row;
  };
  const more = h("button.q-add", { type: "button" }, "Add");
  on(more, "click", () => controlIn(add(undefined))?.focus());
  const before = Array.isArray(initial) ? initial : [];
  for (let n = 0; n < Math.max(before.length, schema.minItems ?? 0, required ? 1 : 0); n += 1) add(before[n]);
  const isEmpty = () => [...fields].every((field) => field.isEmpty());
  return {
    element: h("fieldset.q-group", label && h("legend", label), schema.description && h("p.q-hint", schema.description), rows, more),
    isEmpty,
    read: (problems) => {
      const values = [...fields].map((field) => field.read(problems)).filter((value) => value !== undefined);
      return values.length || required ? values : undefined;
    },
  };
}

/** A box for any JSON, with the schema to see. @param {About} about */
function json(about) {
  const { schema, initial, required } = about;
  const control = h("textarea.q-json", { rows: 3, spellcheck: false, required });
  control.value = initial === undefined ? "" : JSON.stringify(initial, null, 2);
  const field = labelled(control, { ...about, label: about.label }, {
    read: () => {
      if (control.validity.valueMissing) throw new Error(control.validationMessage);
      return control.value.trim() ? parsed(control.value) : undefined;
    },
  });
  const { isNullable, ...shown } = schema;
  const words = JSON.stringify(shown, null, 2);
  if (words !== "{}") field.element.append(h("details.q-schema", h("summary", "The schema of this JSON"), h("pre", words)));
  return field;
}

/** @param {string} text */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (/** @type {any} */ error) {
    throw new Error(`This is not JSON: ${error.message}`);
  }
}

export const wordsFor = (value) => (typeof value === "string" ? value : typeof value === "boolean" ? (value ? "Yes" : "No") : JSON.stringify(value));

/** start_date → Start date */
const named = (key) => key.replace(/[_-]+/g, " ").replace(/^./, (first) => first.toUpperCase());
