/** Stroked glyphs of 16 × 16. The shape tells what it is; the colour only repeats that. */

import { svg } from "./dom.js";

const PATHS = {
  // states of the connection
  live: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6Z",
  "catching-up": "M3 4l4 4-4 4M9 4l4 4-4 4",
  reconnecting: "M13 8a5 5 0 1 1-1.7-3.7M13 2v3h-3",
  finished: "M4.5 4.5h7v7h-7Z",
  waiting: "M6 4v8M10 4v8",
  cut: "M4 4l8 8M12 4l-8 8",
  // types of findings
  level_shift: "M1 11.5h6.5V4.5H15",
  spike: "M1 11.5h4.5L8 3l2.5 8.5H15",
  drift: "M1 12 15 4",
  flat_line: "M1 5l2 4 2-5 2 4h8",
  new_template: "M8 3v10M3 8h10",
  burst: "M3 12V9M6.5 12V4M9.5 12V3M13 12V8",
  rare: "M1 12h14M8 8.5v-1",
  gone: "M1 8h6M10 8h.5M13 8h.5",
};

/** @param {string} name a dot when there is no such glyph */
export function glyph(name) {
  const d = Object.hasOwn(PATHS, name) ? PATHS[name] : PATHS.live;
  return svg("svg", { viewBox: "0 0 16 16", class: "glyph", "aria-hidden": "true" }, svg("path", { d }));
}
