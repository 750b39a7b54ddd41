/**
 * Files → A2A message parts, within what one request may carry.
 *
 * Small text goes as text; the rest is gzipped here and sent as base64, because logs shrink to a
 * tenth and the gateway undoes it. What nobody could analyse is refused with a sentence.
 *
 * @typedef {{bytes: number, wire: number, part: any}} Prepared a file's own size, its size in the
 *   request, and the part
 */

import { bytes as size } from "./time.js";

export const MAX_FILES = 200;
const MAX_BODY = 1_048_576;
const MAX_EVENT = 385_000; // a request is one event, and this is what the log takes of one, packed

const AS_TEXT = 16 * 1024;
const MAX_FILE = 256 * 1024 * 1024; // would never fit: do not make the browser chew on it

/** A file that cannot be sent. The message is for the person who chose it. */
export class Refused extends Error {}

/**
 * @param {File} file
 * @returns {Promise<Prepared>}
 * @throws {Refused} when it is empty, binary, unreadable or far too large
 */
export async function prepare(file) {
  if (file.size > MAX_FILE) throw new Refused(`${file.name} is ${size(file.size)}: choose the part around the alert.`);
  const data = await file.arrayBuffer().then((buffer) => new Uint8Array(buffer), () => null);
  if (!data) throw new Refused(`${file.name} could not be read. Folders cannot be sent: choose the files in them.`);
  if (!data.length) throw new Refused(`${file.name} is empty.`);

  const zipped = data[0] === 0x1f && data[1] === 0x8b;
  const head = zipped ? await firstUnzipped(data) : data;
  const wide = utf16(data);
  if (wide === null && head.subarray(0, 1024).includes(0)) {
    throw new Refused(`${file.name} is not text. Logs, CSV and JSON can be read.`);
  }
  const bytes = data.length;
  const filename = file.name.replace(/\.gz$/i, "");
  const packed = (raw) => prepared(bytes, { raw: base64(raw), filename: `${filename}.gz`, mediaType: "application/gzip" });
  if (zipped) return packed(data);
  const plain = wide === null ? data : new TextEncoder().encode(wide);
  if (plain.length > AS_TEXT) return packed(await gzip(plain));
  const about = { filename, mediaType: mediaType(filename) };
  try {
    return prepared(bytes, { text: new TextDecoder("utf-8", { fatal: true }).decode(plain), ...about });
  } catch {
    // Not UTF-8: the bytes go as they are, so that nothing is lost before the analyst sees it.
    return prepared(bytes, { raw: base64(plain), ...about });
  }
}

/** The request that came with the page: what it is, and (as parts) what it says. */
export const readSample = async () => (await load("sample.json")).json();

export async function sampleParts() {
  const { text, alert, files } = await readSample();
  const read = async ({ href, filename }) => prepare(new File([await (await load(href)).blob()], filename));
  const loaded = await Promise.all(files.map(read));
  return [{ text }, { data: { alert } }, ...loaded.map(({ part }) => part)];
}

async function load(href) {
  const response = await fetch(`sample/${href}`);
  if (!response.ok) throw new Refused(`The sample could not be loaded (${href}: ${response.status}).`);
  return response;
}

/** Why these parts cannot be one request, or "" when they can. @param {any[]} parts */
export async function tooLarge(parts) {
  const body = encode({ message: { parts } });
  if (body.length > MAX_BODY) return `This is ${size(body.length)} to send, and one request takes ${size(MAX_BODY)}.`;
  const packed = (await gzip(body)).length;
  return packed > MAX_EVENT ? `This is ${size(packed)} packed, and one request takes ${size(MAX_EVENT)}.` : "";
}

const encode = (value) => new TextEncoder().encode(JSON.stringify(value));

const prepared = (bytes, part) => ({ bytes, wire: encode(part).length, part });

/** Text as PowerShell writes it: every other byte is NUL, and yet it is text. */
function utf16(data) {
  const mark = (data[0] << 8) | data[1];
  if (mark === 0xfffe) return new TextDecoder("utf-16le").decode(data);
  return mark === 0xfeff ? new TextDecoder("utf-16be").decode(data) : null;
}

async function gzip(data) {
  const zipped = new Blob([data]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(zipped).arrayBuffer());
}

/** An archive shows its NULs here; what cannot be unzipped is answered with one. */
async function firstUnzipped(data) {
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

function mediaType(name) {
  if (/\.csv$/i.test(name)) return "text/csv";
  return /\.(json|jsonl|ndjson)$/i.test(name) ? "application/json" : "text/plain";
}
