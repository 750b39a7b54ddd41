/** Another reader of the task on the page: from cursor 0, on a stream of its own, with its own timeline. */

import { streamUrl } from "../api.js";
import { h } from "../dom.js";
import { EventStream } from "../event-stream.js";
import { count, duration, recoveryCounts } from "../format.js";
import "../progress-timeline.js";
import { ServerClock } from "../server-clock.js";
import { StatusLine } from "../status-line.js";
import { applyEvent, isFinished, isRunning, metadataOf, newTask } from "../task-state.js";

const DRAWING_INTERVAL = 100; // ms

/** @typedef {import("../task-state.js").Task} Task */

export class SecondViewer {
  #task = newTask();
  #turn;
  #stream;
  #status = new StatusLine(() => this.#stream.retryNow());
  #report;
  #caughtUp = ""; // how long it took, and what it cost
  #comparedState = "";
  #lastEventAt = Date.now();
  #timeline = h("progress-timeline", { ariaLabel: "Timeline of the second viewer" });
  #clock = new ServerClock();
  #ticker = setInterval(() => this.#scheduleDrawing(), DRAWING_INTERVAL);
  #frame = 0;

  /**
   * @param {import("../turn-view.js").TurnView} turn the first viewer
   * @param {(sentence: string) => void} report called with what the comparison says
   */
  constructor(turn, report) {
    this.#turn = turn;
    this.#report = report;
    const facts = this.#status.element;
    for (const part of facts.querySelectorAll("[data-testid]")) part.removeAttribute("data-testid"); // the first viewer's
    this.pane = h("section.card.second", { ariaLabel: "Second viewer" }, h("h3", "Second viewer"), facts, this.#timeline);
    this.#stream = new EventStream((cursor) => streamUrl(turn.id, cursor), {
      onEvent: ({ seq, result, live }) => {
        const { ts } = metadataOf(result);
        this.#lastEventAt = Date.now();
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
    this.#stream.downSince = Date.now(); // it counts as cut until now: all stored events are recovered
    this.#stream.open();
  }

  close() {
    this.#stream.close();
    clearInterval(this.#ticker);
  }

  /** Compare the two models when they are at the same seq: once it has caught up, and at each change of state. */
  compare() {
    const [own, first] = [this.#task, this.#turn.task];
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
      const now = this.#now();
      this.#status.draw(this.#task, this.#stream, { now, quiet: Date.now() - this.#lastEventAt });
      this.#timeline.draw(this.#task, now);
    });
  }
}

/** All that a view shows of a task, as JSON. @param {Task} task */
const shownOf = ({ state, title, messages, artifacts, steps }) =>
  JSON.stringify([state, title, messages, [...artifacts.values()], [...steps.values()].map(stepFields)]);

/** A step without references to other steps. */
const stepFields = ({ parent, children, waiting, usage, ...fields }) => ({ ...fields, parent: parent?.id, children: children.length });
