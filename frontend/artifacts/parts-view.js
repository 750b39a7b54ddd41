/** The parts of an artifact that are no text: data, files, and what nobody foresaw, which is shown as JSON. */

import { fenced, TextView } from "../artifacts-view.js";
import { h, on } from "../dom.js";
import { fileSize, plainName, plural } from "../format.js";
import { imageIn } from "../media-types.js";
import { isFile, isText } from "../messages.js";
import { dataOf, inPieces, sizeOf, StructuredData } from "./data-view.js";
import { save } from "./downloads.js";

const PIECE = 20; // files and unknown parts that are shown at once
const TEXTS = /^text\/|[/+](json|xml|yaml|x-yaml|csv|javascript|sql|toml|x-ndjson)$/;
const MAX_PREVIEW = 40_000; // characters

/** text/csv @param {{mediaType?: any}} part */
const typeOf = (part) => String(part.mediaType ?? "").split(";")[0].trim().toLowerCase();

export class PartsView {
  #data = h("div");
  #files = h("div");
  #others = h("div");
  element = h("div.af-parts", this.#data, this.#files, this.#others);
  /** @type {StructuredData | undefined} */ #dataView;
  #drawn = { files: /** @type {any[]} */ ([]), others: /** @type {any[]} */ ([]) };

  /** @param {any} artifact @returns {string} how much it is, for its head */
  draw(artifact) {
    const { parts } = artifact;
    const hasData = parts.some((part) => "data" in part);
    const data = hasData ? dataOf(artifact) : undefined;
    const rest = parts.filter((part) => !isText(part) && !("data" in part));
    const files = rest.filter(isFile);
    if (hasData && !this.#dataView) this.#data.append((this.#dataView = new StructuredData()).element);
    this.#data.hidden = !hasData; // a later version may have none
    if (hasData) this.#dataView?.draw(data);
    this.#drawList(this.#files, "files", files, fileView);
    this.#drawList(this.#others, "others", rest.filter((part) => !isFile(part)), (part) => codeBox(JSON.stringify(part, null, 2).slice(0, MAX_PREVIEW), "json"));
    return Array.isArray(data) ? sizeOf(data) : files.length > 1 ? plural(files.length, "file") : "";
  }

  #drawList(place, name, parts, make) {
    const drawn = this.#drawn[name];
    if (parts.length === drawn.length && parts.every((part, index) => part === drawn[index])) return;
    this.#drawn[name] = parts;
    const list = h("div.af-list");
    place.replaceChildren(list, inPieces(list, parts, make, {}, PIECE));
  }
}

function codeBox(text, language) {
  const box = new TextView();
  box.draw(fenced(text, language));
  return box.element;
}

function fileView(part) {
  const { filename, url = "", raw, text } = part;
  const name = plainName(filename) || "file";
  const type = typeOf(part);
  const padding = raw?.endsWith("==") ? 2 : Number(raw?.endsWith("="));
  const ofUpload = part.metadata?.["urn:tailrace:a2a:upload:1"]?.size;
  const size = raw ? Math.floor(((raw.length - padding) * 3) / 4) : text ? new Blob([text]).size : ofUpload;
  const download = h("button.link", { type: "button", ariaLabel: `Download ${name}` }, "Download");
  on(download, "click", () => {
    const content = raw ? bytesOf(raw) : text;
    if (content === null) download.replaceWith("This file is damaged.");
    else save(name, content);
  });
  const open = /^https?:\/\//i.test(url) && h("a", { href: url, rel: "noopener noreferrer nofollow", target: "_blank" }, "Open");
  const about = [type, size >= 0 && fileSize(size)].filter(Boolean).join(", ");
  const head = h("div.af-file", h("bdi.af-name", name), h("span.aside", about), raw || text ? download : open || h("span.aside", url || "empty"));
  return h("div", { "data-testid": "file" }, head, preview(part, type, name));
}

function preview(part, type, name) {
  const { raw, text } = part;
  const src = imageIn({ raw, mediaType: type });
  if (src) {
    const image = h("img.af-image", { src, alt: name, decoding: "async" });
    on(image, "error", () => image.replaceWith(h("p.aside", "This image cannot be shown.")));
    return image;
  }
  if (!text && !(raw && TEXTS.test(type))) return null;
  const start = text ? text.slice(0, MAX_PREVIEW) : startOf(raw);
  if (!start) return null;
  const whole = text ? text.length <= MAX_PREVIEW : raw.length <= MAX_PREVIEW;
  const box = type === "text/markdown" ? new TextView() : null;
  box?.draw(start);
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
