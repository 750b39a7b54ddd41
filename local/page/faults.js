/**
 * What `make run` adds to the page: three buttons that break something, and what each fault cost, counted from what came
 * over the wire. It is never deployed.
 *
 * A run may finish before somebody finds the button. Then the button sends the same request again, and breaks the new
 * run as soon as one of its nodes has begun.
 */

import { createTask, post } from "../api.js";
import { h, setText } from "../dom.js";
import { countsBetween } from "../event-stream.js";
import { count, duration, plural, recoveryCounts } from "../format.js";
import { addressOf } from "../sidebar.js";
import { extras } from "../turn-view.js";
import { SecondViewer } from "./second-viewer.js";

// In ms.
const CUT = 1_500; // long enough to be seen
const COUNTDOWN_INTERVAL = 100;

/**
 * @typedef {import("../turn-view.js").TurnView} TurnView
 *
 * @typedef {object} Kill a worker that was killed, while nobody has taken over yet
 * @property {number} at ms since the epoch
 * @property {number} leaseMs for how long its lease holds after that
 * @property {import("../event-stream.js").Applied} before what the page had applied
 * @property {number} attempt
 * @property {number} superseded
 */

class Faults {
  /** The newest turn of the conversation on the page. @type {TurnView} */ #turn = /** @type {any} */ (null);
  /** A connection that was dropped and is not back. @type {{at: number, before: any} | null} */ #drop = null;
  /** @type {Kill | null} */ #kill = null;
  /** The run to break. @type {{id: string, breakIt: () => void, button: any} | null} */ #rerun = null;
  #resending = ""; // id of the task whose request is sent again
  /** @type {SecondViewer | null} */ #viewer = null;
  #countdown = 0;
  #dropButton = button("", () => this.#whileRunning("drop", () => this.#dropConnection()));
  #killButton = button("", () => this.#whileRunning("kill", () => this.#killWorker()));
  #viewerButton = button("Open a second viewer", () => this.#toggleViewer());
  #buttons = h("div.faults-row", this.#dropButton, this.#killButton, this.#viewerButton);
  #fold = button("Break it", () => this.#unfold(this.#buttons.hidden));
  #lines = { drop: h("p"), kill: h("p"), viewer: h("p") };
  #left = h("progress", { max: 1, value: 0, ariaLabel: "The killed worker's lease" });
  #leftWords = h("span", { role: "timer", "aria-live": "off" });
  #wait = h("p.faults-wait", { hidden: true }, this.#left, this.#leftWords);
  #viewerPane = h("div");
  #bar = h(
    "section.faults",
    { ariaLabel: "Break it" },
    h("div.faults-row", h("h2", this.#fold), this.#buttons),
    this.#wait,
    h("div", { role: "status" }, ...Object.values(this.#lines)),
  );

  constructor() {
    this.#unfold(matchMedia("(min-width: 40.01rem)").matches); // a phone has little room
  }

  /** @param {boolean} open */
  #unfold(open) {
    this.#buttons.hidden = !open;
    this.#fold.ariaExpanded = String(open);
  }

  /** Called at every drawing of a turn that has its events. @param {TurnView} turn */
  draw(turn) {
    if (turn.element.nextElementSibling || !turn.element.isConnected) return; // an earlier turn
    if (turn !== this.#turn) this.#reset(turn);
    const { id, finished, task, stream } = turn;
    setText(this.#dropButton, finished ? "Run again, drop my connection" : "Drop my connection");
    setText(this.#killButton, finished ? "Run again, kill the worker" : "Kill the worker");
    if (this.#rerun?.id === id && hasNode(task)) {
      this.#rerun.breakIt();
      this.#rerun = null;
    }
    if (this.#drop && stream?.downSince === null) this.#reportDrop(this.#drop);
    if (this.#kill && (finished || task.attempt > this.#kill.attempt)) this.#reportKill(this.#kill);
    this.#viewer?.compare();
  }

  #reset(turn) {
    this.#turn = turn;
    this.#drop = null;
    this.#setKill(null);
    if (this.#viewer) this.#toggleViewer();
    for (const line of Object.values(this.#lines)) setText(line, "");
    turn.status.element.parentElement.after(this.#bar);
    turn.element.querySelector(".work").before(this.#viewerPane);
    if (this.#rerun?.id === turn.id) this.#rerun.button.focus({ preventScroll: true });
    else this.#rerun = null; // the user went to another task: nothing is broken there
  }

  /** Break the run on the page, or if it is finished, a new run of the same request. */
  async #whileRunning(about, breakIt) {
    const turn = this.#turn;
    if (!turn.finished) return breakIt();
    if (this.#resending === turn.id) return; // a second click begins no second run
    this.#resending = turn.id;
    try {
      const { request, agent } = turn.task;
      const { id, contextId } = await createTask({ parts: request.parts }, agent);
      if (turn !== this.#turn) return;
      this.#rerun = { id, breakIt, button: about === "drop" ? this.#dropButton : this.#killButton };
      history.pushState(null, "", addressOf({ contextId, agent }));
      dispatchEvent(new PopStateEvent("popstate"));
    } catch (/** @type {any} */ error) {
      if (turn === this.#turn) this.#report(about, `The task was not run again. ${error.message}`);
    } finally {
      this.#resending = "";
    }
  }

  #dropConnection() {
    const stream = /** @type {import("../event-stream.js").EventStream} */ (this.#turn.stream);
    const { state, applied, cursor } = stream;
    if (state !== "live" && state !== "catching-up") return this.#report("drop", "There is no connection to drop now.");
    this.#drop = { at: Date.now(), before: { ...applied } };
    stream.cut(CUT);
    this.#report("drop", `Connection dropped after seq ${cursor} …`);
  }

  #reportDrop({ at, before }) {
    this.#drop = null;
    this.#turn.status.note(""); // the view's own sentence on the same cut
    const counts = recoveryCounts(countsBetween(before, this.#applied));
    this.#report("drop", `Connection dropped for ${duration(Date.now() - at)}: ${counts}.`);
  }

  get #applied() {
    return /** @type {any} */ (this.#turn.stream).applied;
  }

  async #killWorker() {
    if (this.#kill) return;
    const turn = this.#turn;
    const killed = await post(`api/local/tasks/${turn.id}/kill`, "{}").catch((error) => ({ error }));
    if (turn !== this.#turn) return;
    const { error, agent, pid, attempt, leaseMs } = killed;
    if (error) return this.#report("kill", `No worker was killed. ${error.detail ?? error.message}`);
    const { superseded } = turn.task.counts;
    this.#setKill({ at: Date.now(), leaseMs, before: { ...this.#applied }, attempt, superseded });
    this.#report("kill", `${agent}, process ${pid}, was killed. When its lease runs out, another process takes over …`);
  }

  /** @param {Kill | null} kill */
  #setKill(kill) {
    this.#kill = kill;
    clearInterval(this.#countdown);
    this.#wait.hidden = !kill;
    if (!kill) return;
    this.#drawCountdown(kill);
    this.#countdown = window.setInterval(() => this.#drawCountdown(kill), COUNTDOWN_INTERVAL);
  }

  /** @param {Kill} kill */
  #drawCountdown({ at, leaseMs }) {
    const left = Math.max(0, at + leaseMs - Date.now());
    this.#left.value = left / leaseMs;
    setText(this.#leftWords, left ? `takeover in ${(left / 1000).toFixed(1)} s` : "the lease has run out, takeover …");
  }

  /** Every event that the page had of the killed worker is one that its successor recovered. @param {Kill} kill */
  #reportKill({ at, before, attempt, superseded }) {
    this.#setKill(null);
    const { task, finished } = this.#turn;
    const after = duration(Date.now() - at);
    const outcome =
      finished && task.attempt === attempt
        ? `it had already written the last event, and the task was ${task.state} after ${after}`
        : `attempt ${task.attempt} took over after ${after}. ${kept(task)}, ${stepsRun(task.counts.superseded - superseded)} again`;
    const counts = { ...countsBetween(before, this.#applied), recovered: before.count };
    this.#report("kill", `Worker killed: ${outcome}. ${recoveryCounts(counts)}.`);
  }

  #toggleViewer() {
    if (this.#viewer) {
      this.#viewer.close();
      this.#viewer = null;
      this.#report("viewer", "");
    } else {
      this.#viewer = new SecondViewer(this.#turn, (sentence) => this.#report("viewer", sentence));
    }
    this.#viewerPane.replaceChildren(...(this.#viewer ? [this.#viewer.pane] : []));
    setText(this.#viewerButton, this.#viewer ? "Close the second viewer" : "Open a second viewer");
  }

  /** @param {"drop" | "kill" | "viewer"} about @param {string} sentence */
  #report(about, sentence) {
    setText(this.#lines[about], sentence);
  }
}

const isWork = ({ kind }) => kind === "node" || kind === "tool";

function hasNode(task) {
  for (const { kind } of task.steps.values()) if (kind === "node") return true;
  return false;
}

/** Kept: 5 finished steps and 1,204 characters of the answer */
function kept({ steps, answer }) {
  const finished = [...steps.values()].filter((step) => isWork(step) && step.state === "done").length;
  const written = answer?.text.length ?? 0;
  const parts = [plural(finished, "finished step"), written > 0 && `${plural(written, "character")} of the answer`];
  return `Kept: ${parts.filter(Boolean).join(" and ")}`;
}

const stepsRun = (n) => (n === 1 ? "1 step runs" : `${n ? count(n) : "no"} steps run`);

/** @param {string} label @param {() => void} onclick */
function button(label, onclick) {
  return h("button.button", { type: "button", onclick }, label);
}

const faults = new Faults();
extras.push((turn) => faults.draw(turn));
