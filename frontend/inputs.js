/**
 * A place to say something and to drop, paste or choose files: for a new task, and for a reply. Small files
 * go into the message, large ones are uploaded as soon as they are there.
 */

import { upload } from "./api.js";
import { h, on, setText } from "./dom.js";
import { bytes } from "./time.js";

const MAX_FILES = 200;
const ROOM = 330_000; // bytes of files in a message, which is one event of the log; the others are uploaded
const AS_TEXT = 16 * 1024; // what is longer is gzipped: logs shrink to a tenth
const MAX_FILE = 64_000_000; // what agents take, unpacked
const PASTE_LINES = 12; // what is longer becomes a file: nobody wants to see it in a text box

export class Inputs {
  /** @type {any[]} what `prepare` gave; of an upload also `bar`, `stop`, `error` and the promise `sent` */
  #files = [];
  /** @type {string[]} */ #refusals = [];
  /** @type {any} */ #adding;
  #reading = 0;
  #pasted = 0;
  #waiting = false;
  #box;
  #list = h("ul.files", { "aria-label": "Files to send" });
  #sum = h("p.files-sum");
  #notice = h("p.notice", { role: "alert" });

  /** @param {any} root holds a textarea, a file input and a "tray" @param {() => void} submit on Ctrl+Enter */
  constructor(root, submit) {
    this.#box = root.querySelector("textarea");
    root.querySelector(".tray").append(this.#list, this.#sum, this.#notice);
    const chooser = root.querySelector("input[type=file]");
    on(chooser, "change", () => {
      this.#add([...chooser.files]);
      chooser.value = ""; // so that a file that was removed can be chosen again
    });
    on(this.#box, "keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) submit();
    });
    on(this.#box, "paste", (event) => this.#paste(event));
    on(this.#box, "input", () => this.forget());
    const over = (yes) => root.classList.toggle("dropping", yes);
    on(root, "dragover", ({ dataTransfer }) => over(dataTransfer.types.includes("Files")));
    on(root, "dragleave", ({ relatedTarget }) => over(root.contains(relatedTarget)));
    on(root, "drop", ({ dataTransfer }) => {
      over(false);
      if (dataTransfer.files.length) this.#add([...dataTransfer.files]);
    });
  }

  /** What to send, when all of it has arrived; or null when it cannot be sent, and the page says why. */
  async parts() {
    if (this.#waiting) return null; // it is for the first click
    this.#waiting = true;
    this.#draw();
    await this.#adding;
    await Promise.all(this.#files.map(({ sent }) => sent));
    this.#waiting = false;
    this.#draw();
    const text = this.#box.value.trim();
    if (!text && !this.#files.length) return this.refuse("Write something, or add a file.");
    if (this.#files.some(({ part }) => !part)) return null;
    return [...(text ? [{ text }] : []), ...this.#files.map(({ part }) => part)];
  }

  /** Say why not. @returns {null} */
  refuse(sentence) {
    this.#refusals = [sentence];
    this.#draw();
    return null;
  }

  /** What was refused is past: the next thing is being done. */
  forget() {
    this.#refusals = [];
    this.#draw();
  }

  clear() {
    this.#box.value = "";
    this.#refusals = [];
    this.#keep(() => false);
  }

  #keep(wanted) {
    for (const file of this.#files) if (!wanted(file)) file.stop?.abort();
    this.#files = this.#files.filter(wanted);
    this.#draw();
  }

  #add(files) {
    this.#adding = Promise.all([this.#adding, this.#take(files)]);
  }

  async #take(files) {
    const taken = files.slice(0, Math.max(0, MAX_FILES - this.#files.length - this.#reading));
    const over = files.length - taken.length;
    const names = new Set(); // of this choice: two hosts' access.log are two files
    this.#refusals = over ? [`A task takes at most ${MAX_FILES} files. Left out: ${over}.`] : [];
    this.#reading += taken.length;
    this.#draw();
    for (const file of taken) {
      try {
        const inside = this.#files.reduce((sum, { stop, wire }) => sum + (stop ? 0 : wire), 0);
        const named = names.has(file.name) ? new File([file], another(file.name, names)) : file;
        const one = { ...(await prepare(named, ROOM - inside)), name: named.name };
        names.add(named.name);
        this.#choose(one);
        if (!one.part) this.#upload(one);
      } catch (error) {
        this.#refusals.push(error.message);
      } finally {
        this.#reading -= 1;
      }
    }
    this.#draw();
  }

  /** Chosen again, the newer one counts. */
  #choose(one) {
    const before = this.#files.length;
    this.#keep(({ name, filename }) => name !== one.name && filename !== one.filename);
    if (this.#files.length < before) this.#refusals.push(`${one.name} was chosen again: what was chosen last is sent.`);
    this.#files.push(one);
  }

  #upload(file) {
    file.stop = new AbortController();
    file.bar = h("progress", { value: 0, "aria-label": `Uploading ${file.filename}` });
    file.error = null;
    file.sent = upload(file, (share) => (file.bar.value = share), file.stop.signal)
      .then((part) => (file.part = part), (error) => (file.error = error))
      .then(() => this.#draw());
    this.#draw();
  }

  #paste(event) {
    const text = event.clipboardData.getData("text/plain");
    // A spreadsheet's cells come as text and as a picture of themselves.
    const files = [...event.clipboardData.files].filter(({ type }) => !text || !type.startsWith("image/"));
    if (!files.length && text.split("\n", PASTE_LINES + 1).length <= PASTE_LINES) return;
    event.preventDefault();
    this.#add(files.length ? files : [new File([text], `pasted-${(this.#pasted += 1)}.txt`)]);
  }

  #draw() {
    this.#list.replaceChildren(...this.#files.map((file) => this.#row(file)));
    const n = this.#files.length;
    const wire = this.#files.reduce((sum, file) => sum + file.wire, 0);
    const sum = n ? `${n} ${n === 1 ? "file" : "files"}, ${bytes(wire)} to send` : "";
    const when = this.#waiting && n ? " when all of it is there" : "";
    setText(this.#sum, this.#reading ? `reading ${this.#reading} files …` : sum + when);
    const failed = this.#files.filter(({ error }) => error);
    const reasons = failed.map(({ filename, error }) => `${filename} was not uploaded. ${error.message}`);
    setText(this.#notice, [...this.#refusals, ...reasons].join("\n"));
  }

  #row(file) {
    const { filename, part, error, bar } = file;
    const remove = () => {
      this.#keep((one) => one !== file);
      this.#box.focus();
    };
    return h(
      "li",
      h("span.file-name", filename),
      error ? h("button.link", { type: "button", onclick: () => this.#upload(file) }, "Retry") : !part && bar,
      h("span.file-size", bytes(file.size) + (file.wire < file.size * 0.9 ? ` → ${bytes(file.wire)}` : "")),
      h("button.remove", { type: "button", "aria-label": `Remove ${filename}`, onclick: remove }, "×"),
    );
  }
}

/** The first of "access (2).log", "access (3).log" … that is free. */
function another(name, taken) {
  const [, stem, ending] = /^(.+?)((?:\.[^.]*)?(?:\.gz)?)$/i.exec(name) ?? ["", name, ""];
  let free = name;
  for (let n = 2; taken.has(free); n += 1) free = `${stem} (${n})${ending}`;
  return free;
}

/**
 * Gives its `filename`, `size`, `wire` (the bytes that are sent) and `part`; or, when the message has no
 * `room` for so many bytes, the `data` to upload instead of a part. What cannot be sent is an Error for who chose it.
 * @param {File} file @returns {Promise<any>}
 */
export async function prepare(file, room = Infinity) {
  const { name, size } = file;
  if (size > MAX_FILE) throw new Error(`${name} has ${bytes(size)}; up to ${bytes(MAX_FILE)} can be read: choose the part around the alert.`);
  const data = await file.arrayBuffer().then((buffer) => new Uint8Array(buffer), () => null);
  if (!data) throw new Error(`${name} could not be read. Folders cannot be sent: choose the files in them.`);
  if (!size) throw new Error(`${name} is empty.`);

  const zipped = data[0] === 0x1f && data[1] === 0x8b;
  // Text as PowerShell writes it: every other byte is NUL, and yet it is text.
  const wide = { "255,254": "utf-16le", "254,255": "utf-16be" }[String(data.subarray(0, 2))];
  if (!wide && (zipped ? await firstUnzipped(data) : data).subarray(0, 1024).includes(0)) {
    throw new Error(`${name} is not text. Logs, CSV and JSON can be read.`);
  }
  const plain = wide ? new TextEncoder().encode(new TextDecoder(wide).decode(data)) : data;
  const text = !zipped && plain.length <= Math.min(AS_TEXT, room) ? new TextDecoder().decode(plain) : "";
  // What is not UTF-8 goes as it is, so that nothing is lost before the analyst sees it.
  if (text && !text.includes("\ufffd")) {
    return { filename: name, size, wire: plain.length, part: { text, filename: name, mediaType: "text/plain" } };
  }
  const packed = zipped ? data : await gzip(plain);
  const about = { filename: name.replace(/(\.gz)?$/i, ".gz"), mediaType: "application/gzip" };
  const sent = packed.length > room ? { data: packed } : { part: { raw: base64(packed), ...about } };
  return { ...about, size, wire: packed.length, ...sent };
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
