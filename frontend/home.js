/** The first view: say what fired, add what there is, send; or take the sample. */

import { agents, createTask, listTasks } from "./api.js";
import { byId, h, on, setText } from "./dom.js";
import { Inputs, prepare } from "./inputs.js";
import { isFinished, plainState } from "./task-state.js";
import { bytes } from "./time.js";

const LOOK_EVERY = 5_000; // ms, at the list: a state in it is not to be false for longer
const TITLES = "tailrace.titles"; // of what this browser has shown: the list has only ids

export class Home {
  #inputs;
  #go;

  /** @param {(id: string) => void} go to the task that was made */
  constructor(go) {
    this.#go = go;
    const form = byId("compose");
    this.#inputs = new Inputs(form, () => form.requestSubmit());
    on(form, "submit", (event) => {
      event.preventDefault();
      this.#send(byId("send"), () => this.#inputs.parts());
    });
    on(byId("sample"), "click", () => this.#send(byId("sample"), sampleParts));
    describeSample().catch(() => {}); // the page has words of its own for it
    listAgents();
  }

  async #send(button, makeParts) {
    const label = button.textContent;
    const busy = (yes) => {
      byId("send").disabled = byId("sample").disabled = yes;
      setText(button, yes ? "Sending …" : label);
    };
    const focused = /** @type {any} */ (document.activeElement);
    busy(true);
    this.#inputs.forget();
    let id = "";
    try {
      const parts = await makeParts();
      if (parts) ({ id } = await createTask({ parts }));
    } catch (error) {
      this.#inputs.refuse(error.message);
    }
    busy(false);
    if (!id) return focused?.focus(); // a disabled button keeps no focus
    if (button === byId("send")) this.#inputs.clear();
    if (!byId("home").hidden) this.#go(id);
  }
}

let newest = 0; // which answer the list is waiting for: an older one may come later
let next = 0; // the timer of the next look
let drawn = ""; // what the list shows

/** Both views end with this list, less the task on the page. It is looked at again while a task in it is not over. */
export async function drawRecent(current) {
  clearTimeout(next);
  const asked = (newest += 1);
  const { tasks } = await listTasks(9).catch(() => ({}));
  if (asked !== newest) return;
  const again = () => (next = window.setTimeout(() => drawRecent(current), LOOK_EVERY));
  if (!tasks) return drawn && again(); // what was known stays; who was never let in is not asked for the secret again
  const titles = remembered();
  const listed = tasks.filter(({ id }) => id !== current).slice(0, 8);
  const rows = listed.map(({ id, status }) => [id, titles[id] || id, plainState(status?.state), status?.timestamp]);
  if (JSON.stringify(rows) !== drawn) {
    drawn = JSON.stringify(rows);
    const focused = document.activeElement?.getAttribute("href");
    list("recent", rows.map(recentRow));
    const links = [...byId("recent-list").querySelectorAll("a")];
    // The keyboard stays where it was.
    if (focused) links.find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
  }
  if (rows.some(([, , state]) => !isFinished(state))) again();
}

function recentRow([id, title, state, timestamp]) {
  const time = new Date(timestamp).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const link = h("a", { href: `?task=${encodeURIComponent(id)}` }, title);
  return h("li", link, h("span.state", { "data-state": state }, state.replace("-", " ")), h("time", time));
}

async function describeSample() {
  const { title, files } = await sample();
  const size = files.reduce((sum, file) => sum + file.bytes, 0);
  setText(byId("sample-about"), `${title} (${files.length} files, ${bytes(size)})`);
}

async function sampleParts() {
  const { text, alert, files } = await sample();
  const read = async ({ href, filename }) => (await prepare(new File([await (await load(href)).blob()], filename))).part;
  return [{ text }, { data: { alert } }, ...(await Promise.all(files.map(read)))];
}

/** The request that came with the page. */
const sample = async () => (await load("sample.json")).json();

async function load(href) {
  const response = await fetch(`sample/${href}`).catch(() => {
    throw new Error("The sample could not be loaded: the gateway did not answer. Try again in a moment.");
  });
  if (!response.ok) throw new Error(`The sample could not be loaded (${href}: ${response.status}).`);
  return response;
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

/** Call the task so in the list. */
export function remember(id, title) {
  const kept = [...Object.entries(remembered()).slice(-49), [id, title]];
  try {
    localStorage.setItem(TITLES, JSON.stringify(Object.fromEntries(kept)));
  } catch {
    // Then the list shows ids.
  }
}
