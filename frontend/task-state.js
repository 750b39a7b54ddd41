/**
 * A task's events → what a page shows of it. No DOM, clock or network: the same events give the same
 * model, live, in one backlog, or twice.
 *
 * `apply` changes the model it is given: a copy per event would make the 10,000th dearer than the
 * 10th. What has to be drawn again is in `changed`, which the view empties.
 *
 * @typedef {ReturnType<typeof newTask>} Task
 * @typedef {ReturnType<typeof newStep>} Step
 */

import { isUsers, textOf, titleOf, turn } from "./messages.js";

/** What the end of a task makes of a step that still runs. */
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
  changed: /** @type {Set<Step>} */ (new Set()),
  report: "",
  reportDone: false,
  findings: /** @type {any[]} */ ([]), // another array whenever they change
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
  if (state === task.state) return;
  task.state = state;
  // A specialist's forwarded words belong to its step, not to the task.
  task.message = meta.parent ? "" : textOf(message);
  if (state === "input-required") {
    task.turns.push(turn(message));
    settle(task, "waiting", ts);
  } else if (isFinished(state)) {
    task.end = ts;
    task.reportDone = true;
    settle(task, CLOSING[state], ts);
  } else if (state === "working") {
    for (const agent of task.root.children) if (agent.state === "waiting") change(task, agent, "running", null);
  }
}

function step(task, meta, ts, text) {
  const home = task.steps.get(meta.parent) ?? agentStep(task, meta.agent ?? "agent", ts);
  const one = task.steps.get(meta.step) ?? home;

  switch (meta.kind) {
    case "node_start":
    case "tool_start":
      return begin(task, meta, home, ts, text);
    case "node_end":
    case "tool_complete":
      return one !== home && finish(task, one, meta, ts, text);
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

/** The row of an agent that nobody in this log has asked. */
function agentStep(task, name, ts) {
  const id = `agent ${name}`;
  return task.steps.get(id) ?? add(task, newStep(id, "agent", name, name, task.root, ts));
}

function begin(task, meta, home, ts, text) {
  const before = task.steps.get(meta.step);
  // The same execution goes on: after a reply, or with another worker.
  if (before && before.state !== "superseded") return change(task, before, "running", null);
  // A node that asked and runs again under a new id has its answer.
  for (const one of home.children) {
    if (one.state === "waiting" && one.name === meta.name) change(task, one, "done", one.end);
  }
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

/** The task ends or waits: so does what was running. An end closes what was waiting, too. */
function settle(task, state, ts) {
  for (const one of task.steps.values()) {
    if (one.end === null || (one.state === "waiting" && state !== "waiting")) change(task, one, state, one.end ?? ts);
  }
}

function note(task, kind, home, name, ts) {
  const one = newStep(`note ${task.seq}`, kind, name, home.agent, home, ts);
  change(task, add(task, one), "done", ts);
}

function artifact(task, { artifactId, name = artifactId, parts = [] }, append, last) {
  if (name === "report") {
    const text = parts.map((part) => part.text ?? "").join("");
    task.report = append ? task.report + text : text;
    task.reportDone = Boolean(last);
  } else if (name === "findings") {
    const findings = parts.flatMap((part) => part.data?.findings ?? []);
    task.findings = append ? [...task.findings, ...findings] : findings;
  }
}

/** A row of the timeline: an agent, one execution of a node or tool, a note, or a hand-off. */
const newStep = (id, kind, name, agent, parent, start) => ({
  id,
  kind,
  name,
  agent,
  parent: /** @type {any} */ (parent),
  children: /** @type {any[]} */ ([]),
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
  task.changed.add(one);
  return one;
}

function change(task, one, state, end) {
  one.state = state;
  one.end = end;
  task.changed.add(one);
}
