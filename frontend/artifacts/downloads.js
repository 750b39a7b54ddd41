/** A task's answer, data, events and request, in forms that other programs read. */

import { h } from "../dom.js";
import { plainName } from "../format.js";
import { storedEvents } from "../stored-events.js";
import { columnsOf, dataOf, own } from "./data-view.js";

const MAX_TABLES = 8; // with an entry of their own

/**
 * What there is to take along, by its label.
 * @param {any} task @param {(cursor: number) => string} streamUrl @param {(text: string) => any} copy
 * @returns {[string, () => any][]}
 */
export function downloadsOf({ id, title, agent, answer, artifacts, request }, streamUrl, copy) {
  const name = `${nameOf(title) || "task"}-${id.slice(0, 8)}`;
  const all = [...artifacts.values()].filter(({ parts }) => parts.some((part) => "data" in part));
  /** @type {[string, () => any][]} */
  const entries = [];
  if (answer?.text) entries.push(["Download the answer (.md)", () => save(`${name}.md`, answer.text)]);
  if (all.length) entries.push(["Download the data (.json)", () => save(`${name}.json`, jsonOf(all))]);
  for (const [table, rows] of tablesOf(all)) entries.push([`Download ${plainName(table)} (.csv)`, () => save(`${name}-${nameOf(table)}.csv`, csvOf(rows))]);
  entries.push(["Download all events (.ndjson)", async () => save(`${name}.ndjson`, await eventsOf(streamUrl))]);
  if (request) entries.push(["Copy as a curl command", async () => copy(await curlOf(request, agent))]);
  return entries;
}

/** @param {string} name of a file @param {BlobPart} content */
export function save(name, content) {
  // A type that no browser opens on the page's origin.
  const url = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const nameOf = (text) => text.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60);

/** The data of an artifact, or of all by their names. */
function jsonOf(artifacts) {
  const all = new Map();
  for (const artifact of artifacts) all.set(all.has(artifact.name) ? artifact.id : artifact.name, dataOf(artifact));
  return JSON.stringify(all.size > 1 ? Object.fromEntries(all) : [...all.values()][0], null, 2);
}

/** Each artifact that is a table, and each table in one. @returns {[string, any[]][]} */
function tablesOf(artifacts) {
  const tables = [];
  for (const artifact of artifacts) {
    const { name } = artifact;
    const data = dataOf(artifact);
    const inner = columnsOf(data) ? [[name, data]] : Object.entries(Object(data));
    for (const [key, rows] of inner) if (columnsOf(rows)) tables.push([key === name ? name : `${name} ${key}`, rows]);
  }
  return tables.slice(0, MAX_TABLES);
}

/** RFC 4180, with the mark that lets a spreadsheet read it as UTF-8. */
function csvOf(rows) {
  const columns = columnsOf(rows) ?? [];
  const lines = [columns, ...rows.map((row) => columns.map((name) => own(row, name)))];
  return `\ufeff${lines.map((cells) => `${cells.map(csvCell).join(",")}\r\n`).join("")}`;
}

function csvCell(value) {
  if (value === undefined || value === null) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  // A spreadsheet would compute such a text. A negative number is none.
  const isFormula = /^\s*[=+\-@＝＋－＠]|^[\t\r\n]/.test(text) && Number.isNaN(Number(text));
  const safe = isFormula ? `'${text}` : text;
  return /[",;\s]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** All events so far, one JSON object a line. */
async function eventsOf(streamUrl) {
  const lines = [];
  for await (const { data, isGap } of storedEvents(streamUrl)) {
    // A line break in JSON is a space. What is gone for good is in the file too.
    lines.push(isGap ? `{"gap":${data}}\n` : `${data.replaceAll("\n", " ")}\n`);
  }
  return lines.join("");
}

/** A command for a POSIX shell that begins the same task. In a quoted here-document nothing is expanded. */
async function curlOf({ parts, metadata, referenceTaskIds }, agent) {
  const message = { parts, metadata, referenceTaskIds };
  const json = JSON.stringify({ message, agent: agent || undefined }, null, 2);
  // A terminal may obey control characters.
  const body = `${json.replace(/[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`;
  const headers = ["'content-type: application/json'"];
  await import("../account.js").catch(() => {}); // it finds out who the user is
  if (document.cookie.includes("tailrace-secret=")) headers.push('"x-tailrace-secret: $TAILRACE_SECRET"');
  // A session is the browser's alone: a shell has a token of its own. Without one it says so, and sends nothing.
  if (document.querySelector("#sidebar .account")) headers.push('"authorization: Bearer ${TAILRACE_TOKEN:?make token NAME=shell prints one}"');
  const { secretFile } = document.body.dataset;
  if (secretFile) headers.push(`"authorization: Bearer $(cat '${secretFile.replaceAll("'", "'\\''")}')"`);
  // CloudFront needs it to sign the request.
  if (location.protocol === "https:") headers.push(`'x-amz-content-sha256: ${await sha256(body)}'`);
  const url = new URL("api/tasks", document.baseURI).href.replaceAll("'", "%27");
  return `curl -sS '${url}' ${headers.map((header) => `-H ${header} `).join("")}--data-binary @- <<'JSON'\n${body}JSON\n`;
}

async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
