/**
 * A task's events → the model that a page shows. No DOM, clock or network: live or replayed, the same events give the
 * same model. `applyEvent` changes it in place: with a copy per event, the 10,000th would cost more than the 10th.
 *
 * @typedef {ReturnType<typeof newTask>} Task
 * @typedef {ReturnType<typeof newArtifact>} Artifact
 */

import { plainName } from "./format.js";
import { isFile, isText, isUserMessage, messageOf, questionsOf, textOf, titleOf } from "./messages.js";
import { applyStepEvent, applyWork, closeSteps, newStep, newUsage, noteEvent, resumeAgent, waitingSteps } from "./steps.js";

const EXTENSION = "urn:tailrace:a2a:resume:1";
const RANKED = ["response", "report"]; // of two texts the later of these is the answer, and of others the newest

/** What steps become when their task ends. */
const STEP_STATE_AT_END = { completed: "done", failed: "failed", rejected: "failed", canceled: "canceled" };

/** @param {string} state as `plainState` writes it */
export const isFinished = (state) => state in STEP_STATE_AT_END;
export const isRunning = (state) => state === "working" || state === "submitted";

/** TASK_STATE_INPUT_REQUIRED, and AUTH_REQUIRED, → input-required @param {string} [state] */
export const plainState = (state = "unknown") => state.replace("TASK_STATE_", "").replace("AUTH", "INPUT").toLowerCase().replaceAll("_", "-");

const bodyOf = (result) => result.task ?? result.statusUpdate ?? result.artifactUpdate ?? {};

/** The resume extension's metadata of an event. @param {any} result an A2A StreamResponse */
export const metadataOf = (result) => bodyOf(result).metadata?.[EXTENSION] ?? {};

/** Times are ms since the epoch. */
export const newTask = () => ({
  id: "",
  contextId: "",
  agent: "", // the task's own
  title: "",
  request: /** @type {any} */ (null), // the first A2A message
  messages: /** @type {import("./messages.js").Message[]} */ ([]), // the request, questions and replies
  state: "unknown", // as `plainState` writes it
  message: "", // of the last change of state: a question, or the reason of a failure
  error: "", // the reason of a failure
  questions: /** @type {import("./messages.js").Question[]} */ ([]), // none unless the task waits
  signIn: false, // whether it waits for the user to sign in
  artifacts: /** @type {Map<string, Artifact>} */ (new Map()), // by id, in order of arrival
  answer: /** @type {Artifact | null} */ (null), // the text to show first: see RANKED
  usage: newUsage(), // of all attempts
  cost: /** @type {any} */ (null), // what the run took so far: see PROTOCOL.md, section 2.3
  counts: { agents: 0, steps: 0, superseded: 0 }, // `steps` are nodes and tools without the superseded ones
  seq: 0,
  attempt: 1,
  start: /** @type {number | null} */ (null),
  end: /** @type {number | null} */ (null),
  updatedAt: 0,
  root: newStep("", "agent", "", "", null, 0), // parent of the agents that no step of this task asked
  steps: /** @type {Map<string, import("./steps.js").Step>} */ (new Map()),
  agents: /** @type {Set<string>} */ (new Set()), // names
  running: /** @type {Set<import("./steps.js").Step>} */ (new Set()), // steps without an end
  changed: /** @type {Set<import("./steps.js").Step>} */ (new Set()),
});

/** `version` grows with each change. `kind`: text, data, files or mixed. @param {string} id @param {string} name */
const newArtifact = (id, name) => ({
  id,
  name,
  kind: "text",
  text: "", // of its text parts
  parts: /** @type {any[]} */ ([]), // text that was added is in one part
  done: false,
  mediaType: "", // of its first part
  version: 0,
});

/**
 * @param {Task} task @param {number} seq @param {any} result an A2A StreamResponse; `{task}` with a stored task is a snapshot
 * @returns {boolean} false when the model has this seq already
 */
export function applyEvent(task, seq, result) {
  if (seq <= task.seq) return false;
  task.seq = seq;
  const body = bodyOf(result);
  const metadata = metadataOf(result);
  const ts = metadata.ts ?? (Date.parse(body.status?.timestamp) || task.updatedAt);
  task.updatedAt = Math.max(task.updatedAt, ts);
  task.start ??= metadata.kind || !result.task ? ts : metadata.created ?? null;

  if (!metadata.origin) task.cost = metadata.cost ?? metadata.work?.cost ?? task.cost;
  if (result.task) applySnapshot(task, body, metadata);
  else if (result.artifactUpdate) applyArtifact(task, body.artifact ?? {}, body.append, body.lastChunk);
  else if (metadata.kind) applyStepEvent(task, result, metadata, metadata.at ?? ts);
  if (result.artifactUpdate && metadata.step) noteEvent(task, task.steps.get(metadata.step));
  if (body.status) applyState(task, plainState(body.status.state), body.status, metadata, ts);
  return true;
}

/** A whole A2A Task: the first event, or a snapshot. */
function applySnapshot(task, { id = "", contextId = "", status, history = [], artifacts = [] }, { agent = "", work }) {
  Object.assign(task, { id, contextId, agent: agent || task.agent });
  if (work) applyWork(task, work);
  const ending = isFinished(plainState(status?.state)) ? status.message?.messageId : undefined;
  task.messages = [];
  for (const message of history) if (!ending || message.messageId !== ending) addMessage(task, message);
  for (const artifact of artifacts) applyArtifact(task, artifact, false, true);
}

function applyState(task, state, { state: wireState, message }, metadata, ts) {
  // Only a `state` event of the task itself has words about the state. A forwarded one belongs to its step.
  const isOwn = !metadata.parent && !metadata.origin && (metadata.kind ?? "state") === "state";
  if (isOwn) {
    task.agent = metadata.agent || task.agent;
    if (isUserMessage(message) || (message && state === "input-required")) addMessage(task, message);
    task.message = isUserMessage(message) ? "" : textOf(message);
    task.signIn = wireState === "TASK_STATE_AUTH_REQUIRED";
    const questions = state === "input-required" ? questionsOf(message) : [];
    if (JSON.stringify(questions) !== JSON.stringify(task.questions)) task.questions = questions;
    if (metadata.usage) Object.assign(task.usage, metadata.usage);
  }
  if (state === task.state) return;
  task.state = state;
  if (state === "input-required") {
    closeSteps(task, "waiting", task.running, ts);
  } else if (isFinished(state)) {
    task.end = ts;
    task.error = state === "failed" || state === "rejected" ? task.message : "";
    for (const artifact of task.artifacts.values()) artifact.done = true;
    if (state === "completed" && isOwn) applyLastWords(task, message);
    closeSteps(task, STEP_STATE_AT_END[state], [...task.running, ...waitingSteps(task)], ts);
  } else if (state === "working") {
    resumeAgent(task, metadata.agent);
  }
}

/** A question that is worded anew before its answer is still one question. */
function addMessage(task, message) {
  const added = messageOf(message);
  const last = task.messages.at(-1);
  if (added.by === "user" && !task.request) {
    task.request = message;
    task.title = titleOf(message);
  }
  if (added.by === "user" || last?.by !== "agent") task.messages.push(added);
  else if (JSON.stringify(last) !== JSON.stringify(added)) task.messages.splice(-1, 1, added);
}

function applyArtifact(task, { artifactId, name = artifactId, parts = [] }, append, lastChunk) {
  const artifact = task.artifacts.get(artifactId) ?? newArtifact(String(artifactId), plainName(name));
  task.artifacts.set(artifactId, artifact);
  if (!append) Object.assign(artifact, { text: "", parts: [], kind: "text" });
  for (const part of parts) addPart(artifact, part);
  artifact.mediaType = String(artifact.parts[0]?.mediaType ?? "");
  artifact.done = Boolean(lastChunk);
  artifact.version += 1;
  const hasText = artifact.kind === "text" || artifact.text;
  if (hasText && rankOf(artifact) >= rankOf(task.answer)) task.answer = artifact;
}

/** Some agents answer with the message of their last state. What they said before is not said again. */
function applyLastWords(task, message) {
  const { answer, artifacts } = task;
  const text = textOf(message).trim();
  const isSaid = [...artifacts.values()].some((artifact) => artifact.text.trim() === text);
  if (!message?.parts?.length || isUserMessage(message) || (isSaid && message.parts.every(isText))) return;
  applyArtifact(task, { artifactId: "last words", name: "message", parts: message.parts }, false, true);
  task.answer = answer ?? task.answer;
}

const rankOf = (artifact) => RANKED.indexOf(artifact?.name);

function addPart(artifact, part) {
  const kind = isFile(part) ? "files" : isText(part) ? "text" : "data";
  const last = artifact.parts.at(-1);
  artifact.kind = !last || artifact.kind === kind ? kind : "mixed";
  if (kind === "text") artifact.text += part.text;
  // The last part may belong to an event.
  if (kind === "text" && last && isText(last)) artifact.parts[artifact.parts.length - 1] = { ...last, text: last.text + part.text };
  else artifact.parts.push(part);
}
