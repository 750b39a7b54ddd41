/** Makes a chosen file ready to be sent: checks it, and compresses it unless it is short text. */

import { fileSize } from "./format.js";

const MAX_TEXT = 16 * 1024; // bytes; longer text is compressed: logs shrink to a tenth
const MAX_FILE = 64_000_000; // bytes, uncompressed; agents read no more
const UTF_16 = { "255,254": "utf-16le", "254,255": "utf-16be" }; // by byte order mark

/**
 * Sizes are in bytes. Without room for a `part` in the message, there is `data` to upload.
 * @typedef {{filename: string, size: number, sentSize: number, part?: any, data?: Uint8Array, mediaType?: string}} PreparedFile
 */

/**
 * @param {File} file @param {number} room bytes that the message has left
 * @returns {Promise<PreparedFile>} or an Error with a sentence for the user
 */
export async function prepareFile(file, room = Infinity) {
  const { name, size } = file;
  if (size > MAX_FILE) {
    const limit = `Files of up to ${fileSize(MAX_FILE)} can be read`;
    throw new Error(`${name} has ${fileSize(size)}. ${limit}: choose the part around the alert.`);
  }
  const data = await file.arrayBuffer().then((buffer) => new Uint8Array(buffer), () => null);
  if (!data) throw new Error(`${name} could not be read. Folders cannot be sent: choose the files in them.`);
  if (!size) throw new Error(`${name} is empty.`);

  const isGzip = data[0] === 0x1f && data[1] === 0x8b;
  const utf16 = UTF_16[String(data.subarray(0, 2))]; // PowerShell writes text so; it has NULs
  if (!utf16 && (isGzip ? await startOfGunzipped(data) : data).subarray(0, 1024).includes(0)) {
    throw new Error(`${name} is not text. Logs, CSV and JSON can be read.`);
  }
  const utf8 = utf16 ? new TextEncoder().encode(new TextDecoder(utf16).decode(data)) : data;
  const text = !isGzip && utf8.length <= Math.min(MAX_TEXT, room) ? new TextDecoder().decode(utf8) : "";
  // A file in another encoding is sent as bytes, so that nothing is lost.
  if (text && !text.includes("\ufffd")) {
    return { filename: name, size, sentSize: utf8.length, part: { text, filename: name, mediaType: "text/plain" } };
  }
  const zipped = isGzip ? data : await gzip(utf8);
  const about = { filename: name.replace(/(\.gz)?$/i, ".gz"), mediaType: "application/gzip" };
  const content = zipped.length > room ? { data: zipped } : { part: { raw: base64(zipped), ...about } };
  return { ...about, size, sentSize: zipped.length, ...content };
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
