/**
 * One turn of a conversation: a task, from its log and then live.
 *
 * A turn from before is drawn from the stored task, and gets its events when its work is opened. Events are drawn once per
 * frame, but not before all stored ones have come (or 1.5 s have passed): a replay does not flash by.
 */

import { cancelTask, getTask, reply, streamUrl } from "./api.js";
import { ArtifactsView } from "./artifacts-view.js";
import { announce, h, on, setText } from "./dom.js";
import { EventStream } from "./event-stream.js";
import { costWords, duration, plural, recoveryCounts, stateWords, usageWords } from "./format.js";
import { LazyView, questions, rawEvents, signIn, takeAlong, timeline } from "./lazy-view.js";
import { drawMessages } from "./messages-view.js";
import { ServerClock } from "./server-clock.js";
import { StatusLine } from "./status-line.js";
import { applyEvent, isFinished, isRunning, metadataOf, newTask } from "./task-state.js";

// In ms.
const BACKLOG_PATIENCE = 1_500;
const TICK_INTERVAL = 100;
const NOTEWORTHY_CUT = 1_000;
const REOPEN_INTERVAL = 500;

const MAX_RAW_EVENTS = 1_000; // kept
const REOPENINGS = 20; // after a reply, the log may end with the question for a moment

const ANNOUNCEMENTS = { working: "The agent is working.", "input-required": "The agent has a question." };

/** What `make run` adds: called at every drawing of a turn that has its events. @type {((turn: TurnView) => void)[]} */
export const extras = [];

export class TurnView {
  id;
  task = newTask();
  /** @type {EventStream | null} */ stream = null;
  status = new StatusLine(() => this.stream?.retryNow());
  #handlers;
  #prices;
  /** The model of a replay, until it may be drawn. */ #incoming = this.task;
  #clock = new ServerClock();
  #title = h("h2.visually-hidden", "Turn");
  #sent = h("div.turn-sent");
  #later = h("div.turn-later");
  #summary = h("summary");
  #timeline = h("progress-timeline", { ariaLabel: "Timeline", "data-testid": "timeline" });
  /** @type {import("./raw-events.js").RawEvent[]} */ #events = [];
  #raw = new LazyView(async () => new (await rawEvents()).RawEvents(), () => this.#drawer.open);
  #drawer = h("details.drawer", { ontoggle: () => this.#raw.draw(this.#events) }, h("summary", "Raw events"), this.#raw.element);
  #cost = h("p.work-cost", { hidden: true, "data-testid": "cost" });
  #body = h("div.work-body", this.#timeline, this.#cost, this.#drawer);
  #work = h("details.work", { hidden: true, "data-testid": "work" }, this.#summary, this.#body);
  #answerTitle = h("h3.visually-hidden", { hidden: true }, "Answer");
  #artifacts = new ArtifactsView();
  #questions;
  #failure = h("div.card.failure", { hidden: true, "data-testid": "failure" });
  #takeAlong;
  #closed = false;
  #loading = false;
  #ready = false;
  #folded = false; // by the reader, or never opened
  #frame = 0;
  #ticker = 0;
  #patience = 0;
  #lastEventAt = Date.now();
  #drawn = { state: "", message: "", attempt: 1, connection: "" };
  #reopenings = 0; // left
  #canceling = false;
  element = h("li.turn", { "data-testid": "turn" });

  /**
   * @param {string} id of the task
   * @param {{onDraw: (turn: TurnView) => void, onFocusLost: () => void, onRunAgain: (turn: TurnView) => Promise<any>,
   *   prices: any, accepts: Promise<string[]>}} handlers
   */
  constructor(id, { prices, accepts, ...handlers }) {
    this.id = id;
    this.#handlers = handlers;
    this.#prices = prices;
    const onAnswer = (message) => this.#answer(message);
    this.#questions = new LazyView(
      async () => new (await questions()).QuestionsView({ onAnswer, accepts }),
      (task) => task.questions.length,
    );
    const options = { streamUrl: (cursor) => streamUrl(id, cursor), onRunAgain: () => handlers.onRunAgain(this) };
    this.#takeAlong = new LazyView(
      async () => new (await takeAlong()).TakeAlong(options),
      (task) => isFinished(task.state),
    );
    const parts = [this.#title, this.#sent, this.#work, this.#later, this.#failure, this.#answerTitle, this.#artifacts, this.#questions, this.#takeAlong];
    this.element.append(...parts.map((part) => part.element ?? part));
    on(this.#work, "toggle", () => this.#scheduleDrawing());
    on(this.#summary, "click", () => {
      this.#folded = this.#work.open;
      if (!this.#work.open) this.follow();
    });
  }

  /** Draw the task as it is stored. */
  async load() {
    if (this.#loading || this.stream) return;
    this.#loading = true;
    this.#folded = true;
    try {
      const stored = await getTask(this.id);
      if (this.stream || this.#closed) return;
      applyEvent(this.task, metadataOf({ task: stored }).seq ?? 1, { task: stored });
      if (!isFinished(this.task.state)) return this.follow();
      this.#ready = true;
      this.#draw();
    } catch (/** @type {any} */ error) {
      this.#loading = false;
      const again = h("button.link", { type: "button", onclick: () => this.load() }, "Try again");
      this.#sent.replaceChildren(h("p.notice", error.status === 404 ? "This turn has expired." : error.message), " ", again);
    }
  }

  /** Get the task's events, the stored ones and those to come. */
  follow() {
    if (this.stream || this.#closed) return;
    timeline().catch(() => {});
    const url = (cursor) => streamUrl(this.id, cursor);
    this.#incoming = Object.assign(newTask(), { prices: this.#prices, streamUrl: url });
    this.stream = new EventStream(url, {
      onEvent: (event) => this.#apply(event),
      onSync: () => this.#show(),
      onGap: ({ from, to }) => this.status.note(`Events ${from} to ${to} are no longer in the log.`),
      onEnd: () => this.#handleEnd(),
      onRecovered: ({ ms, ...counts }) =>
        ms > NOTEWORTHY_CUT && this.status.note(`Connection lost for ${duration(ms)}: ${recoveryCounts(counts)}.`),
      onChange: () => {
        if (this.stream.state === "lost" && this.stream.refusal.status === 401) this.#askWho();
        this.#scheduleDrawing();
      },
    });
    Object.assign(window, { tailrace: { task: this.id, applied: this.stream.applied } }); // for tests
    this.stream.open();
    // While the task waits for its user, its stream has ended, and time changes nothing.
    this.#ticker = window.setInterval(() => this.stream.state === "ended" || this.#tick(), TICK_INTERVAL);
    this.#patience = window.setTimeout(() => this.#incoming.seq && this.#show(), BACKLOG_PATIENCE);
  }

  /** The session is over. When the user has signed in, the stream goes on at its cursor. */
  async #askWho() {
    const { ask } = await signIn();
    if ((await ask(this.stream.refusal)) && !this.#closed) this.stream.open();
  }

  /** The prices have come. */
  redraw() {
    this.#scheduleDrawing();
  }

  close() {
    this.#closed = true;
    this.stream?.close();
    clearInterval(this.#ticker);
    clearTimeout(this.#patience);
    this.element.remove();
  }

  /** Ask the task's agent to stop it. */
  async cancel() {
    if (this.#canceling) return;
    this.#canceling = true; // until the log says CANCELED
    this.#scheduleDrawing();
    try {
      await cancelTask(this.id);
      this.status.note(""); // an earlier refusal
      this.catchUp();
    } catch (/** @type {any} */ error) {
      this.#canceling = false;
      this.status.note(error.message);
      this.catchUpAfter(error);
    }
  }

  get canceling() {
    return this.#canceling && !this.finished;
  }

  get finished() {
    return isFinished(this.task.state);
  }

  /** Whether it waits for its user. */
  get asks() {
    return this.task.state === "input-required";
  }

  /** Where the answer begins. */
  get answer() {
    return this.#artifacts.element;
  }

  /** A conflict means that the task's state is not the one on the page. @param {{status?: number}} error */
  catchUpAfter({ status }) {
    if (status === 409) this.catchUp();
  }

  #apply({ seq, result, text, live }) {
    const { ts, kind = "", agent = "" } = metadataOf(result);
    this.#lastEventAt = Date.now();
    this.#reopenings = 0;
    this.#events.push({ seq, kind, agent, text });
    if (this.#events.length > MAX_RAW_EVENTS) this.#events = this.#events.slice(MAX_RAW_EVENTS / 2);
    this.#scheduleDrawing();
    applyEvent(this.#incoming, seq, result);
    if (ts) this.#clock.observe(ts, live);
  }

  #show() {
    if (this.task === this.#incoming && this.#ready) return;
    this.#ready = true;
    this.task = this.#incoming;
    this.#scheduleDrawing();
  }

  #scheduleDrawing() {
    if (this.#frame) return;
    const draw = () => {
      this.#frame = 0;
      if (!this.#closed) this.#draw();
    };
    // A hidden tab gets no frames, but a new title.
    this.#frame = document.hidden ? window.setTimeout(draw, 1_000) : requestAnimationFrame(draw);
  }

  #draw() {
    this.#tick();
    if (this.#ready) {
      const { task } = this;
      const writing = isRunning(task.state) && !task.answer?.done;
      setText(this.#title, `Turn: ${task.title.slice(0, 80)}`);
      drawMessages(this.#sent, task.messages.slice(0, 1));
      // The question that waits stands in its card instead.
      const unanswered = this.asks && task.messages.at(-1)?.by === "agent";
      drawMessages(this.#later, task.messages.slice(1, unanswered ? -1 : undefined));
      this.#drawState();
      this.#answerTitle.hidden = !task.artifacts.size;
      this.#artifacts.draw(task, { writing });
      const hadFocus = this.#questions.element.contains(document.activeElement);
      this.#questions.draw(task);
      if (hadFocus && document.activeElement === document.body) this.#handlers.onFocusLost();
      if (this.#drawer.open) this.#raw.draw(this.#events);
      this.#takeAlong.draw(task);
      if (this.stream) for (const drawExtra of extras) drawExtra(this);
    }
    this.#handlers.onDraw(this);
  }

  #drawState() {
    const { state, message, attempt, answer, signIn } = this.task;
    const drawn = this.#drawn;
    const stateChanged = state !== drawn.state;
    if (!stateChanged && message === drawn.message && attempt === drawn.attempt) return;
    const first = !drawn.state;
    Object.assign(drawn, { state, message, attempt });
    this.element.dataset.state = state;
    const failed = state === "failed" || state === "rejected";
    this.#failure.hidden = !failed;
    if (failed) {
      const head = state === "failed" ? "The task failed" : "The agent did not take this task";
      this.#failure.replaceChildren(h("h3", head), h("p", message || "No reason was given."));
    }
    this.#work.hidden = false;
    // The work is to be seen while it goes on; then the answer or the question comes first.
    if (stateChanged && !this.#folded) this.#work.open = isRunning(state);
    if (first && this.finished) return; // it was over before the reader came
    const ready = state === "completed" && answer?.text ? " The answer is ready." : "";
    const words = signIn ? "sign-in required" : stateWords(state);
    announce((stateChanged && ANNOUNCEMENTS[state]) || `Task ${words}${attempt > 1 ? `, attempt ${attempt}` : ""}.${ready}`);
  }

  #drawWork() {
    const { counts, usage, cost, start, end, state } = this.task;
    const words = [
      counts.agents > 0 && plural(counts.agents, "agent"),
      counts.steps > 0 && plural(counts.steps, "step"),
      start !== null && duration((end ?? this.#now()) - start),
      usage.calls > 0 && usageWords(usage, this.#prices),
    ];
    const verb = isRunning(state) ? "Working: " : "";
    this.#cost.hidden = !cost || !isFinished(state);
    if (!this.#cost.hidden) setText(this.#cost, costWords(cost));
    setText(this.#summary, `${verb}${words.filter(Boolean).join(", ")}` || "Work");
  }

  /** Draw what changes with time, without an event. */
  #tick() {
    const { task, stream } = this;
    if (stream) {
      const times = { now: this.#now(), quiet: Date.now() - this.#lastEventAt };
      this.#announceConnection(this.status.draw(this.#ready ? task : this.#incoming, stream, times));
    }
    if (!this.#ready) return;
    this.#drawWork();
    if (!stream || !this.#work.open) return;
    this.#timeline.draw?.(task, this.#now()); // once it is loaded
  }

  #announceConnection(connection) {
    const before = this.#drawn.connection;
    if (connection === before) return;
    this.#drawn.connection = connection;
    this.element.dataset.connection = connection;
    if (connection === "reconnecting") announce("The connection was lost. Reconnecting.");
    if (connection === "live" && before === "reconnecting") announce("Live again.");
  }

  /** The server's time while the task runs, else the time of the newest event. In ms since the epoch. */
  #now() {
    const { state, updatedAt } = this.task;
    return isRunning(state) && this.stream?.state !== "lost" ? Math.max(this.#clock.now(), updatedAt) : updatedAt;
  }

  #handleEnd() {
    this.#show();
    if (isFinished(this.#incoming.state)) {
      this.stream?.close();
      clearInterval(this.#ticker);
    } else if (this.#reopenings) {
      this.#reopenings -= 1;
      setTimeout(() => this.catchUp(), REOPEN_INTERVAL);
    }
  }

  /** The task may have gone on: open an ended stream, and wait no longer to look again. */
  catchUp() {
    if (this.#closed) return;
    if (this.stream?.state === "ended") this.stream.open();
    else this.stream?.retryNow();
  }

  async #answer(message) {
    try {
      await reply(this.id, message);
      this.#reopenings = REOPENINGS;
      this.catchUp();
    } catch (error) {
      this.catchUpAfter(/** @type {any} */ (error));
      throw error;
    }
  }
}
