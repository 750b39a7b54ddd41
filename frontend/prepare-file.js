/** Makes a chosen file ready to be sent: checks it, and compresses text unless it is short. */

import { fileSize } from "./format.js";
import { GZIP, modesInWords, takes, TEXT_MODES } from "./media-types.js";

const MAX_TEXT = 16 * 1024; // bytes; longer text is compressed: logs shrink to a tenth
const MAX_FILE = 64_000_000; // bytes, uncompressed; agents read no more
const UTF_16 = { "255,254": "utf-16le", "254,255": "utf-16be" }; // by byte order mark

/**
 * Sizes are in bytes. Without room for a `part` in the message, there is `data` to upload.
 * @typedef {{filename: string, size: number, sentSize: number, part?: any, data?: Uint8Array, mediaType?: string}} PreparedFile
 */

/**
 * @param {File} file @param {number} room bytes that the message has left @param {string[]} modes that the agent takes
 * @returns {Promise<PreparedFile>} or an Error with a sentence for the user
 */
export async function prepareFile(file, room = Infinity, modes = TEXT_MODES) {
  const { name, size } = file;
  if (size > MAX_FILE) {
    throw new Error(`${name} has ${fileSize(size)}. Files of up to ${fileSize(MAX_FILE)} can be read: choose the part that matters.`);
  }
  const data = await file.arrayBuffer().then((buffer) => new Uint8Array(buffer), () => null);
  if (!data) throw new Error(`${name} could not be read. Folders cannot be sent: choose the files in them.`);
  if (!size) throw new Error(`${name} is empty.`);

  const isGzip = data[0] === 0x1f && data[1] === 0x8b;
  const utf16 = UTF_16[String(data.subarray(0, 2))]; // PowerShell writes text so; it has NULs
  const isText = utf16 || !(isGzip ? await startOfGunzipped(data) : data).subarray(0, 1024).includes(0);
  const type = file.type.split(";")[0].toLowerCase();
  // A picture may be SVG, and a document PDF without a NUL: the browser's type decides if it names no text.
  if (!isText || (/^(image|audio|video)\/|\/pdf$/.test(type) && takes(modes, type))) return binary(name, type, data, room, modes);

  const utf8 = utf16 ? new TextEncoder().encode(new TextDecoder(utf16).decode(data)) : data;
  const zips = takes(modes, GZIP);
  const text = !isGzip && utf8.length <= Math.min(zips ? MAX_TEXT : Infinity, room) ? new TextDecoder().decode(utf8) : "";
  // A file in another encoding is sent as bytes, so that nothing is lost.
  if (text && !text.includes("\ufffd")) {
    return { filename: name, size, sentSize: utf8.length, part: { text, filename: name, mediaType: "text/plain" } };
  }
  if (!zips) return binary(name, "text/plain", utf8, room, modes);
  const zipped = isGzip ? data : await gzip(utf8);
  return { ...sent(name.replace(/(\.gz)?$/i, ".gz"), GZIP, zipped, room), size };
}

function binary(name, type, data, room, modes) {
  if (!takes(modes, type)) throw new Error(`${name} is ${type || "not text"}. This agent takes ${modesInWords(modes)}.`);
  return { ...sent(name, type, data, room), size: data.length };
}

function sent(filename, mediaType, data, room) {
  const content = data.length > room ? { data } : { part: { raw: base64(data), filename, mediaType } };
  return { filename, mediaType, sentSize: data.length, ...content };
}

async function gzip(data) {
  const stream = new Blob([data]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** One NUL when it cannot be decompressed. */
async function startOfGunzipped(data) {
  const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const first = await reader.read().catch(() => ({ value: new Uint8Array(1) }));
  reader.cancel().catch(() => {});
  return first.value ?? new Uint8Array(1);
}

function base64(data) {
  let binary = "";
  for (let at = 0; at < data.length; at += 0x8000) binary += String.fromCharCode(...data.subarray(at, at + 0x8000));
  return btoa(binary);
}

/** The first of "access.log", "access (2).log", "access (3).log" … that is not taken. */
export function freeName(name, taken) {
  const [, stem, ending] = /^(.+?)((?:\.[^.]*)?(?:\.gz)?)$/i.exec(name) ?? ["", name, ""];
  let candidate = name;
  for (let n = 2; taken.has(candidate); n += 1) candidate = `${stem} (${n})${ending}`;
  return candidate;
}
