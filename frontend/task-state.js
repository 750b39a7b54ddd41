/**
 * A task's events → what a page shows of it. No DOM, clock or network: the same events give the same
 * model, live, in one backlog, or twice.
 *
 * `apply` changes the model it is given: a copy per event would make the 10,000th dearer than the
 * 10th. What has to be drawn again is in `changed`, which the view empties.
 *
 * @typedef {ReturnType<typeof newTask>} Task
 * @typedef {ReturnType<typeof newStep>} Step
 * @typedef {ReturnType<typeof newText>} Text
 */

import { isUsers, textOf, titleOf, turn } from "./messages.js";

/** What the end of a task makes of a step that still runs. */
const BEGINNING = ["node_start", "tool_start", "attempt", "handoff"]; // events that may make a row
const MOST_LEVELS = 16; // a step below so many is shown beside its parent

const CLOSING = { completed: "done", failed: "failed", rejected: "failed", canceled: "canceled" };

export const isFinished = (state) => state in CLOSING;

export const plainState = (state = "unknown") => state.replace("TASK_STATE_", "").toLowerCase().replaceAll("_", "-");

const bodyOf = (result) => result.task ?? result.statusUpdate ?? result.artifactUpdate ?? {};

/** What the resume extension says of an event. */
export const metaOf = (result) => bodyOf(result).metadata?.["urn:tailrace:a2a:resume:1"] ?? {};

export const newTask = () => ({
  state: "unknown", // "input-required" for TASK_STATE_INPUT_REQUIRED, and so on
  message: "", // what the last change of state said: a question, or why it failed
  title: "",
  turns: /** @type {import("./messages.js").Turn[]} */ ([]), // the request, questions, replies
  seq: 0,
  attempt: 1,
  dead: 0, // superseded steps
  start: /** @type {number | null} */ (null),
  end: /** @type {number | null} */ (null),
  ts: 0, // of the newest event
  root: newStep("", "agent", "", "", null, 0), // holds the agents that nobody in this log has asked
  steps: /** @type {Map<string, Step>} */ (new Map()),
  running: /** @type {Set<Step>} */ (new Set()), // those without an end
  changed: /** @type {Set<Step>} */ (new Set()),
  texts: /** @type {Map<string, Text>} */ (new Map()), // artifacts of text by their id
  report: newText(""), // the one of them to show: that of this name, else the newest
  findings: { list: /** @type {any[]} */ ([]), version: 0 },
});

/**
 * @param {Task} task @param {number} seq @param {any} result an A2A StreamResponse
 * @returns {boolean} false when this seq is in the model already
 */
export function apply(task, seq, result) {
  if (seq <= task.seq) return false;
  task.seq = seq;
  const body = bodyOf(result);
  const meta = metaOf(result);
  const ts = meta.ts ?? (Date.parse(body.status?.timestamp) || task.ts);
  task.ts = Math.max(task.ts, ts);
  task.start ??= ts;

  if (result.task) snapshot(task, body);
  else if (result.artifactUpdate) artifact(task, body.artifact ?? {}, body.append, body.lastChunk);
  else if (meta.kind) step(task, meta, meta.at ?? ts, textOf(body.status?.message));
  if (body.status) enter(task, plainState(body.status.state), body.status.message, meta, ts);
  return true;
}

/** A whole A2A Task: the first event, or a snapshot. */
function snapshot(task, { history = [], artifacts = [] }) {
  if (history.length > task.turns.length) task.turns = history.map(turn);
  task.title ||= titleOf(history[0]);
  for (const one of artifacts) artifact(task, one, false, true);
}

function enter(task, state, message, meta, ts) {
  if (isUsers(message)) task.turns.push(turn(message));
  // A specialist's forwarded words belong to its step, not to the task.
  const words = meta.parent ? "" : textOf(message);
  if (state === "input-required" && words !== task.message) ask(task, message, words);
  if (state === task.state) return;
  task.state = state;
  task.message = words;
  if (state === "input-required") {
    settle(task, "waiting", task.running, ts);
  } else if (isFinished(state)) {
    task.end = ts;
    task.report.done = true;
    settle(task, CLOSING[state], [...task.running, ...waitingSteps(task)], ts);
  } else if (state === "working") {
    const agent = task.steps.get(idOfAgent(meta.agent ?? "agent"));
    if (agent?.state === "waiting") change(task, agent, "running", null);
  }
}

/** A question that comes in other words before its answer is the same question. */
function ask(task, message, words) {
  task.message = words;
  const open = task.turns.at(-1)?.by === "Agents";
  task.turns.splice(task.turns.length - (open ? 1 : 0), open ? 1 : 0, turn(message));
}

function step(task, meta, ts, text) {
  const known = task.steps.get(meta.step);
  // What is said of a step that is on the page needs no other row, whoever says it.
  const ofStep = known && !BEGINNING.includes(meta.kind);
  const asked = task.steps.get(meta.parent) ?? (ofStep ? known.parent : agentStep(task, meta.agent ?? "agent", ts));
  const home = asked.level < MOST_LEVELS ? asked : asked.parent;
  const one = known ?? home;

  switch (meta.kind) {
    case "node_start":
    case "tool_start":
      return begin(task, meta, home, ts, text);
    case "node_end":
    case "tool_complete":
      return known && finish(task, known, meta, ts, text);
    case "attempt":
      // A specialist's attempts are its own affair; a hand-off has had its row.
      if (!meta.parent) task.attempt = meta.attempt;
      for (const id of meta.supersedes ?? []) supersede(task, task.steps.get(id), ts);
      return text && note(task, "note", home, text, ts);
    case "handoff":
      return note(task, "handoff", home, "hand-off", ts);
    case "state":
      if (!meta.parent) return; // the task's own state: see enter()
  }
  // progress, route, or what a later version says
  one.text = text || one.text;
  one.done = meta.done ?? one.done;
  one.total = meta.total ?? one.total;
  one.targets = meta.targets ?? one.targets;
  task.changed.add(one);
}

const idOfAgent = (name) => `agent ${name}`;

/** The row of an agent that nobody in this log has asked. */
function agentStep(task, name, ts) {
  const id = idOfAgent(name);
  return task.steps.get(id) ?? add(task, newStep(id, "agent", name, name, task.root, ts));
}

function begin(task, meta, home, ts, text) {
  const before = task.steps.get(meta.step);
  // The same execution goes on: after a reply, or with another worker.
  if (before && before.state !== "superseded") return change(task, before, "running", null);
  // A node that asked and runs again under a new id has its answer.
  for (const one of home.waiting.get(meta.name) ?? []) change(task, one, "done", one.end);
  // A step that runs again under its old id stays visible as what it was.
  if (before) task.steps.set(`${before.id} until ${task.seq}`, before);
  const kind = meta.kind === "tool_start" ? "tool" : "node";
  const one = newStep(meta.step, kind, meta.name ?? kind, meta.agent ?? home.agent, home, ts);
  one.attempt = meta.attempt ?? task.attempt;
  one.text = text;
  add(task, one);
}

function finish(task, one, meta, ts, text) {
  if (one.state === "superseded") return;
  one.error = meta.error ? String(meta.error.message ?? meta.error) : "";
  one.text = text || one.text;
  if (!meta.error) one.done = one.total;
  change(task, one, meta.error ? "failed" : meta.interrupted ? "waiting" : "done", ts);
}

function supersede(task, one, ts) {
  if (!one || one.state === "superseded") return;
  task.dead += 1;
  change(task, one, "superseded", one.end ?? ts);
}

/**
 * Those that wait, looked for once, when the task ends. A set of them would keep a hole for each time that an agent has
 * waited, and look at all of them the next time.
 */
const waitingSteps = (task) => [...task.steps.values()].filter((one) => one.state === "waiting");

/** The task ends or waits: so does what was running. An end closes what was waiting, too. */
function settle(task, state, steps, ts) {
  for (const one of steps) change(task, one, state, one.end ?? ts);
}

function note(task, kind, home, name, ts) {
  const one = newStep(`note ${task.seq}`, kind, name, home.agent, home, ts);
  change(task, add(task, one), "done", ts);
}

function artifact(task, { artifactId, name = artifactId, parts = [] }, append, last) {
  if (name === "findings") {
    if (!append) task.findings.list = [];
    const lists = parts.map((part) => part.data?.findings).filter(Array.isArray);
    for (const list of lists) for (const one of list) task.findings.list.push(one);
    task.findings.version += 1;
    return;
  }
  const words = parts.filter((part) => typeof part.text === "string" && !part.filename);
  if (!words.length && name !== "report") return;
  const text = task.texts.get(artifactId) ?? newText(String(name));
  task.texts.set(artifactId, text);
  const added = words.map((part) => part.text).join("");
  text.text = append ? text.text + added : added;
  text.done = Boolean(last);
  if (text.name === "report" || task.report.name !== "report") task.report = text;
}

const newText = (name) => ({ name, text: "", done: false });

/** A row of the timeline: an agent, one execution of a node or tool, a note, or a hand-off. */
const newStep = (id, kind, name, agent, parent, start) => ({
  id,
  kind,
  name,
  agent,
  parent: /** @type {any} */ (parent),
  level: parent ? parent.level + 1 : 0,
  children: /** @type {any[]} */ ([]),
  waiting: /** @type {Map<string, Set<any>>} */ (new Map()), // of the children, by name
  start, // by the server's clock, ms
  end: /** @type {number | null} */ (null), // while it goes on
  state: "running", // waiting, done, failed, canceled or superseded
  attempt: 1,
  text: "", // what it last said
  done: 0,
  total: 0, // of what is counted, if anything is
  error: "",
  targets: /** @type {{agent: string, reason: string}[]} */ ([]), // of a route
});

function add(task, one) {
  task.steps.set(one.id, one);
  one.parent.children.push(one);
  change(task, one, one.state, one.end);
  return one;
}

function change(task, one, state, end) {
  one.state = state;
  one.end = end;
  const { name, parent } = one;
  const waits = state === "waiting";
  put(task.running, one, end === null);
  if (waits && !parent.waiting.has(name)) parent.waiting.set(name, new Set());
  if (parent.waiting.has(name)) put(parent.waiting.get(name), one, waits);
  task.changed.add(one);
}

const put = (set, one, belongs) => (belongs ? set.add(one) : set.delete(one));
