/**
 * The steps of a task: agents, and the nodes and tools that they run. See task-state.js.
 *
 * @typedef {ReturnType<typeof newStep>} Step
 * @typedef {ReturnType<typeof newUsage>} Usage tokens; of a step, with those of its children
 */

import { dataOf, textOf } from "./messages.js";

const HANDLER = /^__(?:default_)?error_handler__/; // LangGraph's names of error handlers
const ROW_KINDS = ["node_start", "tool_start", "attempt", "handoff"]; // events that may add a row
const MAX_SAID = 20_000; // characters of one message or one call: the newest
const MAX_LINE = 2_000; // characters of a line of the log
const MAX_NEWEST = 240; // characters of what is said now
const KEPT_TEXTS = 50; // messages and calls of a step
const KEPT_LINES = 200; // of a step's log
const MAX_LEVEL = 16; // a deeper step becomes a sibling of its parent

/** A `Step` of progress-timeline.js, and what only the model needs: its id, level and waiting children. */
export const newStep = (id, kind, name, agent, parent, start) => ({
  id,
  kind,
  name,
  agent,
  parent: /** @type {any} */ (parent),
  level: parent ? parent.level + 1 : 0,
  children: /** @type {any[]} */ ([]),
  waiting: /** @type {Map<string, Set<any>> | null} */ (null), // those of the children that wait, by name
  start,
  end: /** @type {number | null} */ (null),
  state: "running",
  attempt: 1,
  text: "", // what it reported or said last
  done: 0,
  total: 0,
  input: "", // may be the beginning of a longer one, of `inputSize` characters
  inputSize: 0,
  output: "",
  outputSize: 0,
  error: "",
  cached: false, // its result was known
  targets: /** @type {{agent: string, reason: string}[]} */ ([]),
  asked: /** @type {{url: string, task: string} | null} */ (null), // its task at another agent
  log: /** @type {{ts: number, text: string}[]} */ ([]), // the newest lines
  said: /** @type {{id: string, by: string, kind: string, text: string}[]} */ ([]), // kind: message or reasoning
  calls: /** @type {{id: string, by: string, kind: string, text: string}[]} */ ([]), // by: the tool; text: its arguments
  usage: /** @type {Usage | null} */ (null),
  firstSeq: 0, // of its first and its newest event
  lastSeq: 0,
});

export const newUsage = () => ({
  input: 0,
  output: 0,
  calls: 0,
  models: /** @type {Map<string, {input: number, output: number, calls: number}>} */ (new Map()),
});

export const ownAgentId = (name) => `agent ${name}`;

/** @param {import("./task-state.js").Task} task at the event's seq @param {any} result the event @param {any} metadata ours */
export function applyStepEvent(task, result, metadata, ts) {
  const known = task.steps.get(metadata.step);
  // What another agent reports of a known step belongs to that step.
  const belongsToKnown = known && !ROW_KINDS.includes(metadata.kind);
  const ownParent = () => (belongsToKnown ? known.parent : agentStep(task, metadata.agent ?? "agent", ts));
  const namedParent = task.steps.get(metadata.parent) ?? ownParent();
  const parent = namedParent.level < MAX_LEVEL ? namedParent : namedParent.parent;
  const message = result.statusUpdate?.status?.message;
  const text = textOf(message) || dataOf(message).map((value) => JSON.stringify(value)).join("\n");

  switch (metadata.kind) {
    case "node_start":
    case "tool_start":
      return startStep(task, metadata, parent, ts, text);
    case "attempt":
      // A forwarded attempt is a specialist's, not the task's.
      if (!metadata.parent) task.attempt = metadata.attempt;
      for (const id of metadata.supersedes ?? []) supersede(task, task.steps.get(id), ts);
      return text && addNote(task, "note", parent, text, ts); // after a hand-off there is no text
    case "handoff":
      // A run that sleeps goes on in the same steps: there is nothing to see.
      return metadata.reason !== "sleep" && addNote(task, "handoff", parent, "hand-off", ts);
    case "state":
      if (!metadata.parent) return; // the task's own state: see applyState()
  }
  const step = known ?? parent;
  noteEvent(task, step);
  switch (metadata.kind) {
    case "node_end":
    case "tool_complete":
      return known && finishStep(task, known, metadata, ts, text);
    case "usage":
      return addUsage(task, step, metadata);
    case "tool_call":
      addPiece(step.calls, metadata, metadata.call ?? `${metadata.message} ${metadata.name}`, metadata.input ?? "");
      break;
    case "message":
    case "reasoning":
      if (text) step.text = newestOf(addPiece(step.said, metadata, `${metadata.message}`, text));
      break;
    default: // progress, route, a forwarded state, or a kind of a later version
      if (text) step.text = text;
      if (text) addLine(step, text, ts);
      step.done = metadata.done ?? step.done;
      step.total = metadata.total ?? step.total;
      step.targets = metadata.targets ?? step.targets;
  }
}

/** What the server counted, where the page has no events. */
export function applyWork(task, { agents = 0, steps = 0, usage = {} }) {
  Object.assign(task.counts, { agents, steps });
  for (const name in usage) addTokens(task.usage, usage[name], name);
}

/** The event is one of the step's, and says nothing about it. */
export function noteEvent(task, step) {
  if (!step) return;
  step.firstSeq ||= task.seq;
  step.lastSeq = task.seq;
  task.changed.add(step);
}

/** The task ends or waits, and these steps with it. */
export function closeSteps(task, state, steps, ts) {
  for (const step of steps) setStepState(task, step, state, step.end ?? ts);
}

/** Searched at the end: a Set that steps enter and leave all the time would grow slow. */
export const waitingSteps = (task) => [...task.steps.values()].filter((step) => step.state === "waiting");

/** The task works again, and its agent with it. */
export function resumeAgent(task, name = "agent") {
  const agent = task.steps.get(ownAgentId(name));
  if (agent?.state === "waiting") setStepState(task, agent, "running", null);
}

/** The row of an agent that no step of this task asked. */
function agentStep(task, name, ts) {
  const id = ownAgentId(name);
  return task.steps.get(id) ?? addStep(task, newStep(id, "agent", name, name, task.root, ts));
}

function startStep(task, metadata, parent, ts, text) {
  const previous = task.steps.get(metadata.step);
  // The same execution goes on: after a reply, or in another process.
  if (previous && previous.state !== "superseded") {
    noteEvent(task, previous);
    return setStepState(task, previous, "running", null);
  }
  // A node that asked and runs again under a new id has its answer.
  const kind = metadata.kind === "tool_start" ? "tool" : "node";
  const name = shownName(metadata.name ?? kind);
  for (const asking of parent.waiting?.get(name) ?? []) setStepState(task, asking, "done", asking.end);
  // A superseded step keeps its row when its id is used again.
  if (previous) task.steps.set(`${previous.id} until ${task.seq}`, previous);
  const step = newStep(metadata.step, kind, name, metadata.agent ?? parent.agent, parent, ts);
  step.attempt = metadata.attempt ?? task.attempt;
  step.text = text;
  step.input = metadata.input ?? "";
  step.inputSize = metadata.input_size ?? step.input.length;
  step.asked = metadata.asked ?? null;
  task.counts.steps += 1;
  noteEvent(task, step);
  addStep(task, step);
}

/** The name of a node for people; the terminal's is in tailrace/naming.py. @param {string} name */
function shownName(name) {
  const node = name.replace(HANDLER, "");
  return node === name ? name : node ? `error handler of ${node}` : "error handler";
}

function finishStep(task, step, metadata, ts, text) {
  if (step.state === "superseded") return;
  const { error, output, interrupted } = metadata;
  step.error = error ? String(error.message ?? error) : "";
  step.text = text || step.text;
  step.output = output ?? step.output;
  step.outputSize = metadata.output_size ?? step.output.length;
  step.cached = Boolean(metadata.cached);
  if (!error) step.done = step.total;
  setStepState(task, step, error ? "failed" : interrupted ? "waiting" : "done", ts);
}

function supersede(task, step, ts) {
  if (!step || step.state === "superseded") return;
  task.counts.superseded += 1;
  task.counts.steps -= 1;
  setStepState(task, step, "superseded", step.end ?? ts);
}

function addNote(task, kind, parent, name, ts) {
  const step = newStep(`note ${task.seq}`, kind, name, parent.agent, parent, ts);
  noteEvent(task, step);
  setStepState(task, addStep(task, step), "done", ts);
}

/** Of the task, and of the step and all above it. */
function addUsage(task, step, { usage, name = "" }) {
  if (!usage) return;
  addTokens(task.usage, usage, name);
  for (let each = step; each; each = each.parent) {
    addTokens((each.usage ??= newUsage()), usage, name);
    if (each.parent) task.changed.add(each);
  }
}

function addTokens(sum, { input = 0, output = 0, calls = 1 }, name) {
  const model = sum.models.get(name) ?? { input: 0, output: 0, calls: 0 };
  sum.models.set(name, model);
  for (const each of [sum, model]) {
    each.input += input;
    each.output += output;
    each.calls += calls;
  }
}

/** Add a piece to its message or call; several may be written at the same time. @returns {string} the text so far */
function addPiece(texts, { kind, name = "" }, id, piece) {
  let text = texts.findLast((each) => each.id === id && each.kind === kind);
  if (!text) texts.push((text = { id, by: name, kind, text: "" }));
  if (texts.length > KEPT_TEXTS) texts.shift();
  text.text += piece;
  if (text.text.length > 2 * MAX_SAID) text.text = text.text.slice(-MAX_SAID);
  return text.text;
}

const newestOf = (text) => (text.length > MAX_NEWEST ? `…${text.slice(-MAX_NEWEST)}` : text);

function addLine(step, text, ts) {
  step.log.push({ ts, text: text.slice(0, MAX_LINE) });
  if (step.log.length > KEPT_LINES) step.log.shift();
}

function addStep(task, step) {
  task.steps.set(step.id, step);
  task.agents.add(step.agent);
  task.counts.agents = task.agents.size;
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
  if (waits && !parent.waiting?.has(name)) (parent.waiting ??= new Map()).set(name, new Set());
  if (parent.waiting?.has(name)) setMember(parent.waiting.get(name), step, waits);
  task.changed.add(step);
}

const setMember = (set, step, isMember) => (isMember ? set.add(step) : set.delete(step));
