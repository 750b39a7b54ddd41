/**
 * Findings of any agent, read with care, and the incidents that they form. Pure: no DOM. Times are in seconds since the
 * epoch. The incidents are the orchestrator's `events`, and say what its report says. Without them findings are only
 * grouped by time, and nothing is concluded.
 */

import { plainName } from "../format.js";

/**
 * @typedef {{type: string, subject: string, summary: string, unit: string, agent: string, start: number | null,
 *   end: number | null, magnitude: number | null, confidence: number | null, evidence: Record<string, any>, raw: any}} Finding
 *   `start` is null if it is no time; `magnitude` and `confidence` are null if they are no numbers
 * @typedef {{title: string, start: number, end: number | null, isAlert: boolean}} Alert
 *   of the request; without `isAlert` these are only times that its text names
 * @typedef {{findings: Finding[], first: Finding[], faint: Finding[], atEnd: Finding[], start: number, end: number,
 *   state: string, isCause: boolean | null}} Incident
 *   `first` are those that no other came before, `faint` those from just before that have little confidence, and `atEnd`
 *   those of just when it ended. `isCause` is whether the first may be the cause; null if nobody has concluded anything
 */

export const CONFIDENT = 0.5; // nothing is concluded from findings with less
const [GAP_SHARE, GAP_LEAST, GAP_MOST] = [0.05, 10, 600];
const JUST_BEFORE = 30;
const STATES = new Set(["over", "ongoing"]);
const LATEST = Date.UTC(2200, 0) / 1000;
const MOST = 1e15; // larger numbers say nothing, and charts cannot hold them

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
export const numberOf = (value) => (typeof value === "number" && Math.abs(value) < MOST ? value : null);
const textOf = (value) => (typeof value === "string" ? value : typeof value === "number" ? String(value) : "");

/** A time in ISO 8601, in UTC unless it says otherwise. @returns {number | null} */
export function secondsOf(value) {
  if (typeof value !== "string" || !/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(value)) return null;
  const time = value.replace(" ", "T");
  const seconds = Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(time) ? time : `${time}Z`) / 1000;
  return seconds >= 0 && seconds < LATEST ? seconds : null;
}

/** The same entry is the same finding each time. @type {WeakMap<object, Finding | null>} */
const READ = new WeakMap();

/** @param {any[]} list @returns {{findings: Finding[], others: any[]}} `others` are no findings: they name nothing. */
export function readFindings(list) {
  /** @type {Finding[]} */ const findings = [];
  const others = [];
  for (const raw of list) {
    if (isObject(raw) && !READ.has(raw)) READ.set(raw, readFinding(raw));
    const finding = READ.get(raw);
    if (finding) findings.push(finding);
    else others.push(raw);
  }
  return { findings, others };
}

/** @returns {Finding | null} */
function readFinding(raw) {
  const [type, subject, summary] = [raw.type, raw.subject, raw.summary].map((value) => plainName(textOf(value)).trim());
  if (!type && !subject && !summary) return null;
  const start = secondsOf(raw.start);
  const end = secondsOf(raw.end);
  const share = numberOf(raw.confidence);
  return {
    ...{ type: type || "finding", subject: subject || summary || type, unit: textOf(raw.unit), agent: plainName(textOf(raw.agent)), raw },
    // A metric's summary begins with its name.
    summary: subject && summary.startsWith(`${subject}: `) ? summary.slice(subject.length + 2) : summary,
    start,
    end: start === null ? null : Math.max(start, end ?? start),
    magnitude: numberOf(raw.magnitude),
    confidence: share !== null && share >= 0 && share <= 1 ? share : null,
    evidence: isObject(raw.evidence) ? raw.evidence : {},
  };
}

/** The alert that the user's messages name, or the times in the first one. @returns {Alert | null} */
export function alertOf(task) {
  const sent = (Array.isArray(task?.messages) ? task.messages : []).filter((message) => message?.by === "user");
  const parts = sent.flatMap((message) => (Array.isArray(message.data) ? message.data : []));
  const alert = parts.filter((part) => isObject(part?.alert)).pop()?.alert;
  if (alert) {
    const start = timeOf(alert.start);
    return start === null ? null : { title: textOf(alert.title), start, end: timeOf(alert.end), isAlert: true };
  }
  // Times in a long text are rather those of pasted lines.
  const text = textOf(sent[0]?.text);
  const times = text.length > 1000 ? [] : (text.match(/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?/g) ?? []);
  const [start = null, end = null] = times.map(secondsOf);
  return start === null ? null : { title: "", start, end, isAlert: false };
}

/** A number is in seconds, milli-, micro- or nanoseconds. */
function timeOf(value) {
  if (typeof value !== "number") return secondsOf(value);
  while (value >= LATEST) value /= 1000;
  return value >= 0 ? value : null;
}

/**
 * The incidents, the one that the report is about first, and the findings without a time.
 * @param {Finding[]} findings @param {Alert | null} alert @param {any} events of the orchestrator @param {any[]} list as it was read
 */
export function incidentsOf(findings, alert, events = null, list = []) {
  const timed = findings.filter((finding) => finding.start !== null);
  const untimed = findings.filter((finding) => finding.start === null);
  const told = toldIncidents(events, list);
  const incidents = told ?? groupsOf(timed.filter(isConfident)).map(incidentOf);
  const placed = new Set(incidents.flatMap((incident) => incident.findings));
  /** @type {Finding[]} */ const alone = [];
  for (const finding of timed) {
    if (placed.has(finding)) continue;
    const near = incidents.find(({ start, end }) => finding.start >= start - JUST_BEFORE && finding.start <= end);
    if (near) near.findings.push(finding);
    else alone.push(finding);
  }
  for (const { findings: members } of incidents) members.sort((a, b) => a.start - b.start);
  if (!told) incidents.sort(byWeight(alert));
  return { incidents: [...incidents, ...groupsOf(alone).map(incidentOf)], untimed };
}

/** The events of the artifact, whose findings are places in its list; null if they do not fit to it. @returns {Incident[] | null} */
function toldIncidents(events, list) {
  if (!Array.isArray(events) || !events.length) return null;
  const incidents = events.map((event) => {
    const at = (key) => (Array.isArray(event?.[key]) ? event[key].map((place) => READ.get(list[place])) : []);
    const [first, later, atEnd, faint] = ["first", "later", "at_end", "faint"].map(at);
    const [start, end] = [secondsOf(event?.start), secondsOf(event?.end)];
    const members = [...new Set([...first, ...later, ...atEnd, ...faint])];
    if (start === null || end === null || !first.length || members.some((each) => !each || each.start === null)) return null;
    return { findings: members, first, faint, atEnd, start, end: Math.max(start, end), state: String(event.state), isCause: event.is_cause === true };
  });
  return incidents.includes(null) ? null : /** @type {Incident[]} */ (incidents);
}

const isConfident = ({ confidence }) => confidence !== null && confidence >= CONFIDENT;

/** The findings in order of time, split where none starts for a while. */
function groupsOf(findings) {
  const ordered = [...findings].sort((a, b) => a.start - b.start);
  const whole = ordered.length ? ordered[ordered.length - 1].start - ordered[0].start : 0;
  const gap = Math.min(Math.max(whole * GAP_SHARE, GAP_LEAST), GAP_MOST);
  /** @type {Finding[][]} */ const groups = [];
  ordered.forEach((finding, i) => {
    if (!i || finding.start > ordered[i - 1].start + gap) groups.push([]);
    groups[groups.length - 1].push(finding);
  });
  return groups;
}

/** @param {Finding[]} findings in order of time @returns {Incident} */
function incidentOf(findings) {
  const states = new Set(findings.filter(({ start, end }) => end > start).map(({ raw }) => raw.state));
  const state = states.has("ongoing") ? "ongoing" : states.size === 1 && states.has("over") ? "over" : "unknown";
  const first = findings.filter(({ start }) => start === findings[0].start);
  return { findings: [...findings], first, faint: [], atEnd: [], start: findings[0].start, end: endOf(findings), state, isCause: null };
}

const endOf = (findings) => findings.reduce((latest, { end }) => Math.max(latest, end), 0);

/** The nearest to the alert first; of equally near ones the one with most confidence in all. */
function byWeight(alert) {
  const distance = ({ start, end }) => (alert ? Math.max(start - alert.start, alert.start - end, 0) : 0);
  const weights = new Map();
  const weight = (incident) => weights.get(incident) ?? weights.set(incident, incident.findings.reduce((sum, { confidence }) => sum + (confidence ?? 0), 0)).get(incident);
  return (a, b) => distance(a) - distance(b) || weight(b) - weight(a) || a.start - b.start;
}

/** Whether it is known if an incident is over. */
export const isKnown = ({ state }) => STATES.has(state);

const most = (key) => (a, b) => (b[key] ?? -1) - (a[key] ?? -1);
const size = ({ magnitude }) => (magnitude === null ? -1 : Math.abs(magnitude));
const time = (a, b) => (a.start ?? Infinity) - (b.start ?? Infinity) || 0;

/** How findings can be ordered: equally sure ones by size. Otherwise a size compares only with those of the same unit. */
export const ORDERS = {
  rank: { label: "Sort: confidence", compare: (a, b) => most("confidence")(a, b) || size(b) - size(a) || time(a, b) },
  time: { label: "Sort: time", compare: (a, b) => time(a, b) || most("confidence")(a, b) },
  size: { label: "Sort: size, by unit", compare: (a, b) => a.unit.localeCompare(b.unit) || size(b) - size(a) },
  name: { label: "Sort: name", compare: (a, b) => a.subject.localeCompare(b.subject) || time(a, b) },
};
