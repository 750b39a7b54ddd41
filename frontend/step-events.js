/** All events of a step, read from the log when somebody wants to see them: a page does not keep them. */

import { metadataOf } from "./task-state.js";
import { ownAgentId } from "./steps.js";
import { storedEvents } from "./stored-events.js";

/**
 * Its events after a seq and up to another one, as A2A StreamResponses.
 * @param {import("./progress-timeline.js").Run & import("./task-state.js").Task} task @param {any} step @param {number} after
 * @param {number} to @returns {AsyncGenerator<any>}
 */
export async function* eventsOfStep(task, step, after, to) {
  const cursor = Math.max(after, step.firstSeq - 1);
  for await (const { seq, data, isGap } of storedEvents(task.streamUrl, cursor)) {
    if (seq > to) return;
    const { result = {} } = isGap ? {} : JSON.parse(data);
    if (!isGap && ownerOf(task, seq, result)?.id === step.id) yield result;
    if (seq === to) return;
  }
}

/** The step to which the model has counted an event: see applyStepEvent(). */
function ownerOf({ steps }, seq, result) {
  const { kind, step, parent, agent = "agent" } = metadataOf(result);
  if (kind === "attempt" || kind === "handoff" || (kind === "state" && !parent)) return steps.get(`note ${seq}`);
  const known = steps.get(step);
  if (known || result.artifactUpdate) return known;
  return steps.get(parent) ?? steps.get(ownAgentId(agent));
}
