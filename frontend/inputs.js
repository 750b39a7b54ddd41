/** A place to say something and to drop, paste or choose files: for a new task, and for a reply. */

import { h, setText } from "./dom.js";
import { MAX_FILES, Refused, prepare, tooLarge } from "./parts.js";
import { bytes, count } from "./time.js";

const PASTE_LINES = 12; // what is longer becomes a file: nobody wants to see it in a text box

export class Inputs {
  /** @type {import("./parts.js").Prepared[]} */ #files = [];
  /** @type {string[]} */ #refusals = [];
  #reading = 0;
  #pasted = 0;
  #box;
  #list = h("ul.files", { "aria-label": "Files to send" });
  #sum = h("p.files-sum");
  #notice = h("p.notice", { role: "alert" });

  /** @param {any} root holds a textarea, a file input and a "tray" @param {() => void} submit on Ctrl+Enter */
  constructor(root, submit) {
    this.#box = root.querySelector("textarea");
    root.querySelector(".tray").append(this.#list, this.#sum, this.#notice);
    const chooser = root.querySelector("input[type=file]");
    chooser.onchange = () => {
      this.#add([...chooser.files]);
      chooser.value = ""; // so that a file that was removed can be chosen again
    };
    this.#box.onkeydown = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit();
    this.#box.onpaste = (event) => this.#paste(event);
    acceptDrops(root, (files) => this.#add(files));
  }

  /** What to send, or null when it cannot be sent; the reason is then on the page. */
  async parts() {
    const text = this.#box.value.trim();
    if (this.#reading) return this.refuse("One moment: the files are still being read.");
    if (!text && !this.#files.length) return this.refuse("Say what fired, or add a log or metrics.");
    const parts = [...(text ? [{ text }] : []), ...this.#files.map((file) => file.part)];
    const reason = await tooLarge(parts);
    if (!reason) return parts;
    const [largest] = this.#files.toSorted((a, b) => b.wire - a.wire);
    return this.refuse(largest ? `${reason} The largest file is ${largest.part.filename}, ${bytes(largest.wire)}.` : reason);
  }

  /** Say why not. @returns {null} */
  refuse(sentence) {
    this.#refusals = [sentence];
    this.#draw();
    return null;
  }

  clear() {
    this.#box.value = "";
    this.#files = [];
    this.#refusals = [];
    this.#draw();
  }

  async #add(files) {
    const room = Math.max(0, MAX_FILES - this.#files.length - this.#reading);
    const over = files.length - room;
    this.#refusals = over > 0 ? [`A task takes at most ${MAX_FILES} files. Left out: ${count(over)}.`] : [];
    const taken = files.slice(0, room);
    this.#reading += taken.length;
    this.#draw();
    for (const file of taken) {
      try {
        const one = await prepare(file);
        // Chosen again: the newer one counts.
        this.#files = [...this.#files.filter(({ part }) => part.filename !== one.part.filename), one];
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.#refusals.push(error.message);
      } finally {
        this.#reading -= 1;
      }
    }
    this.#draw();
  }

  #paste(event) {
    const files = [...event.clipboardData.files];
    const text = event.clipboardData.getData("text/plain");
    if (!files.length && text.split("\n", PASTE_LINES + 1).length <= PASTE_LINES) return;
    event.preventDefault();
    this.#add(files.length ? files : [new File([text], `pasted-${(this.#pasted += 1)}.txt`)]);
  }

  #draw() {
    this.#list.replaceChildren(...this.#files.map((file) => this.#row(file)));
    const n = this.#files.length;
    const wire = this.#files.reduce((sum, file) => sum + file.wire, 0);
    const sum = n && `${n} ${n === 1 ? "file" : "files"}, ${bytes(wire)} to send`;
    setText(this.#sum, this.#reading ? `reading ${this.#reading} files …` : sum || "");
    // Two hundred reasons would bury the story.
    const rest = this.#refusals.length - 3;
    setText(this.#notice, this.#refusals.slice(0, 3).join(" ") + (rest > 0 ? ` And ${count(rest)} more like these.` : ""));
  }

  #row(file) {
    const { filename } = file.part;
    const remove = () => {
      this.#files = this.#files.filter((one) => one !== file);
      this.#draw();
      this.#box.focus();
    };
    const packed = file.wire < file.bytes * 0.9 ? ` → ${bytes(file.wire)}` : "";
    const button = h("button.remove", { type: "button", "aria-label": `Remove ${filename}`, onclick: remove }, "×");
    return h("li", h("span.file-name", filename), h("span.file-size", bytes(file.bytes) + packed), button);
  }
}

function acceptDrops(root, take) {
  let depth = 0; // dragenter and dragleave also come for every child
  const on = (type, deeper, act) =>
    root.addEventListener(type, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      depth = Math.max(0, deeper(depth));
      root.classList.toggle("dropping", depth > 0);
      act?.([...event.dataTransfer.files]);
    });
  on("dragenter", (n) => n + 1);
  on("dragleave", (n) => n - 1);
  on("drop", () => 0, take);
}
