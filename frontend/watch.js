/**
 * The second view: one task, from its log and then live. Each view is made anew from the page's template
 * and from the events of its own task, so that nothing of another task can be in it. What comes late for
 * a view that was closed finds elements that are no longer in the page.
 *
 * Events are applied as they come and painted once per frame; what a permalink replays is waited for
 * (1.5 s at most), so that nothing flashes by.
 */

import { cancelTask, reply, streamUrl } from "./api.js";
import { ConnectionPill } from "./connection-pill.js";
import { announce, byId, on, setText } from "./dom.js";
import { EventStream } from "./event-stream.js";
import { FindingsView } from "./findings-view.js";
import { drawRecent, remember } from "./home.js";
import { Inputs } from "./inputs.js";
import { RawEvents } from "./raw-events.js";
import { ReportView } from "./report-view.js";
import { apply, isFinished, metaOf, newTask } from "./task-state.js";
import { ServerClock, duration } from "./time.js";
import { TurnsView } from "./turns-view.js";

const BACKLOG_PATIENCE = 1_500;
const TICK = 100;
const QUIET_AFTER = 10_000; // say so when nothing has come for longer

const SENTENCES = {
  working: "The agents are working.",
  "input-required": "The agents have a question.",
};

/** What `make run` adds to the page: called with the view at every paint. */
export const extras = [];

export class Watch {
  #id;
  #task = newTask();
  #clock = new ServerClock();
  #view = document.importNode(byId("watch-view").content, true).firstElementChild;
  #timeline = this.#at("timeline");
  #turns = new TurnsView(this.#at("turns"));
  #findings = new FindingsView(this.#view);
  #report;
  #raw = new RawEvents(this.#view);
  #inputs;
  #pill;
  #stream;
  #closed = false;
  #ready = false; // the backlog is in, or has been waited for long enough
  #frame = 0;
  #ticker;
  #patience;
  #heard = Date.now();
  #drawn = { state: "", message: "", attempt: 1, pill: "", title: "" };
  #looks = 0; // after a reply: how often to look again while the log still ends with the question

  constructor(id) {
    this.#id = id;
    byId("home").after(this.#view);
    document.title = "Task · Tailrace";
    this.#report = new ReportView(this.#view);
    this.#stream = new EventStream((cursor) => streamUrl(id, cursor), {
      event: (event) => this.#apply(event),
      sync: () => this.#show(),
      gap: ({ from, to }) => this.#note(`Events ${from} to ${to} are not in the log any more.`),
      end: () => this.#ended(),
      recovered: ({ ms, cost }) => ms > 1_000 && this.#note(`Cut for ${duration(ms)}: ${cost}.`),
      change: () => this.#schedule(),
    });
    Object.assign(window, { tailrace: { applied: this.#stream.applied } });
    this.#pill = new ConnectionPill(this.#at("pill"), this.#at("try-now"), () => this.#stream.retryNow());
    const form = this.#at("reply");
    this.#inputs = new Inputs(form, () => form.requestSubmit());
    on(form, "submit", (event) => {
      event.preventDefault();
      this.#reply();
    });
    on(this.#at("cancel"), "click", () => this.#cancel());
    on(this.#at("copy-link"), "click", () => copyLink(this.#at("copy-link")));
    setText(this.#at("curl"), `curl -N ${new URL(streamUrl(id, 0), location.href)}`);
    this.#stream.open();
    this.#ticker = setInterval(() => this.#tick(), TICK);
    this.#patience = setTimeout(() => this.#task.seq && this.#show(), BACKLOG_PATIENCE);
  }

  /** Take the view out of the page; what is still on its way to it changes nothing. */
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

  /** Put the keyboard where the view begins. */
  focus() {
    this.#at("task-title").focus({ preventScroll: true });
  }

  #at(id) {
    return byId(id, this.#view);
  }

  #apply({ seq, result, text, live }) {
    const { ts, kind = "", agent = "" } = metaOf(result);
    this.#heard = Date.now();
    this.#looks = 0;
    this.#raw.push({ seq, kind, agent, text });
    this.#schedule();
    apply(this.#task, seq, result);
    if (ts) this.#clock.hear(ts, live);
  }

  #show() {
    if (this.#ready) return;
    this.#ready = true;
    // On a narrow page, who opens a finished task wants its report first and its history below.
    this.#at("task").classList.toggle("replayed", isFinished(this.#task.state));
    this.#schedule();
  }

  #schedule() {
    if (this.#frame) return;
    const paint = () => {
      this.#frame = 0;
      if (!this.#closed) this.#paint();
    };
    // A hidden tab has no frames, but its title should still be true.
    this.#frame = document.hidden ? window.setTimeout(paint, 1_000) : requestAnimationFrame(paint);
  }

  #paint() {
    this.#tick();
    const { seq, state, turns, findings, report } = this.#task;
    if (this.#stream.state === "lost" && !seq) return this.#drawUnknown();
    if (!this.#ready) return;
    this.#at("task").hidden = false;
    setText(this.#at("last-seq"), String(seq));
    this.#timeline.draw(this.#task, this.#now());
    this.#drawState();
    // The open question stands above the box for its answer.
    const open = state === "input-required" && turns.at(-1)?.by === "Agents";
    this.#turns.draw(open ? turns.slice(0, -1) : turns);
    this.#findings.draw(findings);
    this.#report.draw(report, {
      writing: this.#running() && !report.done,
      live: this.#stream.state === "live",
      ended: isFinished(state),
    });
    this.#raw.draw();
    for (const draw of extras) draw(this.#id, this.#stream, this.#task, this.#now());
  }

  #drawState() {
    const { state, message, attempt, title } = this.#task;
    const { state: before, message: said, attempt: counted, title: called } = this.#drawn;
    if (state === before && message === said && attempt === counted && title === called) return;
    Object.assign(this.#drawn, { state, message, attempt, title });
    const words = state.replace("-", " ");
    const asks = state === "input-required";
    const failed = state === "failed" || state === "rejected";
    this.#at("task-state").dataset.state = state;
    const told = attempt > 1 ? `${words} · attempt ${attempt}` : words;
    setText(this.#at("task-state"), told);
    setText(this.#at("task-title"), title || "Task");
    document.title = `${words} · ${title || "Task"} · Tailrace`;
    const ready = state === "completed" && this.#task.report.text ? " The report is ready." : "";
    announce((state !== before && SENTENCES[state]) || `Task ${told}.${ready}`);
    setText(this.#at("question"), message || "The agents need more to go on.");
    setText(this.#at("failure-text"), message || "No reason was given.");
    this.#reveal({ reply: asks, failure: failed, cancel: !isFinished(state), "goes-on": this.#running() });
    if (title) remember(this.#id, title);
  }

  #drawPill() {
    const kind = this.#pill.draw(this.#stream, this.#task.state === "input-required");
    const before = this.#drawn.pill;
    if (kind === before) return;
    this.#drawn.pill = this.#at("race").dataset.state = kind;
    if (kind === "reconnecting") announce("The connection was cut. Reconnecting.");
    if (kind === "live" && before === "reconnecting") announce("Live again.");
  }

  #drawUnknown() {
    const { status, title, detail } = this.#stream.lost;
    const [what, why] =
      status === 404
        ? ["There is no such task here", "It was never made, it is somebody else's, or its time to live is over."]
        : ["This task cannot be shown", detail || title || `The gateway's answer was ${status}.`];
    this.#reveal({ task: false, cancel: false, "copy-link": false, "goes-on": false, unknown: true });
    setText(this.#at("unknown-title"), what);
    setText(this.#at("unknown-text"), why);
    announce(what);
  }

  /** What moves with time and not with events. */
  #tick() {
    this.#drawPill();
    const { start, end } = this.#task;
    if (!this.#ready || start === null) return;
    setText(this.#at("elapsed"), duration((end ?? this.#now()) - start));
    this.#timeline.tick(this.#now());
    const quiet = this.#running() && this.#stream.state === "live" ? Date.now() - this.#heard : 0;
    setText(this.#at("quiet"), quiet > QUIET_AFTER ? `quiet for ${Math.floor(quiet / 1000)} s` : "");
  }

  #running() {
    return this.#task.state === "working" || this.#task.state === "submitted";
  }

  /** The server's time while something runs there, else the newest event's. */
  #now() {
    const { ts } = this.#task;
    return this.#running() && this.#stream.state !== "lost" ? Math.max(this.#clock.now(), ts) : ts;
  }

  #ended() {
    this.#show();
    if (isFinished(this.#task.state)) {
      this.#stream.close();
      drawRecent(this.#id);
    } else if (this.#looks) {
      this.#looks -= 1;
      setTimeout(() => this.#lookAgain(), 500);
    }
  }

  #lookAgain() {
    if (!this.#closed && this.#stream.state === "ended") this.#stream.open();
  }

  async #reply() {
    const send = this.#at("reply-send");
    if (send.disabled) return;
    send.disabled = true;
    try {
      this.#inputs.forget();
      const parts = await this.#inputs.parts();
      if (!parts) return;
      await reply(this.#id, { parts });
      this.#inputs.clear();
      this.#looks = 20;
      this.#lookAgain();
    } catch (error) {
      this.#inputs.refuse(error.message);
      this.#correct(error);
    } finally {
      send.disabled = false;
    }
  }

  async #cancel() {
    if (document.activeElement === this.#at("cancel")) this.focus(); // a disabled button keeps no focus
    this.#canceling(true); // until the log says CANCELED: asked for is not done
    try {
      await cancelTask(this.#id);
      this.#note(""); // what was refused before
      this.#lookAgain();
    } catch (error) {
      this.#canceling(false);
      this.#note(error.message);
      this.#correct(error);
    }
  }

  /** A refusal for the task's state: it is another than what is shown here. */
  #correct({ status }) {
    if (status === 409) this.#lookAgain();
  }

  #canceling(yes) {
    this.#at("cancel").disabled = yes;
    setText(this.#at("cancel"), yes ? "Canceling…" : "Cancel");
  }

  #note(sentence) {
    setText(this.#at("stream-note"), sentence);
  }

  /** Ids, and whether each is to be seen. The keyboard does not stay in what is hidden. */
  #reveal(shown) {
    for (const [id, visible] of Object.entries(shown)) {
      const element = this.#at(id);
      const left = !visible && element.contains(document.activeElement);
      element.hidden = !visible;
      if (left) this.focus();
    }
  }
}

async function copyLink(button) {
  const done = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
  setText(button, done ? "Copied" : "Copy it from the address bar");
  setTimeout(() => setText(button, "Copy link"), 2_000);
}
