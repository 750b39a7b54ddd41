/** The first view: say what fired, add what there is, send; or take the sample. */

import { agents, createTask, listTasks } from "./api.js";
import { byId, h, setText } from "./dom.js";
import { Inputs } from "./inputs.js";
import { titleOf } from "./messages.js";
import { readSample, sampleParts } from "./parts.js";
import { plainState } from "./task-state.js";
import { bytes } from "./time.js";

const TITLES = "tailrace.titles"; // of what this browser sent: the list has only ids

export class Home {
  #inputs;
  #go;

  /** @param {(id: string) => void} go to the task that was made */
  constructor(go) {
    this.#go = go;
    const form = byId("compose");
    this.#inputs = new Inputs(form, () => form.requestSubmit());
    form.onsubmit = async (event) => {
      event.preventDefault();
      const parts = await this.#inputs.parts();
      if (parts) this.#send(byId("send"), () => parts);
    };
    byId("sample").onclick = () => this.#send(byId("sample"), sampleParts);
    describeSample();
    listAgents();
  }

  async #send(button, makeParts) {
    const label = button.textContent;
    const busy = (yes) => {
      byId("send").disabled = byId("sample").disabled = yes;
      setText(button, yes ? "Sending …" : label);
    };
    busy(true);
    try {
      const message = { parts: await makeParts() };
      const { id } = await createTask(message);
      remember(id, titleOf(message));
      this.#inputs.clear();
      this.#go(id);
    } catch (error) {
      this.#inputs.refuse(error.message);
    } finally {
      busy(false);
    }
  }
}

/** Both views end with this list, less the task on the page. */
export async function drawRecent(current) {
  const { tasks = [] } = await listTasks(9).catch(() => ({}));
  const titles = remembered();
  const rows = tasks.filter(({ id }) => id !== current).map(({ id, status }) => {
    const state = plainState(status?.state);
    const time = new Date(status?.timestamp).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const link = h("a", { href: `?task=${encodeURIComponent(id)}` }, titles[id] ?? id);
    return h("li", link, h("span.state", { "data-state": state }, state.replace("-", " ")), h("time", time));
  });
  list("recent", rows.slice(0, 8));
}

async function describeSample() {
  const { title, files } = await readSample();
  const size = files.reduce((sum, file) => sum + file.bytes, 0);
  setText(byId("sample-about"), `${title} (${files.length} files, ${bytes(size)})`);
}

async function listAgents() {
  const { agents: cards = [] } = await agents().catch(() => ({}));
  // In place of an agent that does not answer stands its error.
  const row = ({ name, description, url, error }) => h("li", h("b", name ?? url), h("span", description ?? error));
  list("agents", cards.map(row));
}

function list(id, rows) {
  byId(id).hidden = !rows.length;
  byId(`${id}-list`).replaceChildren(...rows);
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(TITLES) ?? "{}");
  } catch {
    return {};
  }
}

function remember(id, title) {
  const kept = [...Object.entries(remembered()).slice(-49), [id, title]];
  try {
    localStorage.setItem(TITLES, JSON.stringify(Object.fromEntries(kept)));
  } catch {
    // Then the list shows ids.
  }
}
