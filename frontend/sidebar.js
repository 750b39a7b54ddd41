/** The caller's conversations, latest first: search, filters, all pages, and their states while something runs. */

import { listConversations } from "./api.js";
import { byId, h, on, setText } from "./dom.js";
import { plainName, stateWords, timeAgo } from "./format.js";
import { isFinished, plainState } from "./task-state.js";

const REFRESH_INTERVAL = 5_000; // ms, while a conversation in the list is unfinished, or the gateway does not answer
const TYPING_PAUSE = 250; // ms
const PAGE_SIZE = 30;
const MAX_REQUESTS = 10; // for one page: the gateway may answer with fewer entries than asked for, even with none
/** What the filter offers: the states of a task that the page shows in the same words. */
const STATES = {
  working: ["SUBMITTED", "WORKING"],
  "input-required": ["INPUT_REQUIRED", "AUTH_REQUIRED"],
  completed: ["COMPLETED"],
  failed: ["FAILED"],
  canceled: ["CANCELED"],
  rejected: ["REJECTED"],
};

/** @typedef {{contextId: string, agent: string, title: string, state?: string, updated: string}} Conversation */

/** The address of a conversation on this page. @param {{contextId: string, agent: string}} conversation */
export const addressOf = ({ contextId, agent }) => `?${new URLSearchParams({ conversation: contextId, agent })}`;

const keyOf = ({ contextId, agent }) => `${agent} ${contextId}`;

export class Sidebar {
  /** By key, in the order of the list. @type {Map<string, Conversation>} */ #known = new Map();
  /** Of the current one. */ #current = "";
  #next = ""; // the token of the page after those that are known
  #request = 0; // its number: the answer to an older one is ignored
  #timer = 0;
  #drawn = "";
  #onLoaded;
  #loaded = false;
  #failure = ""; // of the last request
  #search = byId("search");
  #agent = byId("filter-agent");
  #state = byId("filter-state");
  #list = byId("conversations");
  #note = byId("conversations-note");
  #more = byId("conversations-more");

  /** @param {(conversations: Conversation[]) => void} onLoaded gets what each answer has */
  constructor(onLoaded) {
    this.#onLoaded = onLoaded;
    for (const state in STATES) this.#state.append(h("option", { value: state }, stateWords(state)));
    on(this.#search, "input", () => this.#searchAfter(TYPING_PAUSE));
    for (const filter of [this.#agent, this.#state]) on(filter, "change", () => this.#searchAfter(0));
    on(this.#more, "click", () => this.#load(this.#next));
    on(document, "visibilitychange", () => document.hidden || this.refresh());
    for (const type of ["focus", "online"]) on(window, type, () => this.refresh()); // other windows change it too
    this.refresh();
  }

  /** @param {string[]} names of the agents that there are */
  offerAgents(names) {
    this.#agent.append(...names.map((name) => h("option", { value: name }, plainName(name))));
    this.#agent.hidden = names.length < 2;
  }

  /** Mark the conversation on the page; null for none. @param {{contextId: string, agent: string} | null} conversation */
  select(conversation) {
    this.#current = conversation ? keyOf(conversation) : "";
    for (const link of this.#list.querySelectorAll("a")) markCurrent(link, this.#current);
  }

  /** A conversation has changed: the list is read again, up to the last one that may have changed. */
  refresh() {
    return this.#load("");
  }

  /** Leave out a conversation that does not exist. @param {any} conversation named by `contextId` and `agent` */
  forget(conversation) {
    this.#known.delete(keyOf(conversation));
    return this.refresh();
  }

  #searchAfter(ms) {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      this.#known.clear();
      this.#loaded = false;
      this.refresh();
    }, ms);
  }

  /** Load the page of a token; the first ones for an empty token. */
  async #load(token) {
    clearTimeout(this.#timer);
    const request = (this.#request += 1);
    const mayChange = (entry) => isLive(entry) || keyOf(entry) === this.#current;
    const read = token ? 0 : 1 + [...this.#known.values()].findLastIndex(mayChange);
    const page = await this.#page(token, Math.max(PAGE_SIZE, read)).catch((error) => ({ error }));
    if (request !== this.#request) return;
    this.#failure = page.error?.message ?? "";
    if (!page.error) {
      const known = [...this.#known.values()];
      const behind = page.nextPageToken ? entriesAfter(known, page.conversations.at(-1)) : [];
      const entries = token ? [...known, ...page.conversations] : [...page.conversations, ...behind];
      const seen = new Map();
      for (const entry of entries) if (!seen.has(keyOf(entry))) seen.set(keyOf(entry), entry);
      this.#known = seen;
      if (token || !behind.length) this.#next = page.nextPageToken;
      this.#loaded = true;
      this.#onLoaded(page.conversations);
    }
    this.#draw();
    const live = [...this.#known.values()].some(isLive);
    if ((live || page.error) && !document.hidden) this.#timer = window.setTimeout(() => this.refresh(), REFRESH_INTERVAL);
  }

  async #page(pageToken, size) {
    const filters = { q: this.#search.value.trim(), agent: this.#agent.value };
    const state = STATES[this.#state.value]?.map((name) => `TASK_STATE_${name}`);
    const conversations = [];
    for (let requests = 0; requests < MAX_REQUESTS + size / PAGE_SIZE && conversations.length < size; requests += 1) {
      const page = await listConversations({ ...filters, state, pageSize: PAGE_SIZE, pageToken });
      conversations.push(...page.conversations);
      pageToken = page.nextPageToken;
      if (!pageToken) break;
    }
    return { conversations, nextPageToken: pageToken };
  }

  #draw() {
    this.#more.hidden = !this.#next;
    const filtered = this.#search.value.trim() || this.#agent.value || this.#state.value;
    const empty = filtered ? "Nothing matches." : "Your conversations appear here.";
    if (this.#loaded || this.#failure) setText(this.#note, this.#failure || (this.#known.size ? "" : empty));
    const rows = [...this.#known.values()].map((entry) => ({ ...entry, ago: timeAgo(entry.updated) }));
    const drawn = JSON.stringify(rows);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const focused = document.activeElement?.getAttribute("href");
    this.#list.replaceChildren(...rows.map((row) => this.#row(row)));
    const links = [...this.#list.querySelectorAll("a")];
    if (focused) links.find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
  }

  #row(entry) {
    const state = plainState(entry.state ?? "expired");
    const link = h(
      "a",
      { href: addressOf(entry) },
      h("span.conv-title", plainName(entry.title) || "Untitled"),
      h("span.conv-about", h("span.conv-agent", plainName(entry.agent)), h("span.state", { "data-state": state }, stateWords(state)), h("time", { dateTime: entry.updated }, entry.ago)),
    );
    link.dataset.key = keyOf(entry);
    markCurrent(link, this.#current);
    return h("li", link);
  }
}

/** An expired one has no state. */
const isLive = ({ state }) => Boolean(state) && !isFinished(plainState(state));

/** The known entries behind one that has not moved; none if it has, or is not known. @param {Conversation[]} known @param {Conversation} [last] */
function entriesAfter(known, last) {
  const at = last ? known.findIndex((entry) => keyOf(entry) === keyOf(last) && entry.updated === last.updated) : -1;
  return at < 0 ? [] : known.slice(at + 1);
}

function markCurrent(link, current) {
  if (link.dataset.key === current) link.ariaCurrent = "page";
  else link.ariaCurrent = null;
}
