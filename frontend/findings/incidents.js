/**
 * Findings of any agent, read with care, and the incidents that they form. Pure: no DOM. Times are in seconds since the
 * epoch. Incidents and first signs are those of the orchestrator's report: see functions/orchestrator/synthesis.py.
 */

/**
 * @typedef {{type: string, subject: string, summary: string, unit: string, agent: string, start: number | null,
 *   end: number | null, magnitude: number | null, confidence: number | null, evidence: Record<string, any>, raw: any}} Finding
 *   `start` is null if it is no time; `magnitude` and `confidence` are null if they are no numbers
 * @typedef {{title: string, start: number, end: number | null, isAlert: boolean}} Alert
 *   of the request; without `isAlert` these are only times that its text names
 * @typedef {{findings: Finding[], first: Finding[], faint: Finding[], start: number, end: number}} Incident
 *   `first` are the first signs, `faint` those from just before them that have little confidence
 */

export const CONFIDENT = 0.5; // nothing is concluded from findings with less
const [GAP_SHARE, GAP_LEAST, GAP_MOST] = [0.1, 30, 600];
const TOGETHER = 5;
const JUST_BEFORE = 30;
const SILENCE = new Set(["gone", "flat_line"]);
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
  const [type, subject, summary] = [raw.type, raw.subject, raw.summary].map((value) => textOf(value).trim());
  if (!type && !subject && !summary) return null;
  const start = secondsOf(raw.start);
  const end = secondsOf(raw.end);
  const share = numberOf(raw.confidence);
  return {
    ...{ type: type || "finding", subject: subject || summary || type, unit: textOf(raw.unit), agent: textOf(raw.agent), raw },
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

/** The incidents, the one that the report is about first, and the findings without a time. */
export function incidentsOf(findings, alert) {
  const timed = findings.filter((finding) => finding.start !== null);
  const untimed = findings.filter((finding) => finding.start === null);
  const groups = groupsOf(timed.filter(isConfident));
  /** @type {Finding[]} */ const alone = [];
  for (const finding of timed) {
    if (isConfident(finding)) continue;
    const near = groups.find((group) => finding.start >= group.start - JUST_BEFORE && finding.start <= group.until);
    if (near) near.findings.push(finding);
    else alone.push(finding);
  }
  const faint = timed.filter((finding) => !isConfident(finding) && !SILENCE.has(finding.type));
  const incidents = groups.map(({ findings: members }) => incidentOf(members, faint));
  const others = groupsOf(alone).map(({ findings: members }) => incidentOf(members, []));
  return { incidents: [...incidents.sort(byWeight(alert)), ...others], untimed };
}

const isConfident = ({ confidence }) => confidence !== null && confidence >= CONFIDENT;

/** The findings in order of time, split where none starts and none goes on for a while. */
function groupsOf(findings) {
  const ordered = [...findings].sort((a, b) => a.start - b.start);
  const whole = ordered.length ? ordered[ordered.length - 1].start - ordered[0].start : 0;
  const gap = Math.min(Math.max(whole * GAP_SHARE, GAP_LEAST), GAP_MOST);
  /** @type {{findings: Finding[], start: number, until: number}[]} */ const groups = [];
  for (const finding of ordered) {
    const { start, end } = finding;
    let group = groups[groups.length - 1];
    if (!group || start > group.until) groups.push((group = { findings: [], start, until: start }));
    group.findings.push(finding);
    group.until = Math.max(group.until, start + gap, Math.min(end, start + 2 * gap) + gap);
  }
  return groups;
}

/** @param {Finding[]} members @param {Finding[]} faint all findings with little confidence @returns {Incident} */
function incidentOf(members, faint) {
  const findings = [...members].sort((a, b) => a.start - b.start);
  const confident = findings.filter(isConfident);
  const chosen = confident.length ? confident : findings;
  const speaking = chosen.filter(({ type }) => !SILENCE.has(type));
  const signs = speaking.length ? speaking : chosen;
  const start = signs[0].start;
  return {
    findings,
    first: signs.filter((finding) => finding.start <= start + TOGETHER),
    faint: faint.filter((finding) => finding.start >= start - JUST_BEFORE && finding.start <= start),
    start: findings[0].start,
    end: endOf(findings),
  };
}

const endOf = (findings) => findings.reduce((latest, { end }) => Math.max(latest, end), 0);

/** The nearest to the alert first; of equally near ones the one with most confidence in all. */
function byWeight(alert) {
  const weigh = ({ findings }) => {
    const confident = findings.filter(isConfident);
    const [start, end] = [confident[0].start, endOf(confident)];
    const distance = alert ? Math.max(start - alert.start, alert.start - end, 0) : 0;
    return { distance, weight: confident.reduce((sum, { confidence }) => sum + confidence, 0), start };
  };
  const weights = new Map();
  const of = (incident) => weights.get(incident) ?? weights.set(incident, weigh(incident)).get(incident);
  return (a, b) => of(a).distance - of(b).distance || of(b).weight - of(a).weight || of(a).start - of(b).start;
}

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
