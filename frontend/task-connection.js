/** `timeline.connectToTask(id)` of progress-timeline.js: the stream of a task, its model, and a drawing once a frame. */

import { EventStream } from "./event-stream.js";
import { ServerClock } from "./server-clock.js";
import { applyEvent, isFinished, isRunning, metadataOf, newTask } from "./task-state.js";

const TICK_INTERVAL = 100; // ms

class TaskStream extends EventStream {
  /** @type {() => void} */ onClose = () => {};

  close() {
    super.close();
    this.onClose();
  }
}

/** @param {import("./progress-timeline.js").ProgressTimeline} timeline @param {string} id @returns {EventStream} open */
export function connect(timeline, id) {
  const address = new URL(`api/stream/${encodeURIComponent(id)}`, import.meta.url).href;
  const task = Object.assign(newTask(), { streamUrl: (cursor) => `${address}?cursor=${cursor}` });
  const clock = new ServerClock();
  let frame = 0;
  // Of a task that does not run, the time stands still.
  const now = () => (isRunning(task.state) ? Math.max(clock.now(), task.updatedAt) : task.updatedAt);
  const draw = () => {
    frame = 0;
    timeline.draw(task, now());
  };
  const scheduleDrawing = () => (frame ||= requestAnimationFrame(draw));
  const stream = new TaskStream(address, {
    onEvent: ({ seq, result, live }) => {
      const { ts } = metadataOf(result);
      if (ts) clock.observe(ts, live);
      applyEvent(task, seq, result);
      scheduleDrawing();
    },
    onEnd: () => isFinished(task.state) && stream.close(),
  });
  const ticker = setInterval(() => stream.isUpToDate && timeline.tick(now()), TICK_INTERVAL);
  stream.onClose = () => clearInterval(ticker);
  stream.open();
  return stream;
}
