/** A conversation: its turns one below the other, and a box for the next message. */

import { createTask, getConversation, getTask } from "./api.js";
import { Composer } from "./composer.js";
import { announce, copyText, h, on, setText } from "./dom.js";
import { plainName, stateWords } from "./format.js";
import { manage } from "./lazy-view.js";
import { TEXT_MODES } from "./media-types.js";
import { titleOf } from "./messages.js";
import { newestTurns, PAGE_SIZE } from "./newest-turns.js";
import { metadataOf, plainState } from "./task-state.js";
import { TurnView } from "./turn-view.js";

const NEAR = "600px"; // a turn is loaded when it is so near to what is visible
const HEAD_ROOM = 16; // px
const AT_END = 80; // px; a reader who is nearer than this is at the end

/**
 * What is known of a conversation before it is loaded.
 * @typedef {{contextId?: string, agent?: string, taskId?: string, title?: string, isNew?: boolean}} Place
 */

export class ConversationView {
  #place;
  #handlers;
  #cards;
  /** In order. @type {TurnView[]} */ #turns = [];
  #next = ""; // the token of the turns before those on the page
  #title = "";
  /** By model, in dollars per million tokens. */ #prices = {};
  /** What the agent takes. @type {Promise<string[]>} */ #accepts;
  #closed = false;
  #loaded = false;
  #exists = false; // as the server says
  /** @type {Promise<any> | undefined} */ #syncing;
  #opened = false;
  /** Stays in sight while what is above it is loaded, until the reader moves. @type {any} */ #pinned = null;
  #follows = true; // whether the page scrolls with what is written
  #scrolledTo = 0;
  #drawn = ""; // the state of the newest turn
  #heading = h("h1", { tabIndex: -1, "data-testid": "title" }, "Conversation");
  #agent = h("span.aside");
  #status = h("div.status");
  #rename = h("button.button", { type: "button", hidden: true }, "Rename");
  #delete = h("button.button", { type: "button", hidden: true }, "Delete");
  #copy = h("button.button", { type: "button" }, "Copy link");
  #race = h("div.race", { ariaHidden: "true" }, h("i"));
  #earlier = h("button.button.earlier", { type: "button", hidden: true }, "Earlier turns");
  #list = h("ol.turns", { "data-testid": "turns" });
  #jump = h("button.button.jump", { type: "button", hidden: true }, "Jump to live");
  #stop = h("button.button", { type: "button", hidden: true, "data-testid": "cancel-button" }, "Stop");
  #composer = new Composer({ label: "Next message", rows: 1, placeholder: "Next message", onSend: (parts) => this.#send(parts) });
  #lost = h("p.lost", { hidden: true, "data-testid": "lost" }); // where the head is out of sight
  #foot = h("div.foot", { hidden: true }, this.#lost, this.#jump, this.#composer.element);
  #head = h("header.conv-head", h("div.conv-line", h("div.conv-name", this.#heading, this.#agent), h("div.actions", this.#copy, this.#rename, this.#delete)), this.#status, this.#race);
  element = h("main.conversation", this.#head, h("p.loading", "Loading …"), this.#earlier, this.#list, this.#foot);
  #observer = new IntersectionObserver((entries) => this.#loadVisible(entries), { rootMargin: NEAR });
  #resized = new ResizeObserver(() => {
    this.#leaveRoomForHead();
    this.#settle(); // a picture or a question came
  });
  #aborter = new AbortController();

  /**
   * @param {Place} place @param {{cards: Promise<{cards: any[], prices: any}>, named: (place: Place) => void,
   *   open: (task: {id: string, contextId: string, agent: string, title: string}) => void,
   *   changed: () => void, gone: (place: Place) => void, deleted: () => void}} handlers `named` gets the place when all of it
   *   is known, `open` a task of a new conversation; `gone`: it does not exist, `deleted`: by the reader
   */
  constructor(place, handlers) {
    this.#place = { ...place };
    this.#handlers = handlers;
    this.#cards = handlers.cards.catch(() => ({ cards: [], prices: {} }));
    this.#cards.then(({ prices }) => this.#takePrices(prices));
    this.#composer.element.querySelector(".compose-tools").append(this.#stop);
    on(this.#stop, "click", () => this.#newest?.cancel());
    on(this.#copy, "click", () => copyText(this.#copy, location.href, "Copy it from the address bar"));
    on(this.#rename, "click", () => this.#startRenaming());
    on(this.#delete, "click", () => this.#confirmDeletion());
    on(this.#earlier, "click", () => this.#loadEarlier());
    on(this.#jump, "click", () => this.#follow(true));
    const options = { signal: this.#aborter.signal, passive: true };
    on(window, "scroll", () => this.#handleScroll(), options);
    for (const type of ["wheel", "touchmove", "keydown", "pointerdown"]) on(window, type, () => (this.#pinned = null), options);
    for (const type of ["focus", "online"]) on(window, type, () => this.#loaded && this.#sync(), options);
    for (const resized of [this.#list, this.#head]) this.#resized.observe(resized);
    document.title = "Conversation · Tailrace";
    this.#accepts = Promise.resolve().then(() => loaded).then(() => this.#modes());
    this.#composer.accept(this.#accepts);
    const loaded = this.#load();
  }

  close() {
    this.#closed = true;
    this.#aborter.abort();
    this.#observer.disconnect();
    this.#resized.disconnect();
    for (const turn of this.#turns) turn.close();
    this.#composer.clear();
    this.element.remove();
    announce("");
  }

  focus() {
    this.#heading.focus({ preventScroll: true });
  }

  #takePrices(prices) {
    Object.assign(this.#prices, prices);
    for (const turn of this.#turns) turn.redraw();
  }

  get #newest() {
    return this.#turns.at(-1);
  }

  async #load() {
    try {
      const place = this.#place;
      if (!place.contextId) await this.#findOut();
      const showTask = () => this.#arrange([place.taskId]);
      this.#exists = Boolean(place.isNew);
      this.#rename.hidden = !this.#exists;
      if (place.isNew) showTask();
      else await this.#loadNewest().catch((error) => (error.status === 404 && place.taskId ? showTask() : Promise.reject(error)));
      if (this.#closed) return;
      this.#loaded = true;
      this.#handlers.named(place);
      setText(this.#agent, plainName(place.agent));
      this.element.querySelector(".loading")?.remove();
      this.#foot.hidden = false;
      if (place.title && !this.#title) this.#setTitle(place.title);
      if (!this.#turns.length) this.#list.append(h("li.empty", h("p", "The turns of this conversation have expired.")));
    } catch (/** @type {any} */ error) {
      if (!this.#closed) this.#refuse(error);
    }
  }

  /** Which conversation a task belongs to. */
  async #findOut() {
    const stored = await getTask(this.#place.taskId);
    const { agent = this.#place.agent } = metadataOf({ task: stored });
    Object.assign(this.#place, { contextId: stored.contextId, agent, title: titleOf(stored.history?.[0]) });
  }

  /** The input modes of its agent. */
  async #modes() {
    const { cards } = await this.#cards;
    const card = cards.find(({ name }) => name === this.#place.agent) ?? cards[0];
    return card?.defaultInputModes ?? TEXT_MODES;
  }

  /** Show the newest turns, back to one that is on the page: another window may have added some, or deleted all. */
  async #loadNewest() {
    const { ids, page } = await newestTurns(this.#place, this.#turns.map(({ id }) => id));
    if (this.#closed) return;
    this.#place.agent ||= page.agent;
    if (!this.#exists) this.#rename.hidden = false;
    this.#exists = true;
    this.#retitle(page.title);
    const first = this.#turns.findIndex(({ id }) => ids.includes(id));
    // Earlier turns are on later pages, if there are any. What is newer than the list was sent a moment ago.
    const earlier = page.nextPageToken && first > 0 ? this.#turns.slice(0, first) : [];
    const newer = this.#turns.slice(1 + this.#turns.findLastIndex(({ id }) => ids.includes(id)));
    if (!earlier.length) this.#next = page.nextPageToken;
    if (ids.length) this.#arrange([...earlier.map(({ id }) => id), ...ids, ...(first < 0 ? [] : newer.map(({ id }) => id))]);
  }

  /** See what another window did meanwhile. */
  #sync() {
    return (this.#syncing ??= this.#loadNewest()
      .catch((error) => error.status === 404 && this.#exists && !this.#closed && this.#refuse(error))
      .finally(() => (this.#syncing = undefined)));
  }

  async #loadEarlier() {
    this.#earlier.disabled = true;
    try {
      const { tasks, nextPageToken } = await getConversation(this.#place, { pageSize: PAGE_SIZE, pageToken: this.#next });
      this.#next = nextPageToken;
      const oldest = this.#turns[0];
      const ids = this.#turns.map(({ id }) => id);
      this.#arrange([...tasks.map(({ id }) => id).filter((id) => !ids.includes(id)).reverse(), ...ids]);
      oldest?.element.scrollIntoView();
    } catch (/** @type {any} */ error) {
      this.#newest?.status.note(error.message);
    } finally {
      this.#earlier.disabled = false;
    }
  }

  /** Show the turns of these tasks. Those on the page stay where they are. @param {any[]} ids in order */
  #arrange(ids) {
    for (const turn of this.#turns) if (!ids.includes(turn.id)) turn.close();
    this.#turns = ids.map((id) => this.#turns.find((turn) => turn.id === id) ?? this.#turn(id));
    let next = null;
    for (const { element } of [...this.#turns].reverse()) {
      if (!element.isConnected) this.#list.insertBefore(element, next);
      next = element;
    }
    this.#earlier.hidden = !this.#next;
    const newest = /** @type {TurnView} */ (this.#newest);
    if (!newest.status.element.isConnected) this.#status.replaceChildren(newest.status.element);
    newest.follow();
  }

  #turn(id) {
    const turn = new TurnView(id, {
      prices: this.#prices,
      accepts: this.#accepts,
      onDraw: (drawn) => this.#draw(drawn),
      onFocusLost: () => this.focus(),
      onRunAgain: (again) => this.#runAgain(again),
    });
    this.#observer.observe(turn.element);
    return turn;
  }

  #loadVisible(entries) {
    for (const { isIntersecting, target } of entries) {
      const turn = isIntersecting && this.#turns.find(({ element }) => element === target);
      if (!turn) continue;
      this.#observer.unobserve(target);
      if (turn !== this.#newest) turn.load();
    }
  }

  #draw(turn) {
    if (this.#closed) return;
    if (turn !== this.#newest) return this.#settle();
    const { task, stream } = turn;
    if (stream?.state === "lost" && !task.seq && stream.refusal.status !== 401) return this.#refuse(stream.refusal);
    if (!this.#title && task.request) this.#setTitle(titleOf(task.request));
    this.#drawFoot(turn);
    if (task.state !== this.#drawn) this.#drawState(turn);
    const { connection = "" } = turn.element.dataset;
    this.#race.dataset.state = connection;
    this.#lost.hidden = connection !== "reconnecting" && connection !== "cut";
    if (!this.#lost.hidden) setText(this.#lost, connection === "cut" ? "The connection was cut." : "The connection was lost, reconnecting …");
    if (!this.#opened && task.seq) this.#open(turn);
    this.#settle();
  }

  /** What comes into sight is below the head. */
  #leaveRoomForHead() {
    const isAbove = getComputedStyle(this.#head).position === "sticky";
    document.documentElement.style.scrollPaddingTop = `${(isAbove ? this.#head.offsetHeight : 0) + HEAD_ROOM}px`;
  }

  /** Keep what the reader looks at where it is. */
  #settle() {
    this.#pinned?.scrollIntoView();
    this.#follow(this.#follows);
  }

  /** The turn that the address names comes into sight, else the newest one. */
  #open(newest) {
    this.#opened = true;
    const named = this.#turns.find(({ id }) => id === this.#place.taskId) ?? newest;
    if (named === this.#turns[0] || !newest.finished) return;
    this.#pinned = named.element;
  }

  #drawFoot(turn) {
    const { finished, asks, canceling } = turn;
    this.#composer.block(!finished);
    this.#foot.classList.toggle("asking", asks && !this.#composer.text); // its card has a box
    if (finished && document.activeElement === this.#stop) this.#composer.focus();
    this.#stop.hidden = finished;
    this.#stop.ariaDisabled = String(canceling);
    setText(this.#stop, canceling ? "Stopping …" : "Stop");
  }

  #drawState(turn) {
    const before = this.#drawn;
    const { state } = turn.task;
    this.#drawn = state;
    this.#delete.hidden = !turn.finished;
    document.title = `${stateWords(state)} · ${this.#title || "Conversation"} · Tailrace`;
    if (state !== "unknown") this.#handlers.changed();
    if (!turn.finished || !before || !this.#follows || before === "unknown") return;
    // A reader who has followed gets the beginning of the answer.
    this.#follows = false;
    this.#pinned = turn.answer;
  }

  #setTitle(title) {
    this.#title = plainName(title);
    setText(this.#heading, this.#title || "Conversation");
    this.#drawn = "";
  }

  #refuse({ status, title, detail, message }) {
    this.#loaded = false;
    for (const turn of this.#turns.splice(0)) turn.close();
    if (status === 404) this.#handlers.gone(this.#place);
    const [heading, reason] =
      status === 404
        ? ["This conversation does not exist", "It was never begun, it was deleted or has expired, or it belongs to somebody else."]
        : ["This conversation cannot be shown", message || detail || title || `The gateway answered ${status}.`];
    const again = status !== 404 && h("button.button", { type: "button", onclick: () => location.reload() }, "Try again");
    const fresh = h("a.button.primary", { href: "./" }, "New conversation");
    this.element.replaceChildren(h("div.empty", h("h1", { tabIndex: -1 }, heading), h("p", reason), h("p", again, " ", fresh)));
    document.title = `${heading} · Tailrace`;
    announce(heading);
  }

  async #send(parts) {
    const { contextId, agent } = this.#place;
    try {
      const { id } = await createTask({ parts, contextId }, agent);
      if (this.#closed) return;
      this.#follows = true;
      this.#drawn = "";
      this.#arrange([...this.#turns.map((turn) => turn.id), id]);
      this.#pinned = this.#newest?.element; // its answer may be there before it could be followed
      this.#handlers.changed();
      this.#sync();
    } catch (/** @type {any} */ error) {
      if (error.status === 409) await this.#sync();
      throw error;
    }
  }

  /** The list says which task of this conversation is its latest. @param {{contextId: string, agent: string, task: string}[]} conversations */
  observe(conversations) {
    const { contextId, agent } = this.#place;
    const own = conversations.find((each) => each.contextId === contextId && each.agent === agent);
    const isNews = own?.task && this.#newest?.finished && !this.#turns.some(({ id }) => id === own.task);
    if (isNews) this.#sync();
    const newest = this.#newest;
    if (own?.task === newest?.id && !newest?.finished && plainState(own?.state) !== newest?.task.state) newest?.catchUp();
    if (own?.title && this.#title) this.#retitle(own.title); // renamed elsewhere
  }

  /** A failed task is tried again in its conversation, which is as it was before; another run begins a new one. */
  async #runAgain({ task }) {
    const { parts } = task.request;
    if (task.state !== "completed") return this.#send(parts);
    const { agent } = this.#place;
    const { id, contextId } = await createTask({ parts }, agent);
    this.#handlers.open({ id, contextId, agent, title: this.#title });
  }

  async #startRenaming() {
    const { rename } = await manage();
    if (this.#rename.hidden) return; // clicked twice
    rename(this.#heading, this.#rename, this.#place, this.#title, (title) => {
      if (!this.#closed) this.#retitle(title);
      this.#handlers.changed();
    });
  }

  #retitle(title) {
    if (plainName(title) === this.#title) return;
    this.#setTitle(title);
    if (this.#newest?.task.seq) this.#drawState(this.#newest);
  }

  async #confirmDeletion() {
    const { confirmDeletion } = await manage();
    if (this.#closed) return;
    confirmDeletion(this.element, this.#place, () => {
      this.#handlers.gone(this.#place);
      if (!this.#closed) this.#handlers.deleted();
    });
  }

  /** How far the end is below the visible part, in px. */
  #distanceToEnd() {
    return document.documentElement.scrollHeight - innerHeight - scrollY;
  }

  get #writes() {
    return Boolean(this.#newest?.task.seq && !this.#newest.finished);
  }

  /** The reader leaves the end by scrolling up. What is written meanwhile moves the end away, and that is no such move. */
  #handleScroll() {
    const isUp = scrollY < this.#scrolledTo;
    this.#scrolledTo = scrollY;
    if (this.#distanceToEnd() < AT_END) this.#follows = true;
    else if (isUp) this.#follows = false;
    this.#offerJump();
  }

  #follow(follows) {
    this.#follows = follows;
    if (follows && this.#writes) scrollTo(0, document.documentElement.scrollHeight);
    this.#offerJump();
  }

  #offerJump() {
    this.#jump.hidden = this.#follows || !this.#writes || this.#distanceToEnd() < AT_END;
  }
}
