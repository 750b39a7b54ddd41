/**
 * A form for a JSON Schema; what it cannot draw is a box for JSON. The server decides: the form says only what would be
 * refused anyway.
 *
 * @typedef {{schema: any, label: string, initial: any, required: boolean, depth: number}} About
 * @typedef {{element: any, isEmpty: () => boolean, read: (wrong: any[]) => any}} Field undefined is left out; `wrong` gets controls
 */

import { h, on, setText, uniqueId } from "./dom.js";
import { DIRECTIONS, hex, plainName, wordsFor } from "./format.js";

const MAX_DEPTH = 5; // of objects in objects; what is deeper is JSON
const LONG_TEXT = 60; // characters
const INPUTS = { date: "date", email: "email", uri: "url", time: "time", "date-time": "datetime-local" }; // by format

export class SchemaForm {
  #field;

  /** @param {any} schema @param {{initial?: any, labelledBy?: string}} options `labelledBy`: the id of what names it */
  constructor(schema, { initial, labelledBy = "" } = {}) {
    this.#field = fieldFor({ schema, label: "", initial, required: true, depth: 0 }, schema);
    this.element = this.#field.element;
    const named = this.element.matches("fieldset") ? this.element : controlIn(this.element);
    if (labelledBy) named?.setAttribute("aria-labelledby", labelledBy);
  }

  /** What is written, as `{value}`; null if something is missing or wrong, which the form shows. */
  read() {
    const wrong = [];
    const value = this.#field.read(wrong);
    wrong[0]?.focus();
    return wrong.length ? null : { value };
  }
}

/** JSON to edit, in which what would move other characters is escaped. @param {any} value */
const exactJson = (value) => JSON.stringify(value, null, 2).replace(DIRECTIONS, (character) => `\\u${hex(character)}`);

/** The first control in an element. @returns {any} */
export const controlIn = (element) => element.querySelector("input, textarea, select");

/** The schema behind references, unions with null and unions of constants. @param {any} schema @param {any} root has its `$defs` @returns {any} */
export function resolved(schema, root) {
  let isNullable = false;
  for (let n = 0; n < 16; n += 1) {
    const { $ref, allOf, anyOf, oneOf, ...rest } = schema ?? {};
    const union = anyOf ?? oneOf ?? [];
    const variants = union.filter(({ type }) => type !== "null");
    isNullable ||= variants.length < union.length;
    if (Array.isArray(rest.type)) {
      isNullable ||= rest.type.includes("null");
      const types = rest.type.filter((type) => type !== "null");
      schema = { ...schema, type: types.length === 1 ? types[0] : undefined };
    }
    const [only, another] = $ref ? [lookUp($ref, root)] : (allOf ?? variants);
    if (only && !another) schema = { ...only, ...rest };
    else if (variants.length && variants.every((each) => "const" in each)) {
      return { ...rest, isNullable, enum: variants.map((each) => each.const), titles: variants.map(({ title }) => title) };
    } else return { ...schema, isNullable };
  }
  return {};
}

/** What "#/$defs/Place" means. */
const lookUp = ($ref, root) => $ref.slice(2).split("/").reduce((place, key) => place?.[key], root);

/** A schema for values like this one. */
export function schemaLike(value) {
  const type = Number.isInteger(value) ? "integer" : typeof value;
  if (type !== "object") return { type };
  if (Array.isArray(value)) return value.length && value.every((each) => typeof each === "string") ? { type: "array", items: { type: "string" } } : {};
  const entries = Object.entries(value ?? {}).map(([key, each]) => [key, { title: key, ...schemaLike(each) }]);
  return entries.length ? { type: "object", properties: Object.fromEntries(entries), required: entries.map(([key]) => key) } : {};
}

/** @param {About} about @returns {Field} */
function fieldFor(about, root) {
  const schema = resolved(about.schema, root);
  const { type, items, properties } = schema;
  const { depth, required } = about;
  about = { ...about, schema, label: plainName(schema.title ?? about.label), initial: about.initial ?? schema.default };
  if ("const" in schema) return { element: h("span"), isEmpty: () => true, read: () => schema.const };
  if (schema.enum) return choice(about, schema.enum, schema.titles);
  if (type === "boolean") return required || typeof about.initial === "boolean" ? checkbox(about) : choice(about, [true, false]);
  if (type === "string" || type === "number" || type === "integer") return line(about);
  if (type === "object" && Object.keys(properties ?? {}).length && depth < MAX_DEPTH) return group(about, root);
  return type === "array" && items && depth < MAX_DEPTH ? list(about, root) : json(about);
}

/** A control with its label, its description and what is wrong. @param {any} control @param {About} about @param {() => any} read @returns {Field} */
function labelled(control, { label, schema, initial, required, depth }, read) {
  const isCheckbox = control.type === "checkbox";
  const hint = schema.description && h("p.hint", { id: uniqueId() }, schema.description);
  const error = h("p.q-error", { id: uniqueId() });
  const optional = !required && depth > 0 && !isCheckbox && !initial && h("span.aside", " optional");
  control.id = uniqueId();
  control.required = required && !schema.isNullable && !isCheckbox && initial !== "";
  control.setAttribute("aria-describedby", `${hint?.id ?? ""} ${error.id}`);
  const complain = (words) => {
    setText(error, words);
    control.ariaInvalid = String(Boolean(words));
  };
  on(control, "input", () => complain(""));
  const isEmpty = () => isCheckbox || !control.value;
  return {
    element: h("div.q-field", label && h("label", { htmlFor: control.id }, label, optional), control, hint, error),
    isEmpty,
    read: (wrong) => {
      const { valid, typeMismatch } = control.validity; // of an address, which the server decides
      try {
        if (!valid && !typeMismatch) throw new Error(control.validationMessage);
        if (isCheckbox || control.value) return read();
        return required ? (schema.isNullable ? null : "") : undefined;
      } catch (/** @type {any} */ problem) {
        complain(problem.message);
        wrong.push(control);
      }
    },
  };
}

/** A text or a number. @param {About} about */
function line(about) {
  const { type, format, minimum = "", maximum = "" } = about.schema;
  const text = String(about.initial ?? "");
  const isText = type === "string";
  const isLong = text.length > LONG_TEXT || text.includes("\n") || format === "textarea" || (!about.depth && !format);
  const control = isText && isLong ? h("textarea", { rows: 2 }) : h("input", { type: isText ? (INPUTS[format] ?? "text") : "number", autocomplete: "off" });
  if (!isText) Object.assign(control, { min: minimum, max: maximum, step: type === "integer" ? 1 : "any" });
  control.value = text;
  if (isText && control.value !== text) Object.assign(control, { type: "text", value: text }); // for example no date
  const isTime = control.type === "datetime-local";
  return labelled(control, about, () => (isTime ? new Date(control.value).toISOString() : isText ? control.value : Number(control.value)));
}

/** @param {About} about */
function checkbox(about) {
  const control = h("input", { type: "checkbox", checked: about.initial === true });
  return labelled(control, about, () => control.checked);
}

/** One of several values. @param {About} about */
function choice(about, values, titles = []) {
  const options = values.map((value, place) => h("option", { value: String(place) }, plainName(titles[place] ?? wordsFor(value))));
  const control = h("select", h("option", { value: "" }, about.required ? "Choose …" : "—"), ...options);
  const start = values.indexOf(about.initial);
  control.value = start < 0 ? "" : String(start);
  return labelled(control, about, () => values[Number(control.value)]);
}

/** An object. @param {About} about @returns {Field} */
function group({ schema, label, initial, required, depth }, root) {
  const fields = Object.entries(schema.properties).map(([key, property]) => {
    const about = { schema: property, label: named(key), initial: initial?.[key], required: Boolean(schema.required?.includes(key)), depth: depth + 1 };
    return /** @type {[string, Field]} */ ([key, fieldFor(about, root)]);
  });
  const isEmpty = () => fields.every(([, field]) => field.isEmpty());
  return {
    element: h("fieldset.q-group", depth > 0 && h("legend", label), ...fields.map(([, { element }]) => element)),
    isEmpty,
    read: (wrong) => {
      if (!required && isEmpty()) return undefined;
      const value = { ...initial }; // also what the schema does not name
      for (const [key, field] of fields) {
        value[key] = field.read(wrong);
        if (value[key] === undefined) delete value[key];
      }
      return value;
    },
  };
}

/** An array. @param {About} about @returns {Field} */
function list({ schema, label, initial, required, depth }, root) {
  /** @type {Set<Field>} */ const fields = new Set();
  let added = 0;
  const rows = h("ol.q-items");
  const more = h("button.button", { type: "button" }, "Add");
  const add = (value) => {
    const name = `${label || "Item"} ${(added += 1)}`;
    const field = fieldFor({ schema: schema.items, label: name, initial: value, required: false, depth: depth + 1 }, root);
    const remove = h("button.remove", { type: "button", ariaLabel: `Remove ${name}` }, "×");
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
  on(more, "click", () => controlIn(add(undefined))?.focus());
  for (const value of initial ?? Array(schema.minItems ?? Number(required))) add(value);
  return {
    element: h("fieldset.q-list", depth > 0 && h("legend", label), rows, more),
    isEmpty: () => [...fields].every((field) => field.isEmpty()),
    read: (wrong) => {
      const values = [...fields].map((field) => field.read(wrong)).filter((value) => value !== undefined);
      return values.length || required ? values : undefined;
    },
  };
}

/** A box for any JSON, with the schema to see. @param {About} about */
function json(about) {
  const { isNullable, ...shown } = about.schema;
  const control = h("textarea.q-json", { rows: 3, spellcheck: false });
  control.value = about.initial === undefined ? "" : exactJson(about.initial);
  const field = labelled(control, about, () => parsed(control.value));
  if (Object.keys(shown).length) field.element.append(h("details.aside", h("summary", "Schema of this JSON"), h("pre", JSON.stringify(shown, null, 2))));
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

/** start_date → Start date */
const named = (key) => key.replace(/[_-]+/g, " ").replace(/^./, (first) => first.toUpperCase());
