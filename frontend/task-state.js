/**
 * A task's events → the model that a page shows. No DOM, clock or network: live or replayed, the same events give the
 * same model. `applyEvent` changes it in place: with a copy per event, the 10,000th would cost more than the 10th.
 *
 * @typedef {ReturnType<typeof newTask>} Task
 * @typedef {ReturnType<typeof newStep>} Step
 * @typedef {ReturnType<typeof newText>} Text
 */

import { isUserMessage, questionsOf, textOf, titleOf, turnOf } from "./messages.js";

const EXTENSION = "urn:tailrace:a2a:resume:1";
const ROW_KINDS = ["node_start", "tool_start", "attempt", "handoff"]; // events that may add a row
const MAX_SAID = 2_000; // characters of a step's text
const RANKED = ["response", "report"]; // of two texts the later of these is shown, and of others the newest
const MAX_LEVEL = 16; // a deeper step becomes a sibling of its parent

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
  state: "unknown", // as `plainState` writes it
  message: "", // of the last change of state: a question, or the reason of a failure
  questions: /** @type {import("./messages.js").Question[]} */ ([]), // those that the task waits for
  signIn: false, // whether it waits for the user to sign in
  title: "",
  turns: /** @type {import("./messages.js").Turn[]} */ ([]), // of the conversation
  seq: 0,
  attempt: 1,
  superseded: 0,
  start: /** @type {number | null} */ (null),
  end: /** @type {number | null} */ (null),
  updatedAt: 0,
  root: newStep("", "agent", "", "", null, 0), // parent of the agents that no step of this task asked
  steps: /** @type {Map<string, Step>} */ (new Map()),
  running: /** @type {Set<Step>} */ (new Set()), // steps without an end
  changed: /** @type {Set<Step>} */ (new Set()),
  texts: /** @type {Map<string, Text>} */ (new Map()), // text artifacts by id
  report: newText(""), // the text to show: see RANKED
  findings: { list: /** @type {any[]} */ ([]), version: 0 },
});

/** A `Step` of progress-timeline.js, and what only the model needs: its id, level and waiting children. */
const newStep = (id, kind, name, agent, parent, start) => ({
  id,
  kind,
  name,
  agent,
  parent: /** @type {any} */ (parent),
  level: parent ? parent.level + 1 : 0,
  children: /** @type {any[]} */ ([]),
  waiting: /** @type {Map<string, Set<any>>} */ (new Map()), // those of the children that wait, by name
  start,
  end: /** @type {number | null} */ (null),
  state: "running",
  attempt: 1,
  text: "",
  said: "", // the message that the text is a part of
  done: 0,
  total: 0,
  error: "",
  targets: /** @type {{agent: string, reason: string}[]} */ ([]),
});

const rankOf = (text) => RANKED.indexOf(text.name);

const newText = (name) => ({ name, text: "", done: false });

/**
 * @param {Task} task @param {number} seq @param {any} result an A2A StreamResponse
 * @returns {boolean} false when the model has this seq already
 */
export function applyEvent(task, seq, result) {
  if (seq <= task.seq) return false;
  task.seq = seq;
  const body = bodyOf(result);
  const metadata = metadataOf(result);
  const ts = metadata.ts ?? (Date.parse(body.status?.timestamp) || task.updatedAt);
  task.updatedAt = Math.max(task.updatedAt, ts);
  task.start ??= ts;

  if (result.task) applySnapshot(task, body);
  else if (result.artifactUpdate) applyArtifact(task, body.artifact ?? {}, body.append, body.lastChunk);
  else if (metadata.kind) applyStepEvent(task, metadata, metadata.at ?? ts, textOf(body.status?.message));
  if (body.status) task.signIn = body.status.state === "TASK_STATE_AUTH_REQUIRED";
  if (body.status) applyState(task, plainState(body.status.state), body.status.message, metadata, ts);
  return true;
}

/** A whole A2A Task: the first event, or a snapshot. */
function applySnapshot(task, { history = [], artifacts = [] }) {
  if (history.length > task.turns.length) task.turns = history.map(turnOf);
  task.title ||= titleOf(history[0]);
  for (const artifact of artifacts) applyArtifact(task, artifact, false, true);
}

function applyState(task, state, message, metadata, ts) {
  if (isUserMessage(message)) task.turns.push(turnOf(message));
  // The text of a forwarded event belongs to its step, not to the task.
  const text = metadata.parent ? "" : textOf(message);
  if (state === "input-required" && !metadata.parent && metadata.kind === "state") task.questions = questionsOf(message);
  if (state === "input-required" && text !== task.message) setQuestion(task, message, text);
  if (state === task.state) return;
  task.state = state;
  task.message = text;
  if (state === "input-required") {
    closeSteps(task, "waiting", task.running, ts);
  } else if (isFinished(state)) {
    task.end = ts;
    task.report.done = true;
    closeSteps(task, STEP_STATE_AT_END[state], [...task.running, ...waitingSteps(task)], ts);
  } else if (state === "working") {
    const agent = task.steps.get(agentStepId(metadata.agent ?? "agent"));
    if (agent?.state === "waiting") setStepState(task, agent, "running", null);
  }
}

/** A question that is worded anew before its answer is still one question. */
function setQuestion(task, message, text) {
  task.message = text;
  const unanswered = task.turns.at(-1)?.by === "Agents";
  task.turns.splice(task.turns.length - (unanswered ? 1 : 0), unanswered ? 1 : 0, turnOf(message));
}

function applyStepEvent(task, metadata, ts, text) {
  const known = task.steps.get(metadata.step);
  // What another agent reports of a known step belongs to that step.
  const belongsToKnown = known && !ROW_KINDS.includes(metadata.kind);
  const ownParent = () => (belongsToKnown ? known.parent : agentStep(task, metadata.agent ?? "agent", ts));
  const namedParent = task.steps.get(metadata.parent) ?? ownParent();
  const parent = namedParent.level < MAX_LEVEL ? namedParent : namedParent.parent;

  switch (metadata.kind) {
    case "node_start":
    case "tool_start":
      return startStep(task, metadata, parent, ts, text);
    case "node_end":
    case "tool_complete":
      return known && finishStep(task, known, metadata, ts, text);
    case "attempt":
      // A forwarded attempt is a specialist's, not the task's.
      if (!metadata.parent) task.attempt = metadata.attempt;
      for (const id of metadata.supersedes ?? []) supersede(task, task.steps.get(id), ts);
      return text && addNote(task, "note", parent, text, ts); // after a hand-off there is no text
    case "handoff":
      return addNote(task, "handoff", parent, "hand-off", ts);
    case "state":
      if (!metadata.parent) return; // the task's own state: see applyState()
  }
  // progress, route, message, reasoning, or a kind of a later version
  const step = known ?? parent;
  // A model's message or reasoning comes in pieces; everything else that a step says is whole.
  const said = metadata.message && `${metadata.kind} ${metadata.message}`;
  if (text) step.text = said && said === step.said ? (step.text + text).slice(-MAX_SAID) : text;
  if (text) step.said = said;
  step.done = metadata.done ?? step.done;
  step.total = metadata.total ?? step.total;
  step.targets = metadata.targets ?? step.targets;
  task.changed.add(step);
}

const agentStepId = (name) => `agent ${name}`;

/** The row of an agent that no step of this task asked. */
function agentStep(task, name, ts) {
  const id = agentStepId(name);
  return task.steps.get(id) ?? addStep(task, newStep(id, "agent", name, name, task.root, ts));
}

function startStep(task, metadata, parent, ts, text) {
  const previous = task.steps.get(metadata.step);
  // The same execution goes on: after a reply, or in another process.
  if (previous && previous.state !== "superseded") return setStepState(task, previous, "running", null);
  // A node that asked and runs again under a new id has its answer.
  for (const asking of parent.waiting.get(metadata.name) ?? []) setStepState(task, asking, "done", asking.end);
  // A superseded step keeps its row when its id is used again.
  if (previous) task.steps.set(`${previous.id} until ${task.seq}`, previous);
  const kind = metadata.kind === "tool_start" ? "tool" : "node";
  const step = newStep(metadata.step, kind, metadata.name ?? kind, metadata.agent ?? parent.agent, parent, ts);
  step.attempt = metadata.attempt ?? task.attempt;
  step.text = text;
  addStep(task, step);
}

function finishStep(task, step, metadata, ts, text) {
  if (step.state === "superseded") return;
  step.error = metadata.error ? String(metadata.error.message ?? metadata.error) : "";
  step.text = text || step.text;
  if (!metadata.error) step.done = step.total;
  setStepState(task, step, metadata.error ? "failed" : metadata.interrupted ? "waiting" : "done", ts);
}

function supersede(task, step, ts) {
  if (!step || step.state === "superseded") return;
  task.superseded += 1;
  setStepState(task, step, "superseded", step.end ?? ts);
}

/** Searched at the end: a Set that steps enter and leave all the time would grow slow. */
const waitingSteps = (task) => [...task.steps.values()].filter((step) => step.state === "waiting");

/** The task ends or waits, and these steps with it. */
function closeSteps(task, state, steps, ts) {
  for (const step of steps) setStepState(task, step, state, step.end ?? ts);
}

function addNote(task, kind, parent, name, ts) {
  const step = newStep(`note ${task.seq}`, kind, name, parent.agent, parent, ts);
  setStepState(task, addStep(task, step), "done", ts);
}

function applyArtifact(task, { artifactId, name = artifactId, parts = [] }, append, lastChunk) {
  if (name === "findings") {
    if (!append) task.findings.list = [];
    const lists = parts.map((part) => part.data?.findings).filter(Array.isArray);
    for (const list of lists) for (const finding of list) task.findings.list.push(finding);
    task.findings.version += 1;
    return;
  }
  const textParts = parts.filter((part) => typeof part.text === "string" && !part.filename);
  if (!textParts.length && !RANKED.includes(name)) return;
  const text = task.texts.get(artifactId) ?? newText(String(name));
  task.texts.set(artifactId, text);
  const added = textParts.map((part) => part.text).join("");
  text.text = append ? text.text + added : added;
  text.done = Boolean(lastChunk);
  if (rankOf(text) >= rankOf(task.report)) task.report = text;
}

function addStep(task, step) {
  task.steps.set(step.id, step);
  step.parent.children.push(step);
  setStepState(task, step, step.state, step.end);
  return step;
}

function setStepState(task, step, state, end) {
  step.state = state;
  step.end = end;
  const { name, parent } = step;
  const waits = state === "waiting";
  setMember(task.running, step, end === null);
  if (waits && !parent.waiting.has(name)) parent.waiting.set(name, new Set());
  if (parent.waiting.has(name)) setMember(parent.waiting.get(name), step, waits);
  task.changed.add(step);
}

const setMember = (set, step, isMember) => (isMember ? set.add(step) : set.delete(step));
