/** A quiet row under a task: copy its answer, download what it made, run it again. */

import { columnsOf, dataOf, own } from "./data-view.js";
import { h, on, setText } from "./dom.js";
import { copyText } from "./markdown.js";
import { isFinished } from "./task-state.js";

const MAX_TABLES = 8; // with an entry of their own in the menu
const MAX_RETRIES = 3; // of a stream that brings nothing new

export class TakeAlong {
  #task;
  #streamUrl;
  #menu = h("div.ta-menu", { popover: "auto" });
  #more = h("button.quiet", { type: "button", popoverTargetElement: this.#menu, "data-testid": "take-along-menu" }, "More");
  #copy = h("button.quiet", { type: "button", "data-testid": "copy-answer" }, "Copy");
  #again = h("button.quiet", { type: "button", "data-testid": "run-again" });
  #notice = h("p.notice", { role: "alert" });
  element = h("div.ta", { "data-testid": "take-along" }, this.#copy, this.#again, this.#more, this.#menu, this.#notice);
  #busy = false;

  /**
   * @param {{streamUrl: (cursor: number) => string, onRunAgain: (task: any) => any}} options the address of the task's
   *   events after a cursor, and what sends the task's request again
   */
  constructor({ streamUrl, onRunAgain }) {
    this.#streamUrl = streamUrl;
    on(this.#copy, "click", () => copyText(this.#copy, this.#task.answer.text));
    on(this.#again, "click", () => this.#try(() => onRunAgain(this.#task)));
    on(this.#menu, "beforetoggle", ({ newState }) => newState === "open" && this.#open());
  }

  draw(task) {
    this.#task = task;
    const { answer, request, state } = task;
    this.#copy.hidden = !answer?.text;
    this.#again.hidden = !request || !isFinished(state);
    setText(this.#again, state === "failed" || state === "rejected" ? "Retry" : "Run again");
  }

  #open() {
    const { answer, artifacts, request } = this.#task;
    const entry = (label, act) => h("button", { type: "button", onclick: () => this.#try(act) }, label);
    const entries = [
      answer?.text && entry("Answer, .md", () => this.#save(".md", answer.text)),
      dataArtifacts(artifacts).length > 0 && entry("Data, .json", () => this.#save(".json", jsonOf(artifacts))),
      ...tablesOf(artifacts).map(([name, rows]) => entry(`${name}, .csv`, () => this.#save(`-${nameOf(name)}.csv`, csvOf(rows)))),
      entry("Events, .ndjson", async () => this.#save(".ndjson", await eventsOf(this.#streamUrl))),
      request && entry("Copy as curl", async () => copyText(this.#more, await curlOf(this.#task))),
    ];
    this.#menu.replaceChildren(...entries.filter(Boolean));
    const { left, top, bottom } = this.#more.getBoundingClientRect();
    const below = bottom < innerHeight / 2;
    this.#menu.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - 240))}px`;
    this.#menu.style.top = below ? `${bottom + scrollY + 4}px` : "auto";
    this.#menu.style.bottom = below ? "auto" : `${innerHeight - top - scrollY + 4}px`;
  }

  async #try(act) {
    if (this.#busy) return;
    this.#busy = true;
    setText(this.#notice, "");
    this.#menu.hidePopover(); // the focus goes back to its button
    await Promise.resolve().then(act).catch((error) => setText(this.#notice, error.message));
    this.#busy = false;
  }

  #save(ending, content) {
    const { title, id } = this.#task;
    save(`${nameOf(title) || "task"}-${id.slice(0, 8)}${ending}`, content);
  }
}

/** @param {string} name of a file @param {BlobPart} content */
export function save(name, content) {
  // A type that no browser opens on the page's origin.
  const url = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const nameOf = (text) => text.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60);

const dataArtifacts = (artifacts) => [...artifacts.values()].filter(({ parts }) => parts.some((part) => "data" in part));

/** The data of an artifact, or of all by their names. */
function jsonOf(artifacts) {
  const all = new Map();
  for (const artifact of dataArtifacts(artifacts)) all.set(all.has(artifact.name) ? artifact.id : artifact.name, dataOf(artifact));
  return JSON.stringify(all.size > 1 ? Object.fromEntries(all) : [...all.values()][0], null, 2);
}

/** Each artifact that is a table, and each table in one. @returns {[string, any[]][]} */
function tablesOf(artifacts) {
  const tables = [];
  for (const artifact of dataArtifacts(artifacts)) {
    const { name } = artifact;
    const data = dataOf(artifact);
    if (columnsOf(data)) tables.push([name, data]);
    else for (const [key, rows] of Object.entries(Object(data))) if (columnsOf(rows)) tables.push([key === name ? name : `${name} ${key}`, rows]);
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
  return /[",;'\s]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** All events so far, one JSON object a line. */
async function eventsOf(streamUrl) {
  const lines = [];
  let cursor = 0;
  for (let retries = 0; retries <= MAX_RETRIES; retries += 1) {
    const response = await fetch(streamUrl(cursor), { cache: "no-store" }).catch(() => null);
    if (response?.status === 204) return lines.join("");
    if (response && !response.ok) throw new Error(`The events did not come: the server answered ${response.status}.`);
    try {
      for await (const { id, event, data } of frames(response?.body)) {
        if (event === "sync" || event === "end") return lines.join("");
        const seq = event === "gap" ? JSON.parse(data).to : event ? 0 : Number(id);
        if (!(seq > cursor)) continue;
        cursor = seq;
        retries = 0;
        // A line break in JSON is a space. What is gone for good is in the file too.
        lines.push(event ? `{"gap":${data}}\n` : `${data.replaceAll("\n", " ")}\n`);
      }
    } catch {
      // cut: go on at the cursor
    }
  }
  throw new Error("The connection was lost before all events had come. Try again.");
}

/** The frames of a stream of server-sent events. Source: HTML standard, section 9.2.6. */
async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let frame = { id: "", event: "", data: /** @type {string[]} */ ([]) };
  try {
    for (let read; !(read = await reader.read()).done; ) {
      const lines = (rest + read.value).split(/\r\n|\n|\r(?!$)/); // a last CR may be half a line's end
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [field, value] = [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).replace(/^ /, "")];
        if (field === "data") frame.data.push(value);
        else if (field === "id" || field === "event") frame[field] = value;
        if (line) continue;
        if (frame.data.length) yield { ...frame, data: frame.data.join("\n") };
        frame = { id: "", event: "", data: [] };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A command for a POSIX shell that begins the same task. In a quoted here-document nothing is expanded. */
async function curlOf({ request: { parts, metadata, referenceTaskIds }, agent }) {
  const message = { parts, metadata, referenceTaskIds };
  const json = JSON.stringify({ message, agent: agent || undefined }, null, 2);
  // A terminal may obey control characters.
  const body = `${json.replace(/[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`;
  const headers = ["'content-type: application/json'"];
  if (document.cookie.includes("tailrace-secret=")) headers.push('"x-tailrace-secret: $TAILRACE_SECRET"');
  // CloudFront needs it to sign the request.
  if (location.protocol === "https:") headers.push(`'x-amz-content-sha256: ${await sha256(body)}'`);
  const url = new URL("api/tasks", document.baseURI).href.replaceAll("'", "%27");
  return `curl -sS '${url}' ${headers.map((header) => `-H ${header} `).join("")}--data-binary @- <<'JSON'\n${body}JSON\n`;
}

async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
