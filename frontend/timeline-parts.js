/** Parts of progress-timeline.js: its styles, and what it writes of a step. */

import { h } from "./dom.js";
import { count, plainName } from "./format.js";

const MAX_CHARACTERS = 2_000; // of a step's text

const shorten = (text) =>
  text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)} … ${count(text.length)} characters` : text;

/** What is shown below a step's name: its progress, the agents that it chose, its error. @param {import("./progress-timeline.js").Step} step */
export function detailLines({ text = "", done = 0, total = 0, state, targets = [], error = "" }) {
  const lines = [];
  const share = total ? `${count(done)} of ${count(total)}` : "";
  if (text || share) {
    // Most progress texts contain the figures.
    const words = share && !/\d/.test(text) ? `${shorten(text)} ${share}` : shorten(text);
    const bar = total > 0 && state === "running" ? [h("progress", { value: done, max: total, ariaHidden: "true" })] : [];
    lines.push(h("div.tl-progress", ...bar, h("span", words)));
  }
  for (const { agent, reason } of targets) {
    lines.push(h("div.tl-target", h("b", plainName(agent)), ` ${reason}`));
  }
  if (error) lines.push(h("div.tl-error", shorten(error)));
  return lines;
}

/** {"city": "Rome", "days": 3} → city: Rome, days: 3; its beginning. @param {string} input of a tool */
export const hintOf = (input) => input.slice(0, 200).replace(/":\s*/g, ": ").replace(/,\s*"/g, ", ").replace(/^\{|\}$|"/g, "").replace(/\s+/g, " ");

/** A span with room to grow: the bars grow, and the picture does not shrink. In seconds. */
export function roomFor(elapsed) {
  const wanted = Math.max(elapsed * 1.08, 2);
  const interval = roundInterval(wanted / 4);
  return Math.ceil(wanted / interval) * interval;
}

/** The next 1, 2 or 5 times a power of ten, in seconds, minutes or hours. Takes and returns seconds. */
export function roundInterval(least) {
  const unit = least > 1800 ? 3600 : least > 30 ? 60 : 1;
  const power = unit * 10 ** Math.floor(Math.log10(least / unit));
  return power * ([1, 2, 5].find((n) => n * power >= least) ?? 10);
}

/** None on a server, which may import this file but draws nothing. */
export const STYLES = globalThis.CSSStyleSheet && new CSSStyleSheet();
STYLES?.replaceSync(`
progress-timeline {
  --span: 1; --every: 1;
  --tl-accent: var(--accent, light-dark(#0a6577, #4cc6db)); --tl-line: var(--line, silver); --tl-ink: var(--ink, currentColor);
  --tl-muted: var(--muted, color-mix(in srgb, currentColor 68%, transparent)); --tl-hover: var(--hover, #8881); --tl-warn: var(--warn, light-dark(#8a5a00, #e9b45c));
  --tl-bad: var(--bad, light-dark(#b02a20, #ff8f80)); --tl-done: var(--done, seagreen);
  display: block; position: relative; font-size: 0.8125rem; line-height: 1.35; font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
.tl-axis, .tl-row { display: grid; grid-template-columns: minmax(0, 42%) minmax(0, 1fr) 72px; column-gap: 12px; }
.tl-axis { height: 20px; color: var(--tl-muted); font-size: 0.6875rem; }
.tl-marks { position: relative; grid-column: 2; overflow-x: clip; border-bottom: 1px solid var(--tl-line); }
.tl-marks span { position: absolute; left: calc(var(--s) / var(--span) * 100%); padding-left: 4px; border-left: 1px solid var(--tl-line); white-space: nowrap; }
/* --tone: the colour of a step's state */
/* It scrolls by itself when it is long, so that the newest row can stay in sight. */
.tl-body { max-height: max(60vh, 20rem); overflow: hidden auto; scrollbar-gutter: auto; }
.tl-row {
  --tone: color-mix(in srgb, var(--tl-done) 55%, var(--tl-line));
  min-height: 24px; padding: 3px 0; border-radius: 4px; align-items: center; cursor: pointer;
}
.tl-agent > .tl-row { --tone: color-mix(in srgb, var(--tl-done) 25%, var(--tl-line)); }
.tl-tool > .tl-row { --tone: color-mix(in srgb, var(--tl-done) 80%, var(--tl-line)); }
.is-running > .tl-row { --tone: var(--tl-accent); }
.is-failed > .tl-row { --tone: var(--tl-bad); }
:is(.is-canceled, .tl-handoff) > .tl-row { --tone: var(--tl-muted); }
:is(.is-waiting, .tl-note) > .tl-row { --tone: var(--tl-warn); }
.tl-row:hover, .tl-open { background: var(--tl-hover); } .tl-row:focus-visible { outline-offset: -2px; }
.tl-parent[aria-expanded="false"] ~ .tl-children { display: none; }
.tl-name { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 6px; padding-left: calc(4px + var(--level) * 15px); }
.tl-agent > .tl-row .tl-label { font-weight: 650; }
.tl-tool > .tl-row:not(.tl-parent) .tl-label { font-family: var(--mono, ui-monospace, monospace); font-size: 0.75rem; }
:is(.tl-note, .tl-handoff) > .tl-row .tl-label { color: var(--tone); }
.tl-by, .tl-state, .tl-usage, .tl-hint { color: var(--tl-accent); font-size: 0.6875rem; white-space: nowrap; }
.tl-name > :is(.tl-by, .tl-state, .tl-usage, .tl-hint):empty { display: none; }
.tl-hint { flex: 1 1 0; min-width: 3em; overflow: hidden; text-overflow: ellipsis; }
.tl-state, .tl-usage, .tl-hint { color: var(--tl-muted); } .is-failed > .tl-row .tl-state { color: var(--tl-bad); font-weight: 600; }
/* The mark is a triangle where there is something to fold, else a dot. */
.tl-mark { flex: none; align-self: center; display: grid; place-items: center; width: 24px; height: 24px; margin: -4px -8px; }
.tl-mark::before { content: ""; width: 8px; height: 8px; background: var(--tone); clip-path: circle(28%); }
.tl-parent > .tl-name > .tl-mark::before { background: var(--tl-muted); clip-path: polygon(5% 15%, 95% 15%, 50% 95%); }
.tl-parent[aria-expanded="false"] > .tl-name > .tl-mark::before { clip-path: polygon(15% 5%, 95% 50%, 15% 95%); }
.tl-track { position: relative; height: 14px; background: linear-gradient(to right, var(--tl-line) 1px, transparent 1px) 0 0 / calc(var(--every) / var(--span) * 100%) 100%; }
.tl-bar {
  position: absolute; inset-block: 3px; border-radius: 2px; background: var(--tone); left: calc(var(--s) / var(--span) * 100%);
  width: calc((var(--e) - var(--s)) / var(--span) * 100%); min-width: 3px; max-width: calc(100% - var(--s) / var(--span) * 100%);
}
.tl-agent > .tl-row .tl-bar { inset-block: 5px; } .tl-note > .tl-row .tl-bar { inset-block: 0; }
:is(.is-waiting, .is-canceled) > .tl-row .tl-bar { background: repeating-linear-gradient(-45deg, var(--tone) 0 2px, transparent 2px 5px); }
.tl-time { color: var(--tl-muted); text-align: right; white-space: nowrap; }
.is-running > .tl-row .tl-time, .tl-target b { color: var(--tl-ink); }
.tl-details { grid-column: 1 / -1; padding-left: calc(18px + var(--level) * 15px); color: var(--tl-muted); font-size: 0.75rem; }
.tl-progress { display: flex; gap: 8px; align-items: center; }
.tl-progress progress { flex: none; width: 40px; height: 6px; accent-color: var(--tl-accent); }
/* An open row has all of it. */
.tl-progress span, .tl-error { display: -webkit-box; overflow: hidden; -webkit-box-orient: vertical; -webkit-line-clamp: 3; }
.tl-error { color: var(--tl-bad); white-space: pre-wrap; } .tl-target b::before { content: "→ "; color: var(--tl-accent); }
.tl-step.is-superseded { display: none; }
progress-timeline.show-superseded .is-superseded { display: block; }
.is-superseded > .tl-row { opacity: 0.6; } .is-superseded > .tl-row .tl-label { text-decoration: line-through; }
.tl-link { min-height: 24px; padding: 0 2px; border: 0; background: none; color: var(--tl-accent); font-size: 0.75rem; text-decoration: underline; cursor: pointer; }
.tl-jump { position: absolute; right: 12px; bottom: 32px; padding: 2px 12px; border: 1px solid var(--tl-line); border-radius: 99px; background: var(--surface, Canvas); }
.tl-children > .tl-link { margin-left: calc(14px + var(--level) * 15px); }
@media (prefers-reduced-motion: no-preference) { .is-running > .tl-row .tl-bar { transition: width 0.1s linear; } }
@media (max-width: 40rem) {
  .tl-axis { grid-template-columns: 1fr; }
  .tl-row { grid-template-columns: minmax(0, 1fr) auto; row-gap: 1px; }
  .tl-marks { grid-column: 1; }
  .tl-time { grid-area: 1 / 2; }
  .tl-track { grid-area: 2 / 1 / 3 / 3; height: 8px; }
  .tl-step > .tl-row .tl-bar { inset-block: 1px; }
}
`);
