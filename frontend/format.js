/** Numbers, sizes and times as people read them. */

/** A name without control characters, and without those that would reverse a part of it: "gpj.exe" is no "exe.jpg". */
export const plainName = (name) => String(name ?? "").replace(/[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "");

const OVERRIDES = /[\u202d\u202e]/g;
export const DIRECTIONS = /[\u202a-\u202e\u2066-\u2069]/g;

/**
 * A text in which what would reverse others is seen: [U+202E]. Of code, and of what somebody approves, everything that
 * moves others is seen; in prose the rest of it is how people write Arabic and Hebrew.
 * @param {string} text
 */
export const visible = (text, isExact = false) =>
  String(text ?? "").replace(isExact ? DIRECTIONS : OVERRIDES, (character) => `[U+${hex(character).toUpperCase()}]`);

/** A value as a word: true → Yes */
export const wordsFor = (value) => (typeof value === "string" ? value : typeof value === "boolean" ? (value ? "Yes" : "No") : JSON.stringify(value));

export const hex = (character) => character.charCodeAt(0).toString(16);

/** 1,234 @param {number} n */
export const count = (n) => n.toLocaleString("en");

/** 430 ms · 12.4 s · 3 m 12 s · 1 h 04 m @param {number} ms */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const pad = (n) => String(n % 60).padStart(2, "0");
  return seconds < 3600 ? `${minutes} m ${pad(seconds)} s` : `${Math.floor(minutes / 60)} h ${pad(minutes)} m`;
}

/** @param {any} usage of a step, or none */
export const tokensOf = (usage) => (usage ? usage.input + usage.output : 0);

/** 1,234 tokens · $0.0123. Without the price of each model there is no cost. @param {any} usage @param {import("./progress-timeline.js").Run["prices"]} [prices] */
export function usageWords(usage, prices) {
  const cost = costOf(usage, prices);
  return `${count(tokensOf(usage))} tokens${cost === null ? "" : ` · ${dollars(cost)}`}`;
}

/** In dollars; null when a model has no price. @param {{models: Map<string, any>}} usage @param {import("./progress-timeline.js").Run["prices"]} [prices] */
export function costOf({ models }, prices = {}) {
  let cost = 0;
  for (const [name, { input, output }] of models) {
    if (!Object.hasOwn(prices, name)) return null;
    cost += (input * prices[name].input + output * prices[name].output) / 1e6;
  }
  return models.size ? cost : null;
}

/**
 * What a run took: 12.4 s of its processes, 96 requests to DynamoDB (57 units read, 130.5 written), $0.0123 for its models
 * @param {{seconds?: number, requests?: number, read_units?: number, write_units?: number, model_dollars?: number}} cost
 */
export function costWords({ seconds = 0, requests, read_units: read = 0, write_units: written = 0, model_dollars: models }) {
  const words = [
    `${duration(seconds * 1000)} of its processes`,
    requests && `${count(requests)} requests to DynamoDB (${count(read)} units read, ${count(written)} written)`,
    models !== undefined && `${dollars(models)} for its models`,
  ];
  return `The run took ${words.filter(Boolean).join(", ")}.`;
}

/** $1.23 · $0.0123 @param {number} n */
export const dollars = (n) => `$${n.toFixed(n >= 1 ? 2 : 4)}`;

/** 120 B · 3.4 KB · 34 KB · 1.25 MB · 64 MB @param {number} n bytes */
export function fileSize(n) {
  if (n < 1000) return `${n} B`;
  const kb = n / 1000;
  return Math.round(kb) < 1000 ? `${Number(kb.toFixed(kb < 10 ? 1 : 0))} KB` : `${Number((kb / 1000).toFixed(2))} MB`;
}

const UNITS = /** @type {const} */ ([["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]]);

/** now · 5m ago · yesterday · 12 Nov 2026 @param {string} moment */
export function timeAgo(moment) {
  const date = new Date(moment);
  const age = Date.now() - date.getTime();
  if (Number.isNaN(age)) return "";
  const [unit, length] = UNITS.find(([, ms]) => age >= ms) ?? ["", 0];
  if (!unit) return "now";
  if (age > 7 * UNITS[0][1]) return date.toLocaleDateString([], { dateStyle: "medium" });
  return new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" }).format(-Math.floor(age / length), unit);
}

/** 3 agents · 1 step @param {number} n */
export const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

/** The name of a state, as `plainState` writes it, for people. */
export const stateWords = (state) => ({ "input-required": "waiting for you", unknown: "" })[state] ?? state;

/** 37 recovered, 0 lost, 0 repeated @param {ReturnType<typeof import("./event-stream.js").countsBetween>} counts */
export const recoveryCounts = ({ recovered, lost, repeated }) =>
  `${count(recovered)} recovered, ${count(lost)} lost, ${count(repeated)} repeated`;
