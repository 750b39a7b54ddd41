/** The first view: choose an agent, write, add files, send; or send an example or the sample. */

import { createTask } from "./api.js";
import { Composer } from "./composer.js";
import { h, on, uniqueId } from "./dom.js";
import { plainName } from "./format.js";
import { lateAgents, sample } from "./lazy-view.js";
import { TEXT_MODES } from "./media-types.js";

const TITLE = "Give an agent some work, and watch it.\nA lost connection loses nothing.";
const SAMPLE_SKILL = "triage"; // the skill of the agent that the bundle's sample is for
const MAX_EXAMPLES = 6;

export class NewConversation {
  #onCreated;
  #agents;
  #agent = "";
  #closing = new AbortController();
  #picker = h("fieldset.picker", { hidden: true }, h("legend", "Agent"));
  #examples = h("div.examples", { hidden: true, role: "group", ariaLabel: "Examples" });
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
    this.element.append(this.#composer.element, this.#examples);
    agents.then((cards) => this.#draw(cards, agent), (error) => this.#composer.refuse(error.message));
  }

  close() {
    this.#closing.abort();
    this.#composer.clear();
    this.element.remove();
  }

  focus() {
    this.#composer.focus();
  }

  #draw(cards, wanted) {
    const name = uniqueId();
    const rows = h("div.picker-rows", ...cards.map((card) => this.#row(card, name)));
    this.#picker.append(rows);
    this.#picker.hidden = cards.length < 2;
    const first = cards.indexOf(chosen(cards, wanted));
    const chooseFirst = () => {
      this.#agent = cards[first].name; // no other agent gets what is meant for it
      if (cards[first].error) return;
      rows.children[first].querySelector("input").checked = true;
      this.#choose(cards[first]);
    };
    if (cards.length) chooseFirst();
    const changed = (at) => {
      rows.children[at].replaceWith(this.#row(cards[at], name));
      if (at === first && !rows.querySelector(":checked")) chooseFirst();
    };
    const late = cards.some(({ error }) => error);
    if (late) lateAgents().then(({ awaitAgents }) => awaitAgents(cards, first, this.#composer, changed)).catch(() => {});
    const triage = cards.find(({ skills }) => skills?.some(({ id }) => id === SAMPLE_SKILL));
    if (!triage) return;
    const create = (parts) => this.#create(parts, triage.name);
    const offer = { agent: triage.name, view: this.element, composer: this.#composer, create, closing: this.#closing.signal };
    sample().then(({ offerSample }) => offerSample(offer)).catch(() => {}); // without the files there is nothing to offer
  }

  /** An agent that does not answer has an `error` in place of a card. */
  #row(card, name) {
    const radio = h("input", { type: "radio", name, value: card.name ?? "", disabled: card.error });
    on(radio, "change", () => this.#choose(card));
    return h("label.pick", radio, h("b", plainName(card.name ?? "An agent")), h("span", card.description ?? `It does not answer. ${card.error}`));
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
}

/** The agent of that name, else the default one. It may have an `error` in place of a card. */
function chosen(cards, name) {
  return cards.find((each) => each.name === name) ?? cards[0];
}
