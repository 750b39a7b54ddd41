/** The samples and the counts of lines in findings' evidence, as series for charts. Pure: no DOM. */

import { isObject, numberOf, secondsOf } from "./incidents.js";
import { lasting, quantity } from "./words.js";

/**
 * @typedef {import("./incidents.js").Finding} Finding
 * @typedef {{name: string, unit: string, times: number[], values: (number | null)[], step: number, findings: Finding[],
 *   total?: number}} Series
 *   `values` has null where samples are missing; `step` is the usual time between two samples, in seconds. Lines of logs
 *   are counts of stretches of `step` seconds, and `total` is how many of them their finding counts
 */

const GAP = 3; // steps without a sample
const MOST_SAMPLES = 20_000; // of one finding

/** The series of one incident, in the order of `findings`. @param {Finding[]} findings @returns {Series[]} */
export function seriesOf(findings) {
  /** @type {Map<string, Finding[]>} */ const bySubject = new Map();
  for (const finding of findings) {
    const { subject, evidence } = finding;
    if (!Array.isArray(evidence.series)) continue;
    if (bySubject.has(subject)) bySubject.get(subject).push(finding);
    else bySubject.set(subject, [finding]);
  }
  const series = [...bySubject].map(([name, members]) => together(name, members));
  for (const finding of findings) if (!bySubject.has(finding.subject)) series.push(...countsOf(finding));
  return series.filter(({ values }, i) => values.filter((value) => value !== null).length > 1 && series.findIndex(({ name }) => name === series[i].name) === i);
}

/** The lines of a finding, by stretches of time: none if it has none that can be read. @returns {Series[]} */
function countsOf(finding) {
  const { lines } = finding.evidence;
  const [start, step] = isObject(lines) ? [secondsOf(lines.start), numberOf(lines.step_s)] : [null, null];
  if (start === null || step === null || step <= 0 || !Array.isArray(lines.counts)) return [];
  const values = lines.counts.slice(0, MOST_SAMPLES).map(numberOf);
  const within = values.slice(numberOf(lines.begin) ?? 0, numberOf(lines.end) ?? values.length);
  const total = within.reduce((sum, value) => sum + (value ?? 0), numberOf(lines.later) ?? 0);
  return [{ name: finding.subject, unit: "lines", step, times: values.map((_, i) => start + i * step), values, findings: [finding], total }];
}

/** Several findings may have overlapping samples: where they do, the finer ones count. */
function together(name, findings) {
  const excerpts = findings.map(({ evidence }) => samplesOf(evidence.series)).filter((each) => each.length);
  const steps = new Map(excerpts.map((each) => [each, stepOf(each)]));
  excerpts.sort((a, b) => steps.get(a) - steps.get(b));
  /** @type {[number, number][]} */ const covered = [];
  const samples = [];
  for (const each of excerpts) {
    const fresh = each.filter(([time]) => !covered.some(([from, to]) => time >= from && time <= to));
    for (const sample of fresh) samples.push(sample);
    covered.push([each[0][0], each[each.length - 1][0]]);
  }
  samples.sort((a, b) => a[0] - b[0]);
  const step = Math.max(...steps.values(), 0);
  // A flat line is a unit of time; the others tell the unit of the values.
  const unit = findings.find(({ type, unit: own }) => type !== "flat_line" && own)?.unit ?? "";
  return { name, unit, step, findings, ...withGaps(samples, step, silencesOf(findings)) };
}

/** @returns {[number, number | null][]} in order of time, one sample a time */
function samplesOf(list) {
  /** @type {[number, number | null][]} */ const samples = [];
  for (const pair of list.slice(0, MOST_SAMPLES)) {
    if (!Array.isArray(pair)) continue;
    const time = secondsOf(pair[0]);
    if (time !== null) samples.push([time, numberOf(pair[1])]);
  }
  samples.sort((a, b) => a[0] - b[0]);
  return samples.filter(([time], i) => !i || time > samples[i - 1][0]);
}

/** The median time between two samples. */
function stepOf(samples) {
  const steps = samples.slice(1).map(([time], i) => time - samples[i][0]);
  return steps.sort((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0;
}

/** When there were no samples, as findings say. @returns {[number, number][]} */
const silencesOf = (findings) =>
  findings
    .filter(({ type, evidence, start }) => type === "flat_line" && evidence.kind === "missing" && start !== null)
    .map(({ start, end }) => [start, end]);

/** A line must not cross a time without samples, so there it gets a null. */
function withGaps(samples, step, silences) {
  const times = [];
  const values = [];
  samples.forEach(([time, value], i) => {
    const last = i ? samples[i - 1][0] : time;
    const isSilent = silences.some(([from, to]) => last <= from + step && time >= to - step && time > last);
    if (i && (time - last > GAP * step || isSilent)) {
      times.push((last + time) / 2);
      values.push(null);
    }
    times.push(time);
    values.push(value);
  });
  return { times, values };
}

/** The index of the sample nearest to a time; null if there is none so near. @param {Series} series */
export function sampleAt({ times, values, step, total }, time) {
  let low = 0;
  let high = times.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle;
    else high = middle;
  }
  if (total !== undefined) return time < times[0] || time >= times[high] + step ? null : times[high] <= time ? high : low;
  const nearest = Math.abs(times[low] - time) <= Math.abs(times[high] - time) ? low : high;
  return values[nearest] === null || Math.abs(times[nearest] - time) > 1.5 * step ? null : nearest;
}

/** What a chart says of a time. @param {Series} series */
export function valueAt(series, time) {
  const index = sampleAt(series, time);
  if (index === null) return "no sample";
  const value = quantity(series.values[index], series.unit);
  return series.total === undefined ? value : `${value} in ${lasting(series.step)}`;
}

/** What a chart says without a cursor. @param {Series} series */
export function restingText({ values, unit, total }) {
  if (total !== undefined) return quantity(total, unit);
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low > high) return "no sample";
  return low === high ? quantity(low, unit) : `${quantity(low)} – ${quantity(high, unit)}`;
}
