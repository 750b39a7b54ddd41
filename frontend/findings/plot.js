/** One small chart: uPlot (vendor/) with the times of its findings and the alert drawn into it. */

import { h, on } from "../dom.js";
import { sampleAt } from "./series.js";
import { quantity, stylesheet, utc } from "./words.js";

/** @typedef {import("./series.js").Series} Series @typedef {import("./incidents.js").Alert} Alert */

const VENDOR = new URL("vendor/uplot-1.6.32/", import.meta.url).href;
export const LEFT = 56; // px of the value axis
const HEIGHT = 64;
const AXIS = 24; // the time axis below the last chart
const RIGHT = 12;
// Between two labels of the time axis, in seconds: all divide a day or are whole days, so that UTC needs no calendar.
const DAY = 86_400;
const INCREMENTS = [0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, DAY, 2 * DAY];
for (let days = 7; days < 40_000; days *= 2) INCREMENTS.push(days * DAY);

const library = () => /** @type {any} */ (globalThis).uPlot;

let loading = /** @type {Promise<any> | null} */ (null);
/** Load uPlot once. A failure can be tried again, unlike that of a module. @throws {Error} if it cannot be loaded */
export async function loadLibrary() {
  loading ??= Promise.all([script(`${VENDOR}uPlot.iife.min.js`), stylesheet(`${VENDOR}uPlot.min.css`)]);
  await loading.catch((error) => {
    loading = null;
    throw error;
  });
}

/** @returns {Promise<void>} */
function script(src) {
  return new Promise((resolve, reject) => {
    const element = h("script", { src });
    on(element, "load", () => resolve());
    on(element, "error", () => {
      element.remove();
      reject(new Error("The charts could not be loaded."));
    });
    document.head.append(element);
  });
}

/**
 * @param {any} host @param {Series} series
 * @param {{width: number, isLast: boolean, range: [number, number], limit: (from: number, to: number) => [number, number],
 *   alert: Alert | null, colors: (name: string) => string, font: string, sync: any, onReset: () => void,
 *   onCursor: (u: any) => void, onScale: (u: any) => void}} options `limit` bounds a zoom; `sync` is a key that charts share
 * @returns {any} a uPlot
 */
export function makePlot(host, series, { width, isLast, range, limit, alert, colors, font, sync, onReset, onCursor, onScale }) {
  const color = (name) => () => colors(name);
  const options = {
    width: width,
    height: heightOf(isLast),
    padding: [6, RIGHT, isLast ? 0 : 6, 0],
    legend: { show: false },
    cursor: {
      y: false,
      dataIdx: (_, index, nearest, time) => (index ? sampleAt(series, time) : nearest),
      drag: { x: true, y: false, dist: 4 },
      sync: { key: sync, scales: ["x", null] },
      points: { size: 7, fill: color("accent"), stroke: color("surface"), width: 1.5 },
      bind: { dblclick: () => onReset },
    },
    scales: {
      x: { time: false, auto: false, min: range[0], max: range[1], range: (_, from, to) => limit(from, to) },
      y: { range: (_, low, high) => valueRange(low, high) },
    },
    axes: [
      {
        show: isLast,
        size: AXIS,
        gap: 4,
        space: 84,
        incrs: INCREMENTS,
        values: (_, splits, axis, space, increment) => timeLabels(splits, increment),
        font: font,
        stroke: color("muted"),
        grid: { show: false },
        ticks: { stroke: color("line"), width: 1, size: 4 },
      },
      {
        size: LEFT,
        gap: 6,
        space: 26,
        font: font,
        stroke: color("muted"),
        values: (_, splits) => splits.map((value) => quantity(value, "", true)),
        grid: { stroke: color("line"), width: 1 },
        ticks: { show: false },
      },
    ],
    series: [
      {},
      {
        stroke: color("accent"),
        width: 1.5,
        ...(series.total === undefined ? {} : { paths: library().paths.bars({ size: [1, 20], align: 1 }), fill: color("accent") }),
        points: { size: 4, fill: color("accent"), filter: series.total === undefined ? lonely : () => [] },
      },
    ],
    hooks: {
      drawClear: [(u) => drawWindows(u, series, colors)],
      draw: [(u) => drawMarks(u, series, alert, colors)],
      setCursor: [onCursor],
      setScale: [(u, key) => key === "x" && onScale(u)],
    },
  };
  return new (library())(options, [series.times, series.values], host);
}

/** The times of the findings. */
function drawWindows(u, series, colors) {
  const band = (from, to, name) => {
    const [left, right] = [from, to].map((time) => u.valToPos(Math.min(Math.max(time, u.scales.x.min), u.scales.x.max), "x", true));
    u.ctx.fillStyle = colors(name);
    u.ctx.fillRect(left, u.bbox.top, Math.max(right - left, 1), u.bbox.height);
  };
  u.ctx.save();
  for (const finding of series.findings) {
    if (finding.start !== null && overlaps(u, finding.start, finding.end)) band(finding.start, finding.end, "window");
  }
  u.ctx.restore();
}

/** Where the alert fired, and where something changed. */
function drawMarks(u, series, alert, colors) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  const line = (time, name, dash) => {
    if (!overlaps(u, time, time)) return null;
    const x = Math.round(u.valToPos(time, "x", true));
    ctx.strokeStyle = ctx.fillStyle = colors(name);
    ctx.setLineDash(dash.map((length) => length * ratio));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    return x;
  };
  ctx.save();
  ctx.lineWidth = 1.25 * ratio;
  for (const time of [alert?.start, alert?.end]) if (typeof time === "number") line(time, "warn", [4, 3]);
  for (const { start } of series.findings) {
    const x = start === null ? null : line(start, "ink", []);
    if (x === null) continue;
    const half = 4 * ratio;
    ctx.beginPath();
    ctx.moveTo(x - half, bbox.top - half);
    ctx.lineTo(x + half, bbox.top - half);
    ctx.lineTo(x, bbox.top + half);
    ctx.fill();
  }
  ctx.restore();
}

export const heightOf = (isLast) => HEIGHT + (isLast ? AXIS : 0);
const overlaps = (u, start, end) => end >= u.scales.x.min && start <= u.scales.x.max;

/** Some room above and below; from 0 if the values come near it. @returns {[number, number]} */
function valueRange(low, high) {
  if (low === null || high === null || low === undefined) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : low > 0 ? [0, low * 1.2] : [low * 1.2, 0];
  const room = (high - low) * 0.08;
  const bottom = low >= 0 && low < high * 0.4 ? 0 : low - room;
  const top = high <= 0 && high > low * 0.4 ? 0 : high + room;
  return [bottom, top];
}

/** A sample without neighbours has no line, so it gets a point. */
function lonely(u, seriesIdx, show, gaps) {
  const values = u.data[seriesIdx];
  const isMissing = (value) => value === null || value === undefined;
  const filtered = [];
  values.forEach((value, i) => {
    if (!isMissing(value) && isMissing(values[i - 1]) && isMissing(values[i + 1])) filtered.push(i);
  });
  return filtered;
}

function timeLabels(splits, increment) {
  return splits.map((time, i) => {
    if (increment >= DAY) return utc(time, -2);
    const isNewDay = i > 0 && Math.floor(time / DAY) !== Math.floor(splits[i - 1] / DAY);
    return isNewDay ? utc(time, -2) : utc(time, increment < 1 ? 2 : increment < 60 ? 0 : -1);
  });
}
