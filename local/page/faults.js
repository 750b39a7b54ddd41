/**
 * What `make run` adds to the page: three buttons that break something, and what each fault cost, counted from what came
 * over the wire. It is never deployed.
 *
 * A run may finish before somebody finds the button. Then the button sends the same request again, and breaks the new
 * run as soon as one of its nodes has begun.
 */

import { createTask, getTask, post } from "../api.js";
import { byId, h, setText } from "../dom.js";
import { countsBetween } from "../event-stream.js";
import { count, duration, recoveryCounts } from "../format.js";
import { isFinished } from "../task-state.js";
import { extras } from "../watch.js";
import { SecondViewer } from "./second-viewer.js";

const CUT = 1_500; // ms: long enough to be seen

/**
 * @typedef {object} Kill a worker that was killed, while nobody has taken over yet
 * @property {number} at ms since the epoch
 * @property {import("../event-stream.js").Applied} before what the page had applied
 * @property {number} attempt
 * @property {number} superseded
 */

class Faults {
  #id = "";
  /** @type {any} */ #stream;
  /** @type {any} */ #task;
  /** A connection that was dropped and is not back. @type {{at: number, before: any} | null} */ #drop = null;
  /** @type {Kill | null} */ #kill = null;
  /** The run to break. @type {{id: string, breakIt: () => void, button: any} | null} */ #rerun = null;
  #resending = ""; // id of the task whose request is sent again
  /** @type {SecondViewer | null} */ #viewer = null;
  #dropButton = button("", () => this.#whileRunning("drop", () => this.#dropConnection()));
  #killButton = button("", () => this.#whileRunning("kill", () => this.#killWorker()));
  #viewerButton = button("Open a second viewer", () => this.#toggleViewer());
  #lines = { drop: h("p"), kill: h("p"), viewer: h("p") };
  #viewerPane = h("div");
  #bar = h(
    "section.faults",
    { "aria-label": "Break it" },
    h("div.faults-row", h("h2", "Break it"), this.#dropButton, this.#killButton, this.#viewerButton),
    h("div", { role: "status" }, ...Object.values(this.#lines)),
  );

  /** Called at every drawing of the view. */
  draw(id, stream, task) {
    if (stream !== this.#stream) this.#reset(id, stream, task);
    const finished = isFinished(task.state);
    setText(this.#dropButton, finished ? "Run again, drop my connection" : "Drop my connection");
    setText(this.#killButton, finished ? "Run again, kill the worker" : "Kill the worker");
    if (this.#rerun?.id === id && hasNode(task)) {
      this.#rerun.breakIt();
      this.#rerun = null;
    }
    if (this.#drop && stream.downSince === null) this.#reportDrop(this.#drop);
    if (this.#kill && (finished || task.attempt > this.#kill.attempt)) this.#reportKill(this.#kill, finished);
    this.#viewer?.compare();
  }

  #reset(id, stream, task) {
    this.#id = id;
    this.#stream = stream;
    this.#task = task;
    this.#drop = this.#kill = null;
    if (this.#viewer) this.#toggleViewer();
    for (const line of Object.values(this.#lines)) setText(line, "");
    byId("task").prepend(this.#bar);
    byId("timeline").closest(".steps").prepend(this.#viewerPane);
    if (this.#rerun?.id === id) this.#rerun.button.focus({ preventScroll: true });
    else this.#rerun = null; // the user went to another task: nothing is broken there
  }

  /** Break the run on the page, or if it is finished, a new run of the same request. */
  async #whileRunning(about, breakIt) {
    if (!isFinished(this.#task.state)) return breakIt();
    const finishedId = this.#id;
    if (this.#resending === finishedId) return; // a second click begins no second run
    this.#resending = finishedId;
    try {
      const { history: messages } = await getTask(finishedId);
      const { id } = await createTask({ parts: messages[0].parts });
      if (finishedId !== this.#id) return;
      this.#rerun = { id, breakIt, button: about === "drop" ? this.#dropButton : this.#killButton };
      history.pushState(null, "", `?task=${id}`);
      dispatchEvent(new PopStateEvent("popstate"));
    } catch (/** @type {any} */ error) {
      if (finishedId === this.#id) this.#report(about, `The task was not run again. ${error.message}`);
    } finally {
      this.#resending = "";
    }
  }

  #dropConnection() {
    const { state, applied, cursor } = this.#stream;
    if (state !== "live" && state !== "catching-up") return this.#report("drop", "There is no connection to drop now.");
    this.#drop = { at: Date.now(), before: { ...applied } };
    this.#stream.cut(CUT);
    this.#report("drop", `Connection dropped after seq ${cursor} …`);
  }

  #reportDrop({ at, before }) {
    this.#drop = null;
    setText(byId("stream-note"), ""); // the view's own sentence on the same cut
    const counts = recoveryCounts(countsBetween(before, this.#stream.applied));
    this.#report("drop", `Connection dropped for ${duration(Date.now() - at)}: ${counts}.`);
  }

  async #killWorker() {
    if (this.#kill) return;
    const id = this.#id;
    const killed = await post(`api/local/tasks/${id}/kill`, "{}").catch((error) => ({ error }));
    if (id !== this.#id) return;
    const { error, agent, pid, attempt, leaseMs } = killed;
    if (error) return this.#report("kill", `No worker was killed. ${error.detail ?? error.message}`);
    this.#kill = { at: Date.now(), before: { ...this.#stream.applied }, attempt, superseded: this.#task.counts.superseded };
    const lease = duration(leaseMs);
    this.#report("kill", `${agent}, process ${pid}, was killed. Its lease runs out in ${lease}; then another process takes over …`);
  }

  /** Every event that the page had of the killed worker is one that its successor recovered. @param {Kill} kill */
  #reportKill({ at, before, attempt, superseded }, finished) {
    this.#kill = null;
    const after = duration(Date.now() - at);
    const steps = this.#task.counts.superseded - superseded;
    const outcome =
      finished && this.#task.attempt === attempt
        ? `it had already written the last event, and the task was ${this.#task.state} after ${after}`
        : `attempt ${this.#task.attempt} took over after ${after}, ${stepsRun(steps)} again`;
    const counts = { ...countsBetween(before, this.#stream.applied), recovered: before.count };
    this.#report("kill", `Worker killed: ${outcome}. ${recoveryCounts(counts)}.`);
  }

  #toggleViewer() {
    if (this.#viewer) {
      this.#viewer.close();
      this.#viewer = null;
      this.#report("viewer", "");
    } else {
      this.#viewer = new SecondViewer(this.#id, this.#task, (sentence) => this.#report("viewer", sentence));
    }
    this.#viewerPane.replaceChildren(...(this.#viewer ? [this.#viewer.pane] : []));
    setText(this.#viewerButton, this.#viewer ? "Close the second viewer" : "Open a second viewer");
  }

  /** @param {"drop" | "kill" | "viewer"} about @param {string} sentence */
  #report(about, sentence) {
    setText(this.#lines[about], sentence);
  }
}

function hasNode(task) {
  for (const { kind } of task.steps.values()) if (kind === "node") return true;
  return false;
}

const stepsRun = (n) => (n === 1 ? "1 step runs" : `${n ? count(n) : "no"} steps run`);

/** @param {string} label @param {() => void} onclick */
function button(label, onclick) {
  return h("button.button", { type: "button", onclick }, label);
}

const faults = new Faults();
extras.push((id, stream, task) => faults.draw(id, stream, task));
