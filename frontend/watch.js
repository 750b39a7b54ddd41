/**
 * The second view: one task, from its log and then live. Events are applied as they come and painted
 * once per frame; what a permalink replays is waited for (1.5 s at most), so that nothing flashes by.
 */

import { cancelTask, reply, streamUrl } from "./api.js";
import { ConnectionPill } from "./connection-pill.js";
import { announce, byId, h, setText } from "./dom.js";
import { EventStream } from "./event-stream.js";
import { drawFindings } from "./findings-view.js";
import { drawRecent, remember } from "./home.js";
import { Inputs } from "./inputs.js";
import { RawEvents } from "./raw-events.js";
import { ReportView } from "./report-view.js";
import { apply, isFinished, metaOf, newTask } from "./task-state.js";
import { ServerClock, bytes, duration } from "./time.js";

const BACKLOG_PATIENCE = 1_500;
const TICK = 100;
const QUIET_AFTER = 10_000; // say so when nothing has come for longer
const MOST_TEXT = 5_000; // of a request

const SENTENCES = {
  working: "The agents are working.",
  "input-required": "The agents have a question.",
  completed: "Task completed. The report is ready.",
};

/** The reply card is one element, whichever task it is for. @type {any} */
let inputs;

/** What `make run` adds to the page: called with the view at every paint. */
export const extras = [];

export class Watch {
  #id;
  #task = newTask();
  #clock = new ServerClock();
  #timeline = byId("timeline");
  #report = new ReportView();
  #raw = new RawEvents();
  #pill;
  #stream;
  #ready = false; // the backlog is in, or has been waited for long enough
  #frame = 0;
  #ticker;
  #heard = Date.now();
  #drawn = { findings: this.#task.findings, turns: 0, state: "", attempt: 1, pill: "" };
  #looks = 0; // after a reply: how often to look again while the log still ends with the question

  constructor(id) {
    this.#id = id;
    this.#stream = new EventStream((cursor) => streamUrl(id, cursor), {
      event: (event) => this.#apply(event),
      sync: () => this.#show(),
      gap: ({ from, to }) => this.#note(`Events ${from} to ${to} are not in the log any more.`),
      end: () => this.#ended(),
      recovered: ({ ms, cost }) => ms > 1_000 && this.#note(`Cut for ${duration(ms)}: ${cost}.`),
      change: () => this.#schedule(),
    });
    Object.assign(window, { tailrace: { applied: this.#stream.applied } });
    this.#pill = new ConnectionPill(byId("pill"), byId("try-now"), () => this.#stream.retryNow());
    inputs ??= new Inputs(byId("reply"), () => byId("reply").requestSubmit());
    byId("reply").onsubmit = (event) => {
      event.preventDefault();
      this.#reply();
    };
    byId("cancel").onclick = () => this.#cancel();
    byId("copy-link").onclick = copyLink;
    setText(byId("curl"), `curl -N ${new URL(streamUrl(id, 0), location.href)}`);
    this.#blank();
    this.#stream.open();
    this.#ticker = setInterval(() => this.#tick(), TICK);
    setTimeout(() => this.#task.seq && this.#show(), BACKLOG_PATIENCE);
  }

  close() {
    this.#id = "";
    this.#stream.close();
    this.#report.close();
    this.#raw.close();
    clearInterval(this.#ticker);
  }

  #apply({ seq, result, text, live }) {
    const { ts, kind = "", agent = "" } = metaOf(result);
    apply(this.#task, seq, result);
    if (ts) this.#clock.hear(ts, live);
    this.#heard = Date.now();
    this.#looks = 0;
    this.#raw.push({ seq, kind, agent, text });
    this.#schedule();
  }

  #show() {
    if (this.#ready) return;
    this.#ready = true;
    // On a narrow page, who opens a finished task wants its report first and its history below.
    byId("task").classList.toggle("replayed", isFinished(this.#task.state));
    this.#schedule();
  }

  #schedule() {
    if (this.#frame) return;
    const paint = () => {
      this.#frame = 0;
      if (this.#id) this.#paint();
    };
    // A hidden tab has no frames, but its title should still be true.
    this.#frame = document.hidden ? window.setTimeout(paint, 1_000) : requestAnimationFrame(paint);
  }

  #paint() {
    this.#tick();
    const { seq, state, attempt, turns, findings, report, reportDone } = this.#task;
    if (this.#stream.state === "lost" && !seq) return this.#drawUnknown();
    if (!this.#ready) return;
    byId("task").hidden = false;
    setText(byId("last-seq"), String(seq));
    this.#timeline.draw(this.#task, this.#now());
    if (this.#drawn.state !== state || this.#drawn.attempt !== attempt) this.#drawState();
    if (this.#drawn.turns !== turns.length) this.#drawTurns();
    if (this.#drawn.findings !== findings) drawFindings((this.#drawn.findings = findings));
    this.#report.draw(report, {
      writing: this.#running() && !reportDone,
      live: this.#stream.state === "live",
      ended: isFinished(state),
    });
    this.#raw.draw();
    for (const draw of extras) draw(this.#id, this.#stream, this.#task, this.#now());
  }

  #drawState() {
    const { state, message, attempt, title } = this.#task;
    const entered = this.#drawn.state !== state;
    Object.assign(this.#drawn, { state, attempt });
    const words = state.replace("-", " ");
    const asks = state === "input-required";
    const failed = state === "failed" || state === "rejected";
    byId("task-state").dataset.state = state;
    const told = attempt > 1 ? `${words} · attempt ${attempt}` : words;
    setText(byId("task-state"), told);
    setText(byId("task-title"), title || "Task");
    document.title = `${words} · ${title || "Task"} · Tailrace`;
    announce((entered && SENTENCES[state]) || `Task ${told}.`);
    setText(byId("question"), message || "The agents need more to go on.");
    setText(byId("failure-text"), message || "No reason was given.");
    reveal({ reply: asks, failure: failed, cancel: !isFinished(state), "goes-on": this.#running() });
  }

  #drawTurns() {
    const { turns, title } = this.#task;
    this.#drawn.turns = turns.length;
    remember(this.#id, title);
    const files = turns.flatMap((turn) => turn.files).length;
    setText(byId("request-sum"), files ? `Request, with ${files} ${files === 1 ? "file" : "files"}` : "Request");
    const sent = ({ filename, bytes: size }) => h("p.sent-file", h("code", filename), ` ${bytes(size)}`);
    byId("request-turns").replaceChildren(
      ...turns.map(({ by, text, files }) => h("li", h("b", by), h("p", text.slice(0, MOST_TEXT)), ...files.map(sent))),
    );
  }

  #drawPill() {
    const kind = this.#pill.draw(this.#stream, this.#task.state === "input-required");
    const before = this.#drawn.pill;
    if (kind === before) return;
    this.#drawn.pill = byId("race").dataset.state = kind;
    if (kind === "reconnecting") announce("The connection was cut. Reconnecting.");
    if (kind === "live" && before === "reconnecting") announce("Live again.");
  }

  #drawUnknown() {
    const { status, title, detail } = this.#stream.lost;
    const [what, why] =
      status === 404
        ? ["There is no such task here", "It was never made, it is somebody else's, or its time to live is over."]
        : ["This task cannot be shown", detail || title];
    reveal({ task: false, cancel: false, "copy-link": false, "goes-on": false, unknown: true });
    setText(byId("unknown-title"), what);
    setText(byId("unknown-text"), why);
    announce(what);
  }

  /** What moves with time and not with events. */
  #tick() {
    this.#drawPill();
    const { start, end } = this.#task;
    if (!this.#ready || start === null) return;
    setText(byId("elapsed"), duration((end ?? this.#now()) - start));
    this.#timeline.tick(this.#now());
    const quiet = this.#running() && this.#stream.state === "live" ? Date.now() - this.#heard : 0;
    setText(byId("quiet"), quiet > QUIET_AFTER ? `quiet for ${Math.floor(quiet / 1000)} s` : "");
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
    if (this.#id && this.#stream.state === "ended") this.#stream.open();
  }

  async #reply() {
    const parts = await inputs.parts();
    if (!parts) return;
    byId("reply-send").disabled = true;
    try {
      await reply(this.#id, { parts });
      inputs.clear();
      this.#looks = 20;
      this.#lookAgain();
    } catch (error) {
      inputs.refuse(error.message);
    }
    byId("reply-send").disabled = false;
  }

  async #cancel() {
    this.#canceling(true); // until the log says CANCELED: asked for is not done
    try {
      await cancelTask(this.#id);
      this.#lookAgain();
    } catch (error) {
      this.#canceling(false);
      this.#note(error.message);
    }
  }

  #canceling(yes) {
    byId("cancel").disabled = yes;
    setText(byId("cancel"), yes ? "Canceling…" : "Cancel");
  }

  #note(sentence) {
    setText(byId("stream-note"), sentence);
  }

  /** As if no task had been here before. */
  #blank() {
    reveal({ task: false, unknown: false, cancel: true, "copy-link": true, "goes-on": true });
    for (const id of ["task-state", "quiet", "stream-note", "elapsed"]) setText(byId(id), "");
    setText(byId("task-title"), "Task");
    setText(byId("last-seq"), "0");
    this.#canceling(false);
    delete byId("pill").dataset.state;
    document.title = "Task · Tailrace";
    inputs.clear();
    drawFindings([]);
  }
}

/** Ids, and whether each is to be seen. */
function reveal(shown) {
  for (const [id, visible] of Object.entries(shown)) byId(id).hidden = !visible;
}

async function copyLink() {
  const done = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
  setText(byId("copy-link"), done ? "Copied" : "Copy it from the address bar");
  setTimeout(() => setText(byId("copy-link"), "Copy link"), 2_000);
}
