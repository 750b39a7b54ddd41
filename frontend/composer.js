/**
 * A box to write in, and files that are chosen, dropped or pasted. Small files go into the message; large ones are
 * uploaded as soon as they are added.
 */

import { h, on, setText, uniqueId } from "./dom.js";
import { fileSize, plainName, plural } from "./format.js";
import { fileTools, uploads } from "./lazy-view.js";
import { imageIn, modesInWords, TEXT_MODES } from "./media-types.js";

const MAX_FILES = 200;
const MESSAGE_ROOM = 330_000; // bytes of files in a message, which is one event of the log
const MAX_PASTED_LINES = 12; // a longer text that is pasted becomes a file

/**
 * A prepared file, its name before it was compressed, and its upload, with an `aborter` until a message may name it.
 * @typedef {import("./prepare-file.js").PreparedFile & {name: string, bar?: any, aborter?: any, error?: any, finished?: any}} Input
 */

export class Composer {
  /** @type {Input[]} */ #files = [];
  /** @type {string[]} */ #refusals = [];
  /** @type {Promise<any> | undefined} */ #adding;
  /** @type {File[]} */ #reading = [];
  #pasted = 0; // texts that became files
  #waiting = false; // for the uploads, to send
  #sending = false;
  /** @type {Promise<string[]>} */ #modes;
  #label;
  #onSend;
  #box = h("textarea", { id: uniqueId(), spellcheck: false });
  #chooser = h("input.visually-hidden", { id: uniqueId(), type: "file", multiple: true });
  #hint = h("span.hint");
  #send = h("button.button.primary", { type: "submit", title: "Ctrl+Enter", ariaKeyShortcuts: "Control+Enter" });
  #list = h("ul.files", { "aria-label": "Files to send" });
  #summary = h("p.files-sum");
  #notice = h("p.notice", { role: "alert" });
  /** The form. */
  element;

  /**
   * `onSend` gets the parts; what it throws is shown, and what was written stays. `testid` is the beginning of test ids.
   * @param {{label: string, rows?: number, placeholder?: string, submit?: string, testid?: string,
   *   modes?: string[] | Promise<string[]>, onSend: (parts: any[]) => Promise<any>}} options
   */
  constructor({ label, rows = 2, placeholder = "", submit = "Send", testid = "message", modes = TEXT_MODES, onSend }) {
    this.#label = submit;
    this.#onSend = onSend;
    const box = this.#box;
    Object.assign(box, { rows, placeholder });
    box.dataset.testid = `${testid}-input`;
    this.#send.dataset.testid = `${testid === "message" ? "send" : testid}-button`;
    this.element = h(
      "form.compose",
      h("label", { htmlFor: box.id }, label),
      box,
      h("div.tray", this.#list, this.#summary, this.#notice),
      h(
        "div.compose-tools",
        h("label.button", { htmlFor: this.#chooser.id }, "Add files"),
        this.#chooser,
        this.#hint,
        this.#send,
      ),
    );
    this.accept(modes);
    const root = this.element;
    on(root, "submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    const chooser = this.#chooser;
    on(chooser, "change", () => {
      this.#add([...chooser.files]);
      chooser.value = ""; // so that a file that was removed can be chosen again
    });
    on(box, "keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) root.requestSubmit();
    });
    on(box, "paste", (event) => this.#paste(event));
    on(box, "input", () => this.clearNotice());
    const highlight = (isOver) => root.classList.toggle("dropping", isOver);
    on(root, "dragover", ({ dataTransfer }) => highlight(dataTransfer.types.includes("Files")));
    on(root, "dragleave", ({ relatedTarget }) => highlight(root.contains(relatedTarget)));
    on(root, "drop", ({ dataTransfer }) => {
      highlight(false);
      if (dataTransfer.files.length) this.#add([...dataTransfer.files]);
    });
    this.#draw();
  }

  /** Take files of an agent's input modes. Until they are known, files wait. @param {string[] | Promise<string[]>} modes */
  async accept(modes) {
    this.#modes = Promise.resolve(modes);
    const known = await modes;
    setText(this.#hint, `${modesInWords(known)}, also dropped or pasted`);
  }

  focus() {
    this.#box.focus({ preventScroll: true });
  }

  /** What is written in the box. */
  get text() {
    return this.#box.value;
  }

  set text(text) {
    this.#box.value = text;
    this.clearNotice();
  }

  /** @param {boolean} blocked whether nothing can be sent now */
  block(blocked) {
    this.#send.hidden = blocked;
  }

  async #submit() {
    if (this.#sending || this.#send.hidden) return;
    this.#sending = true;
    this.clearNotice();
    try {
      const parts = await this.parts();
      if (!parts) return;
      const text = this.#box.value;
      const files = this.#files;
      await this.#onSend(parts);
      this.#clearSent(text, files);
      if (document.activeElement === this.#send) this.focus(); // it may be hidden soon
    } catch (/** @type {any} */ error) {
      this.refuse(error.message);
    } finally {
      this.#sending = false;
      this.#draw();
    }
  }

  /** The parts of the message, when all uploads are finished; null if it cannot be sent, and the page says why. */
  async parts() {
    this.#waiting = true;
    this.#draw();
    do {
      await this.#adding;
      await Promise.all(this.#files.map(({ finished }) => finished));
    } while (this.#files.some(({ part, error }) => !part && !error)); // added, or tried again, meanwhile
    this.#waiting = false;
    this.#draw();
    const text = this.#box.value.trim();
    if (!text && !this.#files.length) return this.refuse("Write something, or add a file.");
    if (this.#files.some(({ part }) => !part)) return null;
    for (const file of this.#files) file.aborter = null; // a task may have its upload, even if the answer is lost
    return [...(text ? [{ text }] : []), ...this.#files.map(({ part }) => part)];
  }

  /** Show a sentence that says why. @returns {null} */
  refuse(sentence) {
    this.#refusals = [sentence];
    this.#draw();
    return null;
  }

  clearNotice() {
    this.#refusals = [];
    this.#draw();
  }

  clear() {
    this.#clearSent(this.#box.value, this.#files);
  }

  /** What was added while the message was sent stays. @param {string} text @param {Input[]} files that were sent */
  #clearSent(text, files) {
    const { value } = this.#box;
    this.#box.value = value.startsWith(text) ? value.slice(text.length) : value;
    this.#refusals = [];
    this.#keepFiles((file) => !files.includes(file));
  }

  /** @param {(file: Input) => boolean} isKept */
  #keepFiles(isKept) {
    for (const file of this.#files) if (!isKept(file)) file.aborter?.abort();
    this.#files = this.#files.filter(isKept);
    this.#draw();
  }

  #add(files) {
    this.#adding = Promise.all([this.#adding, this.#read(files)]);
  }

  async #read(chosen) {
    const accepted = chosen.slice(0, Math.max(0, MAX_FILES - this.#files.length - this.#reading.length));
    const left = chosen.length - accepted.length;
    const names = new Set(); // of this choice: the access.log of two hosts are two files
    this.#refusals = left ? [`A task takes at most ${MAX_FILES} files. Left out: ${left}.`] : [];
    this.#reading.push(...accepted);
    this.#draw();
    const isWanted = (file) => this.#reading.includes(file); // it may be removed meanwhile
    for (const file of accepted) {
      if (!isWanted(file)) continue;
      try {
        const used = this.#files.reduce((sum, { bar, sentSize }) => sum + (bar ? 0 : sentSize), 0);
        const { prepareFile, freeName } = await fileTools();
        const named = names.has(file.name) ? new File([file], freeName(file.name, names)) : file;
        const input = { ...(await prepareFile(named, MESSAGE_ROOM - used, await this.#modes)), name: named.name };
        names.add(named.name);
        if (!isWanted(file)) continue;
        this.#replaceOrPush(input);
        if (!input.part) this.#upload(input);
      } catch (/** @type {any} */ error) {
        if (isWanted(file)) this.#refusals.push(error.message);
      } finally {
        this.#stopReading(file);
      }
    }
    this.#draw();
  }

  /** @param {File} file */
  #stopReading(file) {
    this.#reading = this.#reading.filter((other) => other !== file);
    this.#draw();
  }

  /** A file that is chosen again replaces the earlier one. @param {Input} input */
  #replaceOrPush(input) {
    const before = this.#files.length;
    this.#keepFiles(({ name, filename }) => name !== input.name && filename !== input.filename);
    if (this.#files.length < before) this.#refusals.push(`${plainName(input.name)} was chosen again: the newer one is sent.`);
    this.#files.push(input);
  }

  /** @param {Input} file */
  #upload(file) {
    const { filename, mediaType = "", data = new Uint8Array() } = file;
    file.aborter = new AbortController();
    file.bar = h("progress", { value: 0, "aria-label": `Uploading ${plainName(filename)}` });
    file.error = null;
    const onProgress = (share) => (file.bar.value = share);
    const { signal } = file.aborter;
    file.finished = uploads()
      .then(({ upload }) => upload({ filename, mediaType, data }, onProgress, signal))
      .then((part) => (file.part = part), (error) => (file.error = error))
      .then(() => this.#draw());
    this.#draw();
  }

  #paste(event) {
    const text = event.clipboardData.getData("text/plain");
    // A spreadsheet copies its cells as text and as a picture.
    const files = [...event.clipboardData.files].filter(({ type }) => !text || !type.startsWith("image/"));
    if (!files.length && text.split("\n", MAX_PASTED_LINES + 1).length <= MAX_PASTED_LINES) return;
    event.preventDefault();
    if (!files.length) files.push(new File([text], "image.txt"));
    // A browser calls each picture of the clipboard image.png.
    const named = (file) => (/^image\.\w+$/.test(file.name) ? new File([file], file.name.replace("image", `pasted-${(this.#pasted += 1)}`), { type: file.type }) : file);
    this.#add(files.map(named));
  }

  #draw() {
    this.#send.ariaDisabled = String(this.#sending); // a disabled button would lose the focus
    setText(this.#send, this.#sending ? "Sending …" : this.#label);
    const reading = this.#reading.map((file) => this.#row(file.name, () => this.#stopReading(file), h("span.file-size", "reading …")));
    this.#list.replaceChildren(...this.#files.map((file) => this.#fileRow(file)), ...reading);
    setText(this.#summary, reading.length ? `reading ${plural(reading.length, "file")} …` : this.#summarize());
    const failed = this.#files.filter(({ error }) => error);
    const failures = failed.map(({ filename, error }) => `${plainName(filename)} was not uploaded. ${error.message}`);
    setText(this.#notice, [...this.#refusals, ...failures].join("\n"));
  }

  #summarize() {
    const n = this.#files.length;
    if (!n) return "";
    const size = this.#files.reduce((sum, file) => sum + file.sentSize, 0);
    const when = this.#waiting ? " as soon as all are uploaded" : "";
    return `${plural(n, "file")}, ${fileSize(size)} to send${when}`;
  }

  /** @param {Input} file */
  #fileRow(file) {
    const { filename, part, error, bar, size, sentSize } = file;
    const src = part && imageIn(part);
    return this.#row(
      filename,
      () => this.#keepFiles((other) => other !== file),
      src && h("img.file-image", { src, alt: "" }),
      error ? h("button.link", { type: "button", onclick: () => this.#upload(file) }, "Retry") : !part && bar,
      h("span.file-size", fileSize(size) + (sentSize < size * 0.9 ? ` → ${fileSize(sentSize)}` : "")),
    );
  }

  /** A row of the list of files. */
  #row(filename, onRemove, ...about) {
    const shown = plainName(filename);
    const remove = () => {
      onRemove();
      this.#box.focus();
    };
    return h("li", h("span.file-name", shown), ...about, h("button.remove", { type: "button", "aria-label": `Remove ${shown}`, onclick: remove }, "×"));
  }
}
