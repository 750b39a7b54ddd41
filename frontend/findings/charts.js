/**
 * The series of one incident: a small chart each, one below the other, on one time axis with one cursor.
 * Loads uPlot (vendor/), so it is imported only when charts come into view.
 */

import { h, on, setText, uniqueId } from "../dom.js";
import { quantity, reveal, stylesheet, utc } from "./words.js";

/** @typedef {import("./series.js").Series} Series @typedef {import("./incidents.js").Alert} Alert */

const VENDOR = new URL("vendor/uplot-1.6.32/", import.meta.url).href;
const HEIGHT = 64;
const AXIS = 24; // the time axis below the last chart
const LEFT = 56; // the value axis
const RIGHT = 12;
const ZOOM = 2;
// Between two labels of the time axis, in seconds: all divide a day or are whole days, so that UTC needs no calendar.
const DAY = 86_400;
const INCREMENTS = [0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, DAY, 2 * DAY];
for (let days = 7; days < 40_000; days *= 2) INCREMENTS.push(days * DAY);

await Promise.all([script(`${VENDOR}uPlot.iife.min.js`), stylesheet(`${VENDOR}uPlot.min.css`)]);
const { uPlot } = /** @type {any} */ (globalThis);

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

export class Charts {
  /** @type {any} */ element;
  #plots = /** @type {any[]} */ ([]);
  #values = /** @type {any[]} */ ([]);
  #series;
  #rows;
  #alert;
  #whole; // [from, to] of all charts without zoom
  #range;
  #times; // of all samples
  #at = /** @type {number | null} */ (null);
  #strip = h("div.fc-strip");
  #clock = h("span.fc-clock");
  #alertLabel = h("span.fc-alert");
  #alertWindow = h("i.fc-alert-window");
  #stack;
  #reset;
  #colors = /** @type {Record<string, string> | null} */ (null);
  #probe = h("i.fc-probe");
  #width = 0;
  #aborter = new AbortController();
  #resizing = new ResizeObserver(() => this.#resize());

  /**
   * @param {Series[]} series at least one @param {{range: [number, number], alert: Alert | null}} options
   * `range` is the part of the time axis to start with
   */
  constructor(series, { range, alert }) {
    this.#series = series;
    this.#alert = alert;
    this.#whole = this.#range = range;
    this.#times = [...new Set(series.flatMap(({ times }) => times))].sort((a, b) => a - b);
    this.#alertLabel.append(alert?.isAlert ? "alert" : "time in the request");
    const rows = series.map((each) => this.#row(each));
    const button = (label, text, zoom) => h("button.f-tool", { type: "button", "aria-label": label, title: label, onclick: zoom }, text);
    this.#reset = button("Show the whole time", "Reset", () => this.#zoomTo(...this.#whole));
    const tools = h(
      "div.fc-tools",
      button("Zoom in", "+", () => this.#zoom(1 / ZOOM)),
      button("Zoom out", "−", () => this.#zoom(ZOOM)),
      this.#reset,
    );
    this.#strip.append(this.#alertWindow, this.#alertLabel, this.#clock);
    const id = uniqueId();
    const label = `Time cursor of ${series.length === 1 ? "the chart" : `${series.length} charts`}`;
    this.#stack = h("div.fc-stack", { tabIndex: 0, role: "slider", "aria-label": label, "aria-describedby": id }, this.#strip, ...rows.map(({ row }) => row));
    const keys = h("p.visually-hidden", { id }, "Arrow keys move the cursor from sample to sample, plus and minus zoom, 0 shows the whole time.");
    this.element = h("div.fc", this.#probe, tools, this.#stack, legend(series, alert), keys);
    on(this.#stack, "keydown", (event) => this.#key(event));
    on(this.#stack, "blur", () => this.#moveTo(null));
    const redraw = () => this.#repaint();
    on(matchMedia("(prefers-color-scheme: dark)"), "change", redraw, { signal: this.#aborter.signal });
    const theme = new MutationObserver(redraw);
    theme.observe(document.documentElement, { attributeFilter: ["data-theme", "class", "style"] });
    on(this.#aborter.signal, "abort", () => theme.disconnect());
    this.#resizing.observe(this.#stack);
    this.#rows = rows;
    this.#describe();
  }

  close() {
    this.#aborter.abort();
    this.#resizing.disconnect();
    for (const plot of this.#plots) plot.destroy();
  }

  /** Put the time of a finding, and the chart of its series, in sight. */
  show({ subject, start, end }) {
    const room = Math.max((end - start) / 2, 10);
    this.#zoomTo(start - room, end + room);
    const row = this.#rows.find(({ series }) => series.name === subject)?.row;
    if (row) reveal(row);
    this.#stack.focus({ preventScroll: true });
    queueMicrotask(() => this.#moveTo(start));
  }

  #row(series) {
    const value = h("span.fc-value");
    const plot = h("div.fc-plot");
    this.#values.push(value);
    const name = h("span.fc-name", { title: series.name }, series.name);
    return { row: h("div.fc-row", h("div.fc-head", name, value), plot), plot, series };
  }

  /** Make the charts when their width is known, and fit them to it. */
  #resize() {
    const width = Math.floor(this.#rows[0].plot.clientWidth);
    if (!width || width === this.#width) return;
    this.#width = width;
    if (!this.#plots.length) this.#plots = this.#rows.map((row, i) => this.#plot(row, i === this.#rows.length - 1));
    this.#plots.forEach((plot, i) => plot.setSize({ width, height: heightOf(i === this.#plots.length - 1) }));
    this.#placeAlert();
  }

  #plot({ plot, series }, isLast) {
    const color = (name) => () => this.#color(name);
    const options = {
      width: this.#width,
      height: heightOf(isLast),
      padding: [6, RIGHT, isLast ? 0 : 6, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, dist: 4 },
        sync: { key: this.#stack, scales: ["x", null] },
        points: { size: 7, fill: color("accent"), stroke: color("surface"), width: 1.5 },
        bind: { dblclick: () => () => this.#zoomTo(...this.#whole) },
      },
      scales: {
        x: { time: false, auto: false, min: this.#range[0], max: this.#range[1] },
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
          font: this.#font(),
          stroke: color("muted"),
          grid: { show: false },
          ticks: { stroke: color("line"), width: 1, size: 4 },
        },
        {
          size: LEFT,
          gap: 6,
          space: 26,
          font: this.#font(),
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
          points: { size: 4, fill: color("accent"), filter: lonely },
        },
      ],
      hooks: {
        drawClear: [(u) => this.#drawWindows(u, series)],
        draw: [(u) => this.#drawMarks(u, series)],
        setCursor: [(u) => this.#handleCursor(u)],
        setScale: [(u, key) => key === "x" && this.#handleScale(u)],
      },
    };
    return new uPlot(options, [series.times, series.values], plot);
  }

  // Cursor

  #handleCursor(u) {
    const { left } = u.cursor;
    if (u !== this.#plots[0]) return; // all charts have the same cursor
    this.#show(left === undefined || left < 0 ? null : u.posToVal(left, "x"));
  }

  #moveTo(time) {
    this.#at = time;
    for (const plot of this.#plots) plot.setCursor({ left: time === null ? -10 : plot.valToPos(time, "x"), top: 0 });
    this.#show(time);
  }

  #show(time) {
    this.#at = time;
    const [first] = this.#plots;
    this.#clock.hidden = time === null;
    this.#alertLabel.classList.toggle("fc-hidden", time !== null);
    if (time !== null && first) {
      setText(this.#clock, `${utc(time, this.#range[1] - this.#range[0] < 600 ? 1 : 0)} UTC`);
      this.#place(this.#clock, first.valToPos(time, "x"));
    }
    this.#describe();
  }

  /** What the slider says, and the values beside the names. */
  #describe() {
    const time = this.#at;
    const words = this.#series.map((series, i) => {
      const text = time === null ? restingText(series) : valueAt(series, time);
      setText(this.#values[i], text);
      this.#values[i].classList.toggle("fc-live", time !== null);
      return `${series.name}: ${text}`;
    });
    const [from, to] = this.#range;
    const now = Math.round(time ?? from);
    const attributes = { "aria-valuemin": Math.floor(from), "aria-valuemax": Math.ceil(to), "aria-valuenow": now };
    for (const name in attributes) this.#stack.setAttribute(name, String(attributes[name]));
    const span = `${utc(from)} to ${utc(to)} UTC`;
    this.#stack.setAttribute("aria-valuetext", time === null ? span : `${utc(time)} UTC. ${words.slice(0, 12).join(". ")}`);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
    const [from, to] = this.#range;
    const times = this.#times.filter((time) => time >= from && time <= to);
    const { key } = event;
    if (key in steps && times.length) {
      const at = this.#at;
      const next = at === null ? 0 : times.findIndex((time) => time > at + 1e-6);
      const index = at === null ? 0 : (next < 0 ? times.length : next) + (steps[key] > 0 ? steps[key] - 1 : steps[key] - (times.includes(at) ? 1 : 0));
      this.#moveTo(times[Math.min(times.length - 1, Math.max(0, index))]);
    } else if (key === "Home" || key === "End") this.#moveTo(times[key === "Home" ? 0 : times.length - 1] ?? null);
    else if (key === "+" || key === "=") this.#zoom(1 / ZOOM);
    else if (key === "-") this.#zoom(ZOOM);
    else if (key === "0") this.#zoomTo(...this.#whole);
    else if (key === "Escape" && this.#at !== null) this.#moveTo(null);
    else return;
    event.preventDefault();
  }

  // Zoom

  #zoom(factor) {
    const [from, to] = this.#range;
    const center = this.#at ?? (from + to) / 2;
    this.#zoomTo(center - (center - from) * factor, center + (to - center) * factor);
  }

  #zoomTo(from, to) {
    const [least, most] = this.#whole;
    const shortest = Math.min(1, (most - least) / 10);
    if (to - from < shortest) return;
    const range = { min: Math.max(least, from), max: Math.min(most, to) };
    for (const plot of this.#plots) plot.setScale("x", range);
  }

  #handleScale(u) {
    const { min, max } = u.scales.x;
    if (typeof min !== "number") return;
    this.#range = [min, max];
    const [from, to] = this.#whole;
    this.#reset.disabled = min <= from && max >= to;
    this.#placeAlert();
    if (this.#at !== null && u === this.#plots[this.#plots.length - 1]) queueMicrotask(() => this.#moveTo(this.#at));
  }

  // Drawing

  #placeAlert() {
    const [first] = this.#plots;
    if (!this.#alert || !first) return (this.#alertLabel.hidden = true);
    const { start, end } = this.#alert;
    const [left, right] = [start, end ?? start].map((time) => first.valToPos(Math.min(Math.max(time, this.#range[0]), this.#range[1]), "x"));
    this.#alertWindow.style.setProperty("--x", String(LEFT + left));
    this.#alertWindow.style.setProperty("--w", String(right - left));
    this.#alertLabel.hidden = start < this.#range[0] || start > this.#range[1];
    this.#place(this.#alertLabel, first.valToPos(start, "x"));
  }

  /** Put a label of the strip above this position of the plots. */
  #place(label, position) {
    label.style.setProperty("--x", `${LEFT + position}px`);
    label.classList.toggle("fc-flipped", position > (this.#width - LEFT) * 0.75);
  }

  /** The times of the findings. */
  #drawWindows(u, series) {
    const band = (from, to, name) => {
      const [left, right] = [from, to].map((time) => u.valToPos(Math.min(Math.max(time, u.scales.x.min), u.scales.x.max), "x", true));
      u.ctx.fillStyle = this.#color(name);
      u.ctx.fillRect(left, u.bbox.top, Math.max(right - left, 1), u.bbox.height);
    };
    u.ctx.save();
    for (const finding of series.findings) {
      if (finding.start !== null && overlaps(u, finding.start, finding.end)) band(finding.start, finding.end, "window");
    }
    u.ctx.restore();
  }

  /** Where the alert fired, and where something changed. */
  #drawMarks(u, series) {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    const line = (time, name, dash) => {
      if (!overlaps(u, time, time)) return null;
      const x = Math.round(u.valToPos(time, "x", true));
      ctx.strokeStyle = ctx.fillStyle = this.#color(name);
      ctx.setLineDash(dash.map((length) => length * ratio));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      return x;
    };
    ctx.save();
    ctx.lineWidth = 1.25 * ratio;
    for (const time of [this.#alert?.start, this.#alert?.end]) if (typeof time === "number") line(time, "warn", [4, 3]);
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

  #repaint() {
    this.#colors = null;
    for (const plot of this.#plots) plot.redraw(false, false);
  }

  /** A canvas needs colours without variables. */
  #color(name) {
    this.#colors ??= Object.fromEntries(
      ["accent", "surface", "ink", "muted", "line", "warn", "window"].map((each) => {
        this.#probe.style.color = `var(--fc-${each})`;
        return [each, getComputedStyle(this.#probe).color];
      }),
    );
    return this.#colors[name];
  }

  #font() {
    return `11px ${getComputedStyle(this.#stack).fontFamily}`;
  }
}

const heightOf = (isLast) => HEIGHT + (isLast ? AXIS : 0);
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

/** @param {Series} series */
function valueAt({ times, values, step, unit }, time) {
  let low = 0;
  let high = times.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle;
    else high = middle;
  }
  const nearest = Math.abs(times[low] - time) <= Math.abs(times[high] - time) ? low : high;
  const value = values[nearest];
  return value === null || Math.abs(times[nearest] - time) > 1.5 * step ? "no sample" : quantity(value, unit);
}

/** What a chart says without a cursor. @param {Series} series */
function restingText({ values, unit }) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low > high) return "no sample";
  return low === high ? quantity(low, unit) : `${quantity(low)} – ${quantity(high, unit)}`;
}

function timeLabels(splits, increment) {
  return splits.map((time, i) => {
    if (increment >= DAY) return utc(time, -2);
    const isNewDay = i > 0 && Math.floor(time / DAY) !== Math.floor(splits[i - 1] / DAY);
    return isNewDay ? utc(time, -2) : utc(time, increment < 1 ? 2 : increment < 60 ? 0 : -1);
  });
}

function legend(series, alert) {
  const item = (kind, text) => h("span.fc-key", h(`i.fc-key-${kind}`), text);
  const hasGap = series.some(({ values }) => values.includes(null));
  return h(
    "p.fc-legend",
    item("change", "change"),
    item("window", "while it lasts"),
    alert && item("alert", alert.isAlert ? "alert" : "time in the request"),
    hasGap && h("span.fc-key", "A gap has no samples in the findings."),
    h("span.fc-key", "Drag to zoom. UTC."),
  );
}
