/** The first view: choose an agent, write, add files, send; or send an example or the sample. */

import { createTask } from "./api.js";
import { Composer } from "./composer.js";
import { h, on, setText, uniqueId } from "./dom.js";
import { fileSize } from "./format.js";
import { fileTools, recordedRun } from "./lazy-view.js";
import { TEXT_MODES } from "./media-types.js";

const TITLE = "Give an agent some work, and watch it. A lost connection loses nothing.";
const SAMPLE_SKILL = "triage"; // the skill of the agent that the bundle's sample is for
const MAX_EXAMPLES = 6;

export class NewConversation {
  #onCreated;
  #agents;
  #agent = "";
  /** @type {{element: any, close: () => void} | undefined} */ #run;
  #picker = h("fieldset.picker", { hidden: true }, h("legend", "Agent"));
  #examples = h("div.examples", { hidden: true, role: "group", ariaLabel: "Examples" });
  #sample = h("div.sample", { hidden: true });
  #composer;
  element = h("main.new", h("h1", { tabIndex: -1 }, TITLE), this.#picker);

  /**
   * @param {Promise<any[]>} agents their cards, the default one first @param {string} agent to choose; "" for the default
   * @param {(task: {id: string, contextId: string, agent: string, title: string}) => void} onCreated
   */
  constructor(agents, agent, onCreated) {
    this.#onCreated = onCreated;
    this.#agents = agents;
    this.#composer = new Composer({
      label: "Message",
      rows: 4,
      placeholder: "What should be done?",
      modes: agents.then((cards) => chosen(cards, agent)?.defaultInputModes ?? TEXT_MODES, () => TEXT_MODES),
      onSend: (parts) => this.#create(parts),
    });
    this.element.append(this.#composer.element, this.#examples, this.#sample);
    agents.then((cards) => this.#draw(cards, agent), (error) => this.#composer.refuse(error.message));
  }

  close() {
    this.#run?.close();
    this.#composer.clear();
    this.element.remove();
  }

  focus() {
    this.#composer.focus();
  }

  #draw(cards, wanted) {
    const name = uniqueId();
    const rows = cards.map((card) => this.#row(card, name));
    this.#picker.append(h("div.picker-rows", ...rows));
    this.#picker.hidden = cards.length < 2;
    const first = chosen(cards, wanted);
    if (first) {
      rows[cards.indexOf(first)].querySelector("input").checked = true;
      this.#choose(first);
    } else if (cards[0]?.error) {
      this.#composer.refuse(`The default agent does not answer. ${cards[0].error}`);
    }
    const triage = cards.find(({ skills }) => skills?.some(({ id }) => id === SAMPLE_SKILL));
    if (triage) this.#offerSample(triage).catch(() => {}); // without the files there is nothing to offer
  }

  /** An agent that does not answer has an `error` in place of a card. */
  #row(card, name) {
    const radio = h("input", { type: "radio", name, value: card.name ?? card.url, disabled: card.error });
    on(radio, "change", () => this.#choose(card));
    return h("label.pick", radio, h("b", card.name ?? card.url), h("span", card.description ?? card.error));
  }

  #choose(card) {
    this.#agent = card.name;
    this.#composer.accept(card.defaultInputModes ?? []);
    const examples = (card.skills ?? []).flatMap((skill) => skill.examples ?? []).slice(0, MAX_EXAMPLES);
    const button = (text) => h("button.button", { type: "button", onclick: () => this.#write(text) }, text);
    this.#examples.replaceChildren(...examples.map(button));
    this.#examples.hidden = !examples.length;
  }

  #write(text) {
    this.#composer.text = text;
    this.#composer.focus();
  }

  async #create(parts, agent = this.#agent) {
    await this.#agents;
    const { id, contextId } = await createTask({ parts }, agent || undefined);
    const title = parts.find((part) => part.text && !part.filename)?.text ?? "";
    if (this.element.isConnected) this.#onCreated({ id, contextId, agent, title });
  }

  async #offerSample({ name }) {
    const { title, files } = await loadSample();
    const size = files.reduce((sum, file) => sum + file.bytes, 0);
    const button = h("button.button.accent", { type: "button" }, "Try the sample");
    button.dataset.testid = "sample-button";
    on(button, "click", async () => {
      if (button.ariaDisabled === "true") return;
      button.ariaDisabled = "true"; // a disabled button would lose the focus
      setText(button, "Sending …");
      this.#composer.clearNotice();
      await sampleParts().then((parts) => this.#create(parts, name)).catch((error) => this.#composer.refuse(error.message));
      button.ariaDisabled = null;
      setText(button, "Try the sample");
    });
    this.#sample.append(button, h("span", `${title} (${files.length} files, ${fileSize(size)}), for ${name}`));
    this.#sample.hidden = false;
    this.#run = await (await recordedRun()).playRun();
    if (this.element.isConnected) this.element.append(this.#run.element);
    else this.#run.close();
  }
}

/** The agent of that name, else the default one. None if that does not answer: no other agent gets what is meant for it. */
function chosen(cards, name) {
  const card = cards.find((each) => each.name === name) ?? cards[0];
  return card && !card.error ? card : undefined;
}

async function sampleParts() {
  const { text, alert, files } = await loadSample();
  const filePart = async ({ href, filename }) => {
    const content = await (await load(href)).blob();
    const { prepareFile } = await fileTools();
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
