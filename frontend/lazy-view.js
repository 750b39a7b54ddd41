/** Views whose modules are loaded when there is something to draw, or when the page has nothing else to do. */

import { h } from "./dom.js";

/** By address. @type {Map<string, Promise<any>>} */
const sheets = new Map();

/** A module, when its style sheet has come too, or cannot. */
async function withStyles(module, href) {
  if (!sheets.has(href)) {
    const added = (done) => document.head.append(h("link", { rel: "stylesheet", href, onload: done, onerror: done }));
    sheets.set(href, new Promise(added));
  }
  const [loaded] = await Promise.all([module, sheets.get(href)]);
  return loaded;
}

// Each loads what the first view does not need.
export const questions = () => withStyles(import("./questions-view.js"), "questions.css");
export const takeAlong = () => withStyles(import("./take-along.js"), "artifacts/parts.css");
export const artifactParts = () => withStyles(import("./artifacts/parts-view.js"), "artifacts/parts.css");
export const fileTools = () => import("./prepare-file.js");
export const uploads = () => import("./upload.js");
export const timeline = () => import("./progress-timeline.js");
export const stepDetails = () => import("./step-details.js");
export const rawEvents = () => withStyles(import("./raw-events.js"), "raw-events.css");
export const manage = () => withStyles(import("./manage.js"), "manage.css");
export const signIn = () => withStyles(import("./sign-in.js"), "manage.css");
const account = () => withStyles(import("./account.js"), "manage.css");
export const sample = () => import("./sample.js");
export const lateAgents = () => import("./late-agents.js");

const ALL = [timeline, stepDetails, questions, takeAlong, artifactParts, fileTools, uploads, manage, signIn, account, rawEvents];

/** Load all of them, so that a lost connection costs nothing later. */
export function loadAll() {
  for (const load of ALL) load().catch(() => {}); // tried again when it is needed
}

export class LazyView {
  #make;
  #isNeeded;
  /** @type {any} */ #view = null;
  #loading = false;
  #model;
  element = h("div");

  /** @param {() => Promise<any>} make @param {(model: any) => any} isNeeded whether a model has something to draw */
  constructor(make, isNeeded) {
    this.#make = make;
    this.#isNeeded = isNeeded;
  }

  async draw(model) {
    this.#model = model;
    if (this.#view) return this.#view.draw(model);
    if (this.#loading || !this.#isNeeded(model)) return;
    this.#loading = true;
    try {
      this.#view = await this.#make();
      this.element.replaceChildren(this.#view.element);
      this.#view.draw(this.#model);
    } catch {
      const again = h("button.link", { type: "button", onclick: () => location.reload() }, "Load the page again");
      this.element.replaceChildren(h("p.notice", "A part of the page could not be loaded. "), again);
    }
  }
}
