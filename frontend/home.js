/** The first view: describe the alert, add files and send; or send the sample. */

import { createTask, listAgents } from "./api.js";
import { byId, h, on, setText } from "./dom.js";
import { fileSize } from "./format.js";
import { Inputs } from "./inputs.js";
import { prepareFile } from "./prepare-file.js";
import { drawList } from "./recent-tasks.js";

export class Home {
  #inputs;
  #openTask;

  /** @param {(id: string) => void} openTask called with the task that was created */
  constructor(openTask) {
    this.#openTask = openTask;
    const form = byId("compose");
    this.#inputs = new Inputs(form, () => form.requestSubmit());
    on(form, "submit", (event) => {
      event.preventDefault();
      this.#send(byId("send"), () => this.#inputs.parts());
    });
    on(byId("sample"), "click", () => this.#send(byId("sample"), sampleParts));
    describeSample().catch(() => {}); // index.html has a description too
    drawAgents();
  }

  async #send(button, makeParts) {
    const label = button.textContent;
    const setBusy = (busy) => {
      byId("send").disabled = byId("sample").disabled = busy;
      setText(button, busy ? "Sending …" : label);
    };
    const focused = /** @type {any} */ (document.activeElement);
    setBusy(true);
    this.#inputs.clearNotice();
    let id = "";
    try {
      const parts = await makeParts();
      if (parts) ({ id } = await createTask({ parts }));
    } catch (/** @type {any} */ error) {
      this.#inputs.refuse(error.message);
    }
    setBusy(false);
    if (!id) return focused?.focus(); // a disabled button loses the focus
    if (button === byId("send")) this.#inputs.clear();
    if (!byId("home").hidden) this.#openTask(id);
  }
}

async function describeSample() {
  const { title, files } = await loadSample();
  const size = files.reduce((sum, file) => sum + file.bytes, 0);
  setText(byId("sample-about"), `${title} (${files.length} files, ${fileSize(size)})`);
}

async function sampleParts() {
  const { text, alert, files } = await loadSample();
  const filePart = async ({ href, filename }) => {
    const content = await (await load(href)).blob();
    return (await prepareFile(new File([content], filename))).part;
  };
  return [{ text }, { data: { alert } }, ...(await Promise.all(files.map(filePart)))];
}

const loadSample = async () => (await load("sample.json")).json();

async function load(href) {
  const response = await fetch(`sample/${href}`).catch(() => {
    throw new Error("The sample could not be loaded: the gateway did not answer. Try again in a moment.");
  });
  if (!response.ok) throw new Error(`The sample could not be loaded (${href}: ${response.status}).`);
  return response;
}

async function drawAgents() {
  const { agents: cards = [] } = await listAgents().catch(() => ({}));
  // An agent that does not answer has an `error` in place of a card.
  const row = ({ name, description, url, error }) => h("li", h("b", name ?? url), h("span", description ?? error));
  drawList("agents", cards.map(row));
}
