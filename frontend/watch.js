/**
 * The second view: one task, from its log and then live. Each view is a new copy of index.html's template.
 *
 * Events are drawn once per frame, but not before all stored ones have come (or 1.5 s have passed): a replay does not
 * flash by.
 */

import { cancelTask, reply, streamUrl } from "./api.js";
import { ConnectionPill } from "./connection-pill.js";
import { announce, byId, on, setText } from "./dom.js";
import { EventStream } from "./event-stream.js";
import { FindingsView } from "./findings-view.js";
import { duration, recoveryCounts } from "./format.js";
import { Inputs } from "./inputs.js";
import { QuestionsView } from "./questions-view.js";
import { RawEvents } from "./raw-events.js";
import { drawRecentTasks, rememberTitle } from "./recent-tasks.js";
import { ReportView } from "./report-view.js";
import { ServerClock } from "./server-clock.js";
import { applyEvent, isFinished, isRunning, metadataOf, newTask } from "./task-state.js";
import { TurnsView } from "./turns-view.js";

// In ms.
const BACKLOG_PATIENCE = 1_500;
const TICK_INTERVAL = 100;
const QUIET_AFTER = 10_000;
const NOTEWORTHY_CUT = 1_000;
const REOPEN_INTERVAL = 500;

const REOPENINGS = 20; // after a reply, the log may end with the question for a moment

const ANNOUNCEMENTS = {
  working: "The agents are working.",
  "input-required": "The agents have a question.",
};

/** What `make run` adds: called at every drawing. @type {((id, stream, task) => void)[]} */
export const extras = [];

export class Watch {
  #id;
  #task = newTask();
  #clock = new ServerClock();
  #view = document.importNode(byId("watch-view").content, true).firstElementChild;
  #timeline = this.#find("timeline");
  #turns = new TurnsView(this.#find("turns"));
  #findings = new FindingsView(this.#view);
  #questions;
  #report;
  #rawEvents = new RawEvents(this.#view);
  #inputs;
  #pill;
  #stream;
  #closed = false;
  #ready = false; // to be drawn
  #frame = 0;
  #ticker;
  #patience;
  #lastEventAt = Date.now();
  #drawn = { state: "", message: "", attempt: 1, pill: "", title: "" };
  #reopenings = 0; // left

  /** @param {string} id of the task */
  constructor(id) {
    this.#id = id;
    byId("home").after(this.#view);
    document.title = "Task · Tailrace";
    this.#report = new ReportView(this.#view);
    this.#stream = new EventStream((cursor) => streamUrl(id, cursor), {
      onEvent: (event) => this.#apply(event),
      onSync: () => this.#show(),
      onGap: ({ from, to }) => this.#note(`Events ${from} to ${to} are no longer in the log.`),
      onEnd: () => this.#handleEnd(),
      onRecovered: ({ ms, ...counts }) =>
        ms > NOTEWORTHY_CUT && this.#note(`Connection lost for ${duration(ms)}: ${recoveryCounts(counts)}.`),
      onChange: () => this.#scheduleDrawing(),
    });
    Object.assign(window, { tailrace: { applied: this.#stream.applied } }); // for tests
    this.#pill = new ConnectionPill(this.#find("pill"), this.#find("try-now"), () => this.#stream.retryNow());
    const form = this.#find("reply");
    this.#questions = new QuestionsView(form, (id) => this.#find(id));
    this.#inputs = new Inputs(form, () => form.requestSubmit());
    on(form, "submit", (event) => {
      event.preventDefault();
      this.#reply();
    });
    on(this.#find("cancel"), "click", () => this.#cancel());
    on(this.#find("copy-link"), "click", () => copyLink(this.#find("copy-link")));
    setText(this.#find("curl"), `curl -N ${new URL(streamUrl(id, 0), location.href)}`);
    this.#stream.open();
    this.#ticker = setInterval(() => this.#tick(), TICK_INTERVAL);
    this.#patience = setTimeout(() => this.#task.seq && this.#show(), BACKLOG_PATIENCE);
  }

  /** Take the view out of the page. */
  close() {
    this.#closed = true;
    this.#stream.close();
    this.#report.close();
    this.#inputs.clear();
    clearInterval(this.#ticker);
    clearTimeout(this.#patience);
    this.#view.remove();
    announce("");
  }

  /** Move the focus to the start of the view. */
  focus() {
    this.#find("task-title").focus({ preventScroll: true });
  }

  #find(id) {
    return byId(id, this.#view);
  }

  #apply({ seq, result, text, live }) {
    const { ts, kind = "", agent = "" } = metadataOf(result);
    this.#lastEventAt = Date.now();
    this.#reopenings = 0;
    this.#rawEvents.push({ seq, kind, agent, text });
    this.#scheduleDrawing();
    applyEvent(this.#task, seq, result);
    if (ts) this.#clock.observe(ts, live);
  }

  #show() {
    if (this.#ready) return;
    this.#ready = true;
    // On a narrow page, the report of a finished task comes first.
    this.#find("task").classList.toggle("replayed", isFinished(this.#task.state));
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
    const { seq, state, turns, findings, report } = this.#task;
    if (this.#stream.state === "lost" && !seq) return this.#drawRefusal();
    if (!this.#ready) return;
    this.#find("task").hidden = false;
    setText(this.#find("last-seq"), String(seq));
    this.#timeline.draw(this.#task, this.#now());
    this.#drawState();
    // An unanswered question stands above the box for the reply instead.
    const unanswered = state === "input-required" && turns.at(-1)?.by === "Agents";
    this.#turns.draw(unanswered ? turns.slice(0, -1) : turns);
    this.#findings.draw(findings);
    this.#report.draw(report, {
      writing: isRunning(state) && !report.done,
      live: this.#stream.state === "live",
      ended: isFinished(state),
    });
    this.#rawEvents.draw();
    for (const drawExtra of extras) drawExtra(this.#id, this.#stream, this.#task);
  }

  #drawState() {
    const { state, message, attempt, title, questions, signIn } = this.#task;
    const drawn = this.#drawn;
    const stateChanged = state !== drawn.state;
    if (!stateChanged && message === drawn.message && attempt === drawn.attempt && title === drawn.title) return;
    Object.assign(drawn, { state, message, attempt, title });
    const stateWords = signIn ? "sign-in required" : state.replace("-", " ");
    const words = attempt > 1 ? `${stateWords} · attempt ${attempt}` : stateWords;
    const failed = state === "failed" || state === "rejected";
    this.#find("task-state").dataset.state = state;
    setText(this.#find("task-state"), words);
    setText(this.#find("task-title"), title || "Task");
    document.title = `${stateWords} · ${title || "Task"} · Tailrace`;
    const ready = state === "completed" && this.#task.report.text ? " The report is ready." : "";
    announce((stateChanged && ANNOUNCEMENTS[state]) || `Task ${words}.${ready}`);
    this.#questions.draw(message, questions);
    setText(this.#find("failure-text"), message || "No reason was given.");
    this.#setVisible({
      reply: state === "input-required",
      failure: failed,
      cancel: !isFinished(state),
      "goes-on": isRunning(state),
    });
    if (title) rememberTitle(this.#id, title);
  }

  #drawPill() {
    const connection = this.#pill.draw(this.#stream, this.#task.state === "input-required");
    const before = this.#drawn.pill;
    if (connection === before) return;
    this.#drawn.pill = this.#find("race").dataset.state = connection;
    if (connection === "reconnecting") announce("The connection was lost. Reconnecting.");
    if (connection === "live" && before === "reconnecting") announce("Live again.");
  }

  #drawRefusal() {
    const { status, title, detail } = this.#stream.refusal;
    const [heading, reason] =
      status === 404
        ? ["This task does not exist", "It was never created, it belongs to somebody else, or it has expired."]
        : ["This task cannot be shown", detail || title || `The gateway answered ${status}.`];
    this.#setVisible({ task: false, cancel: false, "copy-link": false, "goes-on": false, unknown: true });
    setText(this.#find("unknown-title"), heading);
    setText(this.#find("unknown-text"), reason);
    announce(heading);
  }

  /** Draw what changes with time, without an event. */
  #tick() {
    this.#drawPill();
    const { start, end, state } = this.#task;
    if (!this.#ready || start === null) return;
    setText(this.#find("elapsed"), duration((end ?? this.#now()) - start));
    this.#timeline.tick(this.#now());
    const quiet = isRunning(state) && this.#stream.state === "live" ? Date.now() - this.#lastEventAt : 0;
    setText(this.#find("quiet"), quiet > QUIET_AFTER ? `no event for ${Math.floor(quiet / 1000)} s` : "");
  }

  /** The server's time while the task runs, else the time of the newest event. In ms since the epoch. */
  #now() {
    const { state, updatedAt } = this.#task;
    return isRunning(state) && this.#stream.state !== "lost" ? Math.max(this.#clock.now(), updatedAt) : updatedAt;
  }

  #handleEnd() {
    this.#show();
    if (isFinished(this.#task.state)) {
      this.#stream.close();
      drawRecentTasks(this.#id);
    } else if (this.#reopenings) {
      this.#reopenings -= 1;
      setTimeout(() => this.#reopen(), REOPEN_INTERVAL);
    }
  }

  #reopen() {
    if (!this.#closed && this.#stream.state === "ended") this.#stream.open();
  }

  async #reply() {
    const send = this.#find("reply-send");
    if (send.disabled) return;
    send.disabled = true;
    try {
      this.#inputs.clearNotice();
      const parts = await this.#partsOfReply();
      if (!parts) return;
      await reply(this.#id, { parts });
      this.#inputs.clear();
      this.#reopenings = REOPENINGS;
      this.#reopen();
    } catch (/** @type {any} */ error) {
      this.#inputs.refuse(error.message);
      this.#catchUpAfter(error);
    } finally {
      send.disabled = false;
    }
  }

  async #partsOfReply() {
    if (!this.#questions.several) return this.#inputs.parts();
    const part = this.#questions.part();
    return part ? [part] : this.#inputs.refuse("Answer a question.");
  }

  async #cancel() {
    if (document.activeElement === this.#find("cancel")) this.focus(); // a disabled button loses the focus
    this.#setCanceling(true); // until the log says CANCELED
    try {
      await cancelTask(this.#id);
      this.#note(""); // an earlier refusal
      this.#reopen();
    } catch (/** @type {any} */ error) {
      this.#setCanceling(false);
      this.#note(error.message);
      this.#catchUpAfter(error);
    }
  }

  /** A conflict means that the task's state is not the one on the page. */
  #catchUpAfter({ status }) {
    if (status === 409) this.#reopen();
  }

  #setCanceling(canceling) {
    this.#find("cancel").disabled = canceling;
    setText(this.#find("cancel"), canceling ? "Canceling …" : "Cancel");
  }

  #note(sentence) {
    setText(this.#find("stream-note"), sentence);
  }

  /** Show and hide elements by id. The focus leaves what is hidden. */
  #setVisible(visibility) {
    for (const [id, visible] of Object.entries(visibility)) {
      const element = this.#find(id);
      const losesFocus = !visible && element.contains(document.activeElement);
      element.hidden = !visible;
      if (losesFocus) this.focus();
    }
  }
}

async function copyLink(button) {
  const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
  setText(button, copied ? "Copied" : "Copy it from the address bar");
  setTimeout(() => setText(button, "Copy link"), 2_000);
}
