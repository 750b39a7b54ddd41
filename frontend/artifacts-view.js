/** What a task made: the answer while it is written, then all other artifacts. What nobody foresaw is shown as JSON. */

import { dataOf, inPieces, sizeOf, StructuredData } from "./data-view.js";
import { h, on, setText } from "./dom.js";
import { fileSize, plural } from "./format.js";
import { MarkdownView } from "./markdown.js";
import { save } from "./take-along.js";
import { isRunning } from "./task-state.js";

const DRAWING_SHARE = 3; // wait this many times as long as the last drawing of a text took
const PIECE = 20; // artifacts, and files of one, that are shown at first
const IMAGES = /^image\/(png|jpeg|gif|webp|avif|svg\+xml)$/;
const TEXTS = /^text\/|[/+](json|xml|yaml|x-yaml|csv|javascript|sql|toml|x-ndjson)$/;
const PROSE = /^$|^text\/(plain|markdown)$/;
const MAX_IMAGE = 8_000_000; // characters of base64
const MAX_PREVIEW = 40_000; // characters
const FENCE = "~".repeat(32);
const HIDDEN = /[\x00-\x1f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g; // could make "gpj.exe" look like "exe.jpg"

const typeOf = (part) => String(part.mediaType ?? "").split(";")[0].trim().toLowerCase();
const isText = (part) => typeof part.text === "string" && !part.filename;
const isFile = (part) => !isText(part) && !("data" in part) && Boolean(part.filename || part.raw || part.url || part.text);

export class ArtifactsView {
  element = h("div.af", { "data-testid": "artifacts" });
  /** @type {Map<string, ArtifactView>} by the artifact's id */ #views = new Map();
  #shown = PIECE;
  #more = h("button.link", { type: "button" });
  #task;

  constructor() {
    on(this.#more, "click", () => {
      this.#shown *= 5;
      this.draw(this.#task);
    });
  }

  /** @param {any} task @param {{writing?: boolean}} [options] whether the answer is being written */
  draw(task, { writing = false } = {}) {
    const { answer, artifacts, state } = task;
    this.#task = task;
    const others = [...artifacts.values()].filter((artifact) => artifact !== answer);
    const all = answer ? [answer, ...others] : others;
    const shown = all.slice(0, this.#shown);
    const gone = new Set(this.#views.keys());
    shown.forEach((artifact, index) => {
      gone.delete(artifact.id);
      if (!this.#views.has(artifact.id)) this.#views.set(artifact.id, new ArtifactView());
      const view = /** @type {ArtifactView} */ (this.#views.get(artifact.id));
      const isAnswer = artifact === answer;
      view.draw(artifact, { task, isAnswer, writing: isAnswer ? writing : isRunning(state) && !artifact.done });
      if (this.element.children[index] !== view.element) this.element.insertBefore(view.element, this.element.children[index]);
    });
    for (const id of gone) this.#views.get(id)?.element.remove();
    for (const id of gone) this.#views.delete(id);
    if (shown.length === all.length) return this.#more.remove();
    setText(this.#more, `Show ${plural(all.length - shown.length, "more artifact")}`);
    if (this.element.lastChild !== this.#more) this.element.append(this.#more);
  }
}

class ArtifactView {
  #name = h("h3");
  #about = h("span.aside");
  #text = h("div");
  #data = h("div");
  #files = h("div");
  #others = h("div");
  #head = h("div.af-head", this.#name, this.#about);
  element = h("section", this.#head, this.#text, this.#data, this.#files, this.#others);
  #drawn = {};
  /** @type {TextView | undefined} */ #textView;
  /** @type {StructuredData | undefined} */ #dataView;
  /** @type {Promise<any> | undefined} */ #findingsView;
  #fileParts = [];

  /** @param {any} artifact @param {{task: any, isAnswer: boolean, writing: boolean}} options */
  draw(artifact, { task, isAnswer, writing }) {
    const { name, text, parts, version } = artifact;
    const drawn = this.#drawn;
    if (drawn.artifact === artifact && drawn.version === version && drawn.writing === writing && drawn.isAnswer === isAnswer) return;
    const changed = drawn.artifact !== artifact || drawn.version !== version;
    this.#drawn = { artifact, version, writing, isAnswer };
    this.element.className = isAnswer ? "af-answer" : "af-item";
    this.element.dataset.testid = isAnswer ? "answer" : "artifact";
    this.#head.hidden = isAnswer;
    setText(this.#name, String(name));
    if (text || this.#textView) this.#drawText(text, artifact.mediaType, writing);
    if (!changed) return;

    const findings = name === "findings" && parts.flatMap((part) => part.data?.findings ?? []);
    const hasData = parts.some((part) => "data" in part);
    const data = hasData ? dataOf(artifact) : undefined;
    const files = parts.filter(isFile);
    if (findings.length) this.#drawFindings(findings, data, task);
    else if (hasData || this.#dataView) this.#drawData(data);
    this.#drawFiles(files);
    const unknown = parts.filter((part) => !isText(part) && !isFile(part) && !("data" in part));
    this.#others.replaceChildren(...unknown.slice(0, PIECE).map((part) => codeBox(JSON.stringify(part, null, 2), "json")));
    const about = findings.length ? "" : hasData ? sizeOf(data) : files.length > 1 ? plural(files.length, "file") : "";
    setText(this.#about, about || (text || parts.length || writing ? "" : "empty"));
  }

  #drawText(text, mediaType, writing) {
    if (!this.#textView) this.#text.append((this.#textView = new TextView()).element);
    const prose = PROSE.test(typeOf({ mediaType }));
    this.#textView.draw(prose ? text : fenced(text, typeOf({ mediaType })), writing);
  }

  #drawData(data) {
    if (!this.#dataView) this.#data.append((this.#dataView = new StructuredData()).element);
    this.#dataView.draw(data);
  }

  /** Charts are loaded when there is something to draw. */
  async #drawFindings(findings, data, task) {
    this.#findingsView ??= import("./findings/findings-view.js").then(({ FindingsView }) => new FindingsView(), () => null);
    const view = await this.#findingsView;
    if (!view) return this.#drawData(data);
    if (this.#data.firstChild !== view.element) this.#data.replaceChildren(view.element);
    view.draw(findings, { task });
  }

  #drawFiles(files) {
    if (files.length === this.#fileParts.length && files.every((part, index) => part === this.#fileParts[index])) return;
    this.#fileParts = files;
    const list = h("div.af-files");
    this.#files.replaceChildren(list, inPieces(list, files, fileView, {}, PIECE));
  }
}

/** Markdown that grows. A long last block takes long to draw, so it is drawn less often. */
class TextView {
  #body = h("div.md");
  element = h("div", this.#body);
  #markdown = new MarkdownView(this.#body);
  #text = "";
  #writing = true;
  #outline;
  #timer = 0;
  #nextDrawing = 0; // not before this, by performance.now()

  draw(text, writing) {
    if (text === this.#text && writing === this.#writing) return;
    this.#text = text;
    this.#writing = writing;
    this.#render();
  }

  #render = () => {
    clearTimeout(this.#timer);
    const begun = performance.now();
    const wait = this.#writing ? this.#nextDrawing - begun : 0;
    if (wait > 0) {
      this.#timer = window.setTimeout(this.#render, wait);
      return;
    }
    this.#markdown.update(this.#text);
    this.#nextDrawing = begun + (1 + DRAWING_SHARE) * (performance.now() - begun);
    this.#body.ariaBusy = String(this.#writing);
    this.#outline?.remove();
    this.#outline = this.#writing ? null : this.#markdown.outline();
    if (this.#outline) this.element.prepend(this.#outline);
  };
}

/** A text as a Markdown code block. No line of it can close the fence. */
const fenced = (text, language) => `${FENCE}${language}\n${text.replaceAll(FENCE, `${FENCE.slice(1)} `)}`;

function codeBox(text, language) {
  const box = new TextView();
  box.draw(text.length > MAX_PREVIEW ? fenced(text.slice(0, MAX_PREVIEW), language) : fenced(text, language), false);
  return box.element;
}

function fileView(part) {
  const { filename, url = "", raw, text } = part;
  const name = String(filename ?? "").replace(HIDDEN, "") || "file";
  const type = typeOf(part);
  const size = raw ? Math.floor((raw.length * 3) / 4) : text ? new Blob([text]).size : part.metadata?.["urn:tailrace:a2a:upload:1"]?.size;
  const download = h("button.link", { type: "button", ariaLabel: `Download ${name}` }, "Download");
  on(download, "click", () => {
    const content = raw ? bytesOf(raw) : text;
    if (content === null) download.replaceWith("This file is damaged.");
    else save(name, content);
  });
  const open = /^https?:\/\//i.test(url) && h("a", { href: url, rel: "noopener noreferrer nofollow", target: "_blank" }, "Open");
  const about = [type, size >= 0 && fileSize(size)].filter(Boolean).join(", ");
  const head = h("div.af-file", h("bdi.af-name", name), h("span.aside", about), raw || text ? download : open || h("code", String(url)));
  return h("div", { "data-testid": "file" }, head, preview(part, type, name));
}

function preview({ raw, text }, type, name) {
  if (raw && IMAGES.test(type) && raw.length <= MAX_IMAGE) {
    const image = h("img.af-image", { src: `data:${type};base64,${standard(raw)}`, alt: name, decoding: "async" });
    on(image, "error", () => image.replaceWith(h("p.aside", "This image cannot be shown.")));
    return image;
  }
  if (!text && !(raw && TEXTS.test(type))) return null;
  const start = text ? text.slice(0, MAX_PREVIEW) : startOf(raw);
  if (!start) return null;
  const whole = text ? text.length <= MAX_PREVIEW : raw.length <= MAX_PREVIEW;
  const box = type === "text/markdown" ? new TextView() : null;
  box?.draw(start, false);
  const shown = box?.element || (whole && type.endsWith("json") && structured(start)) || codeBox(start, type);
  return h("div.af-preview", shown, !whole && h("p.aside", "This is the beginning. The download has all."));
}

function structured(json) {
  try {
    const view = new StructuredData();
    view.draw(JSON.parse(json));
    return view.element;
  } catch {
    return null;
  }
}

/** Base64 in the standard alphabet. */
const standard = (raw) => String(raw).replaceAll("-", "+").replaceAll("_", "/");

/** Null when it is no base64. */
function bytesOf(raw) {
  try {
    return Uint8Array.from(atob(standard(raw)), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

/** The beginning of a text in base64; empty for what is no text. */
function startOf(raw) {
  const bytes = bytesOf(raw.slice(0, MAX_PREVIEW)) ?? new Uint8Array();
  return bytes.includes(0) ? "" : new TextDecoder().decode(bytes, { stream: raw.length > MAX_PREVIEW });
}
