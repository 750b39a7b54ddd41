/**
 * What a page of `make run` has besides: three buttons that break things, and what each of them cost,
 * counted from what came over the wire. Never deployed.
 *
 * A run may be over before a hand has found its button. So what needs a run, once it is over, sends the
 * same request again and breaks that, as soon as a step of it has begun.
 */

import { createTask, getTask, post, streamUrl } from "../api.js";
import { ConnectionPill } from "../connection-pill.js";
import { byId, h, setText } from "../dom.js";
import { EventStream, cost } from "../event-stream.js";
import { apply, isFinished, newTask } from "../task-state.js";
import { count, duration } from "../time.js";
import { extras } from "../watch.js";

const CUT = 1_500; // ms: long enough to be seen

class Faults {
  #id = "";
  /** @type {EventStream} */ #stream;
  /** @type {import("../task-state.js").Task} */ #task;
  /** Cut and not back yet. @type {{at: number, before: any} | null} */ #dropped = null;
  /** Killed and not taken over yet. @type {{at: number, before: any, attempt: number, dead: number} | null} */
  #killed = null;
  /** Sent again, to be broken. @type {{id: string, breaks: () => void, button: any} | null} */ #again = null;
  #sending = ""; // the task that is being sent again
  /** @type {SecondViewer | null} */ #second = null;
  #drop = button("", () => this.#whileItRuns("drop", () => this.#dropConnection()));
  #kill = button("", () => this.#whileItRuns("kill", () => this.#killWorker()));
  #open = button("Open a second viewer", () => this.#toggleViewer());
  #lines = { drop: h("p"), kill: h("p"), open: h("p") };
  #said = h("div", { role: "status" }, ...Object.values(this.#lines));
  #pane = h("div");
  #bar;

  constructor() {
    const buttons = h("div.faults-row", h("h2", "Break it"), this.#drop, this.#kill, this.#open);
    this.#bar = h("section.faults", { "aria-label": "Break it" }, buttons, this.#said);
  }

  /** Called at every paint of the view. */
  draw(id, stream, task, now) {
    if (stream !== this.#stream) this.#reset(id, stream, task);
    const finished = isFinished(task.state);
    setText(this.#drop, finished ? "Run again, drop my connection" : "Drop my connection");
    setText(this.#kill, finished ? "Run again, kill the worker" : "Kill the worker");
    if (this.#again?.id === id && begun(task)) {
      this.#again.breaks();
      this.#again = null;
    }
    if (this.#dropped && stream.downSince === null) this.#cameBack(this.#dropped);
    if (this.#killed && (finished || task.attempt > this.#killed.attempt)) this.#wentOn(this.#killed, finished);
    if (this.#second) this.#second.now = now;
  }

  #reset(id, stream, task) {
    this.#id = id;
    this.#stream = stream;
    this.#task = task;
    this.#dropped = this.#killed = null;
    if (this.#second) this.#toggleViewer();
    for (const line of Object.values(this.#lines)) setText(line, "");
    // The view is another than the last one.
    byId("task").prepend(this.#bar);
    byId("timeline").closest(".steps").prepend(this.#pane);
    if (this.#again?.id === id) this.#again.button.focus({ preventScroll: true });
    else this.#again = null; // who went elsewhere breaks nothing there
  }

  async #whileItRuns(about, breaks) {
    if (!isFinished(this.#task.state)) return breaks();
    const before = this.#id;
    if (this.#sending === before) return; // one click, one run
    this.#sending = before;
    try {
      const { history } = await getTask(before);
      const { id } = await createTask({ parts: history[0].parts });
      if (before !== this.#id) return;
      this.#again = { id, breaks, button: about === "drop" ? this.#drop : this.#kill };
      window.history.pushState(null, "", `?task=${id}`);
      dispatchEvent(new PopStateEvent("popstate"));
    } catch (error) {
      if (before === this.#id) this.#say(about, `It was not run again. ${error.message}`);
    } finally {
      this.#sending = "";
    }
  }

  #dropConnection() {
    const { state, applied } = this.#stream;
    if (state !== "live" && state !== "catching-up") return this.#say("drop", "There is no connection to drop now.");
    this.#dropped = { at: Date.now(), before: { ...applied } };
    this.#stream.cut(CUT);
    this.#say("drop", `Connection dropped after seq ${applied.last} …`);
  }

  #cameBack({ at, before }) {
    this.#dropped = null;
    setText(byId("stream-note"), ""); // it says the same
    this.#say("drop", `Connection dropped for ${duration(Date.now() - at)}: ${cost(this.#stream.applied, before)}.`);
  }

  async #killWorker() {
    if (this.#killed) return;
    const id = this.#id;
    const told = await post(`api/local/tasks/${id}/kill`, "{}").catch((error) => error);
    if (id !== this.#id) return;
    if (told instanceof Error) return this.#say("kill", `Nobody was killed. ${told.detail ?? told.message}`);
    const { agent, pid, attempt, leaseMs } = told;
    this.#killed = { at: Date.now(), before: { ...this.#stream.applied }, attempt, dead: this.#task.dead };
    const wait = duration(leaseMs);
    this.#say("kill", `${agent}, process ${pid}, was killed. Its lease runs out in ${wait}; then another goes on …`);
  }

  /** What a new attempt goes on from, all that was seen of the dead one, is what was recovered. */
  #wentOn({ at, before, attempt, dead }, finished) {
    this.#killed = null;
    const { applied } = this.#stream;
    const after = duration(Date.now() - at);
    const again = this.#task.dead - dead;
    const what =
      finished && this.#task.attempt === attempt
        ? `the task was ${this.#task.state} ${after} later by what it had written`
        : `attempt ${this.#task.attempt} took over after ${after}, ${steps(again)} again`;
    const recovered = before.recovered + before.count;
    this.#say("kill", `Worker killed: ${what}. ${cost({ ...applied, recovered }, before)}.`);
  }

  #toggleViewer() {
    if (this.#second) {
      this.#second.close();
      this.#second = null;
      this.#say("open", "");
    } else {
      this.#second = new SecondViewer(this.#id, this.#task, (sentence) => this.#say("open", sentence));
    }
    this.#pane.replaceChildren(...(this.#second ? [this.#second.pane] : []));
    setText(this.#open, this.#second ? "Close the second viewer" : "Open a second viewer");
  }

  #say(about, sentence) {
    setText(this.#lines[about], sentence);
  }
}

/** Another reader of the same task, from cursor 0, on a stream of its own. */
class SecondViewer {
  #task = newTask();
  #first;
  #stream;
  #pill;
  #say;
  #came = ""; // what coming to where the first was has cost
  #compared = "";
  #timeline = /** @type {any} */ (document.createElement("progress-timeline"));
  #seq = h("b");
  #frame = 0;
  #now = 0;

  constructor(id, first, say) {
    this.#first = first;
    this.#say = say;
    const [pill, retry] = [h("span.pill"), h("button.link", { type: "button", hidden: true }, "try now")];
    this.#timeline.setAttribute("aria-label", "Timeline of the second viewer");
    const facts = h("div.facts", h("h2", "Second viewer"), pill, retry, h("span.fact", "seq ", this.#seq));
    this.pane = h("section.card.second", { "aria-label": "Second viewer" }, facts, this.#timeline);
    this.#stream = new EventStream((cursor) => streamUrl(id, cursor), {
      event: ({ seq, result }) => {
        apply(this.#task, seq, result);
        this.#schedule();
        this.#compare();
      },
      sync() {},
      gap() {},
      end: () => isFinished(this.#task.state) && this.#stream.close(),
      recovered: ({ ms, cost: paid }) => {
        this.#came ||= `${duration(ms)}: ${paid}`;
        this.#compare();
      },
      change: () => this.#schedule(),
    });
    this.#pill = new ConnectionPill(pill, retry, () => this.#stream.retryNow());
    // It has missed everything so far.
    this.#stream.downSince = Date.now();
    this.#stream.open();
  }

  /** The first view has painted: time goes on, and what both show may be the same now. */
  set now(now) {
    this.#now = now;
    this.#schedule();
    this.#compare();
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#pill.draw(this.#stream, this.#task.state === "input-required");
      setText(this.#seq, count(this.#task.seq));
      this.#timeline.draw(this.#task, this.#now);
    });
  }

  close() {
    this.#stream.close();
  }

  /** What both show, when both have come to the same seq: first when that happens, then at each change of state. */
  #compare() {
    const [mine, other] = [this.#task, this.#first];
    if (!this.#came || mine.seq !== other.seq || this.#compared === mine.state) return;
    this.#compared = mine.state;
    const verdict = shown(mine) === shown(other) ? "Both show the same" : "They show different things";
    this.#say(`Second viewer, caught up in ${this.#came}. ${verdict} at seq ${count(mine.seq)}.`);
  }
}

/** All that a view shows of a task, as text. */
const shown = ({ state, title, turns, report, findings, steps: rows }) =>
  JSON.stringify([state, title, turns, report, findings.list, [...rows.values()].map(plain)]);

function begun(task) {
  for (const { kind } of task.steps.values()) if (kind === "node") return true;
  return false;
}

const plain = ({ parent, children, waiting, ...own }) => ({ ...own, parent: parent?.id, children: children.length });

const steps = (n) => (n === 1 ? "1 step runs" : `${n ? count(n) : "no"} steps run`);

const button = (name, onclick) => h("button.button", { type: "button", onclick }, name);

const faults = new Faults();
extras.push((id, stream, task, now) => faults.draw(id, stream, task, now));
