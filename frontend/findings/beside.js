/** What stands beside the findings in their artifact: notes, templates of log lines, and whatever else an agent sends. */

import { h, on } from "../dom.js";
import { count, plural } from "../format.js";
import { copyButton, jsonOf, linesBox, shorten } from "./finding-row.js";
import { isObject, secondsOf } from "./incidents.js";
import { utc } from "./words.js";

const MOST_TEMPLATES = 200;
const MOST_NOTES = 50;
const LONGEST_JSON = 20_000; // characters

/** The data of the artifact besides its findings. @returns {Record<string, any>} */
export function besideFindings(task) {
  const artifacts = task?.artifacts instanceof Map ? [...task.artifacts.values()] : [];
  const parts = artifacts.filter((each) => each?.name === "findings").flatMap(({ parts }) => (Array.isArray(parts) ? parts : []));
  const beside = Object.assign({}, ...parts.map((part) => part?.data).filter(isObject));
  delete beside.findings;
  return beside;
}

/** @param {Record<string, any>} beside @returns {any[]} elements */
export function drawBeside({ notes, templates, ...rest }) {
  const elements = [];
  if (isList(notes, (note) => typeof note === "string")) elements.push(notesOf(notes));
  else if (notes !== undefined) rest.notes = notes;
  if (isList(templates, (each) => isObject(each) && typeof each.template === "string")) elements.push(templatesOf(templates));
  else if (templates !== undefined) rest.templates = templates;
  const isEmpty = (value) => value === null || (typeof value === "object" && !Object.keys(value).length);
  for (const [key, value] of Object.entries(rest)) if (!isEmpty(value)) elements.push(jsonBox(key, value));
  return elements;
}

const isList = (value, isItem) => Array.isArray(value) && value.length > 0 && value.every(isItem);

function notesOf(notes) {
  const items = notes.slice(0, MOST_NOTES).map((note) => h("li", shorten(note, 600)));
  const more = notes.length > MOST_NOTES && h("li", `and ${plural(notes.length - MOST_NOTES, "more note")}`);
  return h("details.f-beside", { open: notes.length <= 5 }, h("summary", plural(notes.length, "note")), h("ul.f-notes", ...items, more));
}

/** Made when it is opened. */
function templatesOf(templates) {
  const details = h("details.f-beside", h("summary", `${plural(templates.length, "template")} of log lines`));
  on(details, "toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const more = templates.length > MOST_TEMPLATES && h("p.f-quiet", `The first ${count(MOST_TEMPLATES)} of ${count(templates.length)}.`);
    details.append(...[h("ol", ...templates.slice(0, MOST_TEMPLATES).map(templateRow)), more].filter(Boolean));
  });
  return details;
}

function templateRow({ template, count: lines, first, last, example }) {
  const [from, to] = [first, last].map(secondsOf);
  const times = from === null || to === null ? "" : `${utc(from)} – ${utc(to)}`;
  const about = h("span.f-quiet", [typeof lines === "number" ? plural(lines, "line") : "", times].filter(Boolean).join(", "));
  const head = [h("code", shorten(template, 600)), " ", about];
  if (typeof example !== "string" || !example) return h("li.f-template", ...head);
  const details = h("details", h("summary", ...head));
  on(details, "toggle", () => details.children.length < 2 && details.append(linesBox({ title: "One of them", lines: [example] })));
  return h("li.f-template", details);
}

function jsonBox(key, value) {
  const copy = copyButton("Copy as JSON", () => jsonOf(value, 2));
  return h("details.f-beside", h("summary", shorten(key.replaceAll("_", " "), 60)), h("pre", { tabIndex: 0 }, h("code", shorten(jsonOf(value, 2), LONGEST_JSON))), copy);
}
