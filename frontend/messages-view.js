/** The messages of a task: what the user sent, questions that were answered, and replies. */

import { h } from "./dom.js";
import { count, fileSize } from "./format.js";
import { imageIn } from "./media-types.js";

const MAX_CHARACTERS = 20_000; // of a message
// More than this is folded.
const PREVIEW_LINES = 6;
const PREVIEW_CHARACTERS = 600;
const PREVIEW_FILES = 8;

/** Add the new messages; those on the page stay folded or unfolded. @param {import("./messages.js").Message[]} messages */
export function drawMessages(box, messages) {
  while (box.childElementCount > messages.length) box.lastElementChild.remove();
  for (const message of messages.slice(box.childElementCount)) box.append(messageBox(message));
}

function messageBox({ by, text, files, data, parts }) {
  const images = parts.map(imageIn).filter(Boolean).slice(0, PREVIEW_FILES);
  const pictures = images.length > 0 && h("div.sent-images", ...images.map((src) => h("img", { src, alt: "" })));
  const names = files.map(({ filename, bytes }) => h("li", h("code", filename), ` ${fileSize(bytes)}`));
  const list = names.length > 0 && h("ul.sent-files", ...names);
  const folded = names.length > PREVIEW_FILES && h("details", h("summary", `${count(names.length)} files`), list);
  const placeholder = !text && !names.length && h("p.aside", data.length ? JSON.stringify(data[0]).slice(0, PREVIEW_CHARACTERS) : "nothing to show");
  return h("div.message", { class: `message by-${by}` }, h("b.visually-hidden", by === "user" ? "You" : "Agent"), foldedText(text), pictures, folded || list, placeholder);
}

function foldedText(text) {
  if (!text) return null;
  const over = text.length - MAX_CHARACTERS;
  const shown = over > 0 ? `${text.slice(0, MAX_CHARACTERS)}\n… and ${count(over)} more characters` : text;
  const preview = shown.split("\n", PREVIEW_LINES).join("\n").slice(0, PREVIEW_CHARACTERS);
  if (preview.length === shown.length) return h("p", shown);
  // The preview stays above the rest when it is unfolded.
  return h("details", h("summary", preview), h("p", shown.slice(preview.length).replace(/^\n/, "")));
}
