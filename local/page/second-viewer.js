/** Another reader of the task on the page: from cursor 0, on a stream of its own, with its own timeline. */

import { streamUrl } from "../api.js";
import { ConnectionPill } from "../connection-pill.js";
import { h, setText } from "../dom.js";
import { EventStream } from "../event-stream.js";
import { count, duration, recoveryCounts } from "../format.js";
import { ServerClock } from "../server-clock.js";
import { applyEvent, isFinished, isRunning, metadataOf, newTask } from "../task-state.js";

const DRAWING_INTERVAL = 100; // ms

/** @typedef {import("../task-state.js").Task} Task */

export class SecondViewer {
  #task = newTask();
  #firstTask;
  #stream;
  #pill;
  #report;
  #caughtUp = ""; // how long it took, and what it cost
  #comparedState = "";
  #timeline = /** @type {any} */ (document.createElement("progress-timeline"));
  #seq = h("b");
  #clock = new ServerClock();
  #ticker = setInterval(() => this.#scheduleDrawing(), DRAWING_INTERVAL);
  #frame = 0;

  /**
   * @param {string} id of the task @param {Task} firstTask the model that the page shows
   * @param {(sentence: string) => void} report called with what the comparison says
   */
  constructor(id, firstTask, report) {
    this.#firstTask = firstTask;
    this.#report = report;
    const [pill, retry] = [h("span.pill"), h("button.link", { type: "button", hidden: true }, "Try now")];
    this.#timeline.setAttribute("aria-label", "Timeline of the second viewer");
    const facts = h("div.facts", h("h2", "Second viewer"), pill, retry, h("span.fact", "seq ", this.#seq));
    this.pane = h("section.card.second", { "aria-label": "Second viewer" }, facts, this.#timeline);
    this.#stream = new EventStream((cursor) => streamUrl(id, cursor), {
      onEvent: ({ seq, result, live }) => {
        const { ts } = metadataOf(result);
        if (ts) this.#clock.observe(ts, live);
        applyEvent(this.#task, seq, result);
        this.#scheduleDrawing();
        this.compare();
      },
      onEnd: () => isFinished(this.#task.state) && this.#stream.close(),
      onRecovered: ({ ms, ...counts }) => {
        this.#caughtUp ||= `${duration(ms)}: ${recoveryCounts(counts)}`;
        this.compare();
      },
      onChange: () => this.#scheduleDrawing(),
    });
    this.#pill = new ConnectionPill(pill, retry, () => this.#stream.retryNow());
    this.#stream.downSince = Date.now(); // it counts as cut until now: all stored events are recovered
    this.#stream.open();
  }

  close() {
    this.#stream.close();
    clearInterval(this.#ticker);
  }

  /** Compare the two models when they are at the same seq: once it has caught up, and at each change of state. */
  compare() {
    const [own, first] = [this.#task, this.#firstTask];
    if (!this.#caughtUp || own.seq !== first.seq || this.#comparedState === own.state) return;
    this.#comparedState = own.state;
    const verdict = shownOf(own) === shownOf(first) ? "Both show the same" : "They show different things";
    this.#report(`Second viewer, caught up in ${this.#caughtUp}. ${verdict} at seq ${count(own.seq)}.`);
  }

  /** The server's time while the task runs, else the time of the newest event. In ms since the epoch. */
  #now() {
    const { state, updatedAt } = this.#task;
    return isRunning(state) ? Math.max(this.#clock.now(), updatedAt) : updatedAt;
  }

  #scheduleDrawing() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#pill.draw(this.#stream, this.#task.state === "input-required");
      setText(this.#seq, count(this.#task.seq));
      this.#timeline.draw(this.#task, this.#now());
    });
  }
}

/** All that a view shows of a task, as JSON. @param {Task} task */
const shownOf = ({ state, title, messages, artifacts, steps }) =>
  JSON.stringify([state, title, messages, [...artifacts.values()], [...steps.values()].map(stepFields)]);

/** A step without references to other steps. */
const stepFields = ({ parent, children, waiting, usage, first, last, ...fields }) => ({ ...fields, parent: parent?.id, children: children.length });
