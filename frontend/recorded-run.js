/** A real run of the sample, played slowly on the first view. It is a picture: nothing in it can be reached or read out. */

import { h } from "./dom.js";
import { duration } from "./format.js";
import "./progress-timeline.js";
import { applyEvent, metadataOf, newTask } from "./task-state.js";

const SLOWER = 5;
const FRAME = 80; // ms

/** @param {AbortSignal} signal stops it @returns {Promise<any>} the element */
export async function playRun(signal) {
  const events = await (await fetch("sample/run.json", { signal })).json();
  const times = events.map((event) => metadataOf(event).ts);
  const [start, end] = [times[0], times.at(-1)];
  const timeline = h("progress-timeline");
  const words = `The sample as it ran: ${duration(end - start)}, played ${SLOWER} times slower.`;
  const element = h("figure.recorded", { ariaHidden: "true", inert: true }, timeline, h("figcaption", words));
  const task = newTask();
  const begun = performance.now();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const draw = () => {
    const now = still ? end : Math.min(end, start + (performance.now() - begun) / SLOWER);
    while (task.seq < events.length && times[task.seq] <= now) applyEvent(task, task.seq + 1, events[task.seq]);
    timeline.draw(task, now);
    if (now < end && !signal.aborted) setTimeout(draw, FRAME);
  };
  draw();
  return element;
}
