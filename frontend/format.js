/** Numbers, sizes and times as people read them. */

import { count, duration } from "./timeline-parts.js";

export { count, duration };

/** 120 B · 3.4 KB · 34 KB · 1.25 MB @param {number} n bytes */
export function fileSize(n) {
  if (n < 1024) return `${n} B`;
  const kb = n / 1024;
  return kb < 1024 ? `${kb.toFixed(kb < 10 ? 1 : 0)} KB` : `${(kb / 1024).toFixed(2)} MB`;
}

/** 14:03:27 in UTC, as in the logs; what is no time is returned unchanged. @param {string} moment */
export function utcTime(moment) {
  const date = new Date(moment);
  return Number.isNaN(date.getTime()) ? String(moment) : date.toISOString().slice(11, 19);
}

const UNITS = /** @type {const} */ ([["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]]);

/** now · 5 minutes ago · yesterday · 12 Nov 2026 @param {string} moment */
export function timeAgo(moment) {
  const date = new Date(moment);
  const age = Date.now() - date.getTime();
  if (Number.isNaN(age)) return "";
  const [unit, length] = UNITS.find(([, ms]) => age >= ms) ?? ["", 0];
  if (!unit) return "now";
  if (age > 7 * UNITS[0][1]) return date.toLocaleDateString([], { dateStyle: "medium" });
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(-Math.floor(age / length), unit);
}

/** 3 agents · 1 step @param {number} n */
export const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

/** The name of a state, as `plainState` writes it, for people. */
export const stateWords = (state) => ({ "input-required": "waiting for you", unknown: "" })[state] ?? state;

/** 37 recovered, 0 lost, 0 repeated @param {ReturnType<typeof import("./event-stream.js").countsBetween>} counts */
export const recoveryCounts = ({ recovered, lost, repeated }) =>
  `${count(recovered)} recovered, ${count(lost)} lost, ${count(repeated)} repeated`;
