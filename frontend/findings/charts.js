/**
 * The series of one incident: a small chart each, one below the other, on one time axis with one cursor.
 * It is imported when charts come into view.
 */

import { h, on, setText, uniqueId } from "../dom.js";
import { heightOf, LEFT, makePlot } from "./plot.js";
import { restingText, valueAt } from "./series.js";
import { reveal, utc } from "./words.js";

/** @typedef {import("./series.js").Series} Series @typedef {import("./incidents.js").Alert} Alert */

const ZOOM = 2;
const SHORTEST = 1; // s

export class Charts {
  /** @type {any} */ element;
  #plots = /** @type {any[]} */ ([]);
  #values = /** @type {any[]} */ ([]);
  #series;
  #rows;
  #alert;
  #whole; // [from, to] of all samples
  #start; // [from, to] without zoom
  #range; // [from, to] that is in sight
  #times; // of all samples
  #at = /** @type {number | null} */ (null);
  #last = /** @type {number | null} */ (null); // where the cursor was: a tap on a button takes it away
  #strip = h("div.fc-strip");
  #clock = h("span.fc-clock");
  #alertLabel = h("span.fc-alert");
  #alertWindow = h("i.fc-alert-window");
  #sync = uniqueId();
  #stack;
  #reset;
  #colors = /** @type {Record<string, string> | null} */ (null);
  #probe = h("i.fc-probe");
  #width = 0;
  #aborter = new AbortController();
  #resizing = new ResizeObserver(() => this.#resize());

  /**
   * @param {Series[]} series at least one @param {{range: [number, number], alert: Alert | null}} options
   * `range` is what is in sight without zoom
   */
  constructor(series, { range, alert }) {
    this.#series = series;
    this.#alert = alert;
    this.#start = this.#range = range;
    this.#times = [...new Set(series.flatMap(({ times, values }) => times.filter((_, i) => values[i] !== null)))].sort((a, b) => a - b);
    this.#whole = [Math.min(range[0], this.#times[0]), Math.max(range[1], this.#times[this.#times.length - 1])];
    this.#alertLabel.append(alert?.isAlert ? "alert" : "time in the request");
    this.#alertLabel.title = alert?.title ?? "";
    const rows = series.map((each) => this.#row(each));
    const button = (label, text, zoom) => h("button.f-tool", { type: "button", "aria-label": label, title: label, onclick: zoom }, text);
    this.#reset = button("Reset the zoom", "Reset", () => this.#zoomTo(...this.#start));
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
    const keys = h("p.visually-hidden", { id }, "Arrow keys move the cursor from sample to sample, plus and minus zoom, 0 resets the zoom.");
    this.element = h("div.fc", this.#probe, tools, this.#stack, legend(series, alert), keys);
    on(this.#stack, "keydown", (event) => this.#key(event));
    on(this.#stack, "blur", () => this.#moveTo(null));
    // Charts that are no longer on the page notice it here.
    const redraw = () => (this.element.isConnected ? this.#repaint() : this.close());
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

  focus() {
    this.#stack.focus({ preventScroll: true });
  }

  /** Put the time of a finding, and the chart of its series, in sight. */
  show({ subject, start, end }) {
    const room = Math.max((end - start) / 2, 10);
    this.#zoomTo(start - room, end + room);
    const row = this.#rows.find(({ series }) => series.name === subject)?.row;
    if (row) reveal(row);
    this.focus();
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
    if (!this.#plots.length) this.#plots = this.#rows.map(({ plot, series }, i) => this.#plot(plot, series, i === this.#rows.length - 1));
    this.#plots.forEach((plot, i) => plot.setSize({ width, height: heightOf(i === this.#plots.length - 1) }));
    this.#placeAlert();
  }

  #plot(host, series, isLast) {
    return makePlot(host, series, {
      width: this.#width,
      isLast,
      range: this.#range,
      limit: (from, to) => this.#limited(from, to),
      alert: this.#alert,
      colors: (name) => this.#color(name),
      font: `11px ${getComputedStyle(this.#stack).fontFamily}`,
      sync: this.#sync,
      onReset: () => this.#zoomTo(...this.#start),
      onCursor: (u) => this.#handleCursor(u),
      onScale: (u) => this.#handleScale(u),
    });
  }

  // Cursor

  #handleCursor(u) {
    const { left } = u.cursor;
    if (u !== this.#plots[0]) return; // all charts have the same cursor
    this.#show(left === undefined || left < 0 ? null : u.posToVal(left, "x"));
  }

  /** Put the cursor at a time, and the time in sight. */
  #moveTo(time) {
    this.#at = time;
    const [from, to] = this.#range;
    if (time !== null && (time < from || time > to)) {
      const half = (to - from) / 2;
      return this.#zoomTo(time - half, time + half); // which moves the cursor
    }
    for (const plot of this.#plots) plot.setCursor({ left: time === null ? -10 : plot.valToPos(time, "x"), top: 0 });
    this.#show(time);
  }

  #show(time) {
    this.#at = time;
    this.#last = time ?? this.#last;
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
    const [least, most] = this.#whole;
    const attributes = { "aria-valuemin": Math.floor(least), "aria-valuemax": Math.ceil(most), "aria-valuenow": now };
    for (const name in attributes) this.#stack.setAttribute(name, String(attributes[name]));
    const span = `${utc(from)} to ${utc(to)} UTC`;
    this.#stack.setAttribute("aria-valuetext", time === null ? span : `${utc(time)} UTC. ${words.slice(0, 12).join(". ")}`);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
    const times = this.#times;
    const { key } = event;
    if (Object.hasOwn(steps, key)) {
      const at = this.#at ?? this.#range[0] - 1;
      // The first sample after the cursor, and the one before it.
      const after = times.findIndex((time) => time > at);
      const next = after < 0 ? times.length : after;
      const before = times[next - 1] === at ? next - 2 : next - 1;
      const index = steps[key] > 0 ? next + steps[key] - 1 : before + steps[key] + 1;
      this.#moveTo(times[Math.min(times.length - 1, Math.max(0, index))]);
    } else if (key === "Home" || key === "End") this.#moveTo(times[key === "Home" ? 0 : times.length - 1]);
    else if (key === "+" || key === "=") this.#zoom(1 / ZOOM);
    else if (key === "-") this.#zoom(ZOOM);
    else if (key === "0") this.#zoomTo(...this.#start);
    else if (key === "Escape" && this.#at !== null) this.#moveTo(null);
    else return;
    event.preventDefault();
  }

  // Zoom

  #zoom(factor) {
    const [from, to] = this.#range;
    const center = this.#last !== null && this.#last > from && this.#last < to ? this.#last : (from + to) / 2;
    this.#zoomTo(center - (center - from) * factor, center + (to - center) * factor);
  }

  #zoomTo(from, to) {
    const [min, max] = this.#limited(from, to);
    for (const plot of this.#plots) plot.setScale("x", { min, max });
  }

  /** A range that is within the whole one, and long enough to be read. @returns {[number, number]} */
  #limited(from, to) {
    const [least, most] = this.#whole;
    const length = Math.min(Math.max(to - from, SHORTEST), most - least);
    const start = Math.min(Math.max((from + to - length) / 2, least), most - length);
    return [start, start + length];
  }

  #handleScale(u) {
    const { min, max } = u.scales.x;
    if (typeof min !== "number") return;
    this.#range = [min, max];
    const [from, to] = this.#start;
    this.#reset.disabled = min === from && max === to;
    this.#placeAlert();
    if (u !== this.#plots[this.#plots.length - 1]) return;
    queueMicrotask(() => (this.#at === null ? this.#describe() : this.#moveTo(this.#at)));
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
    h("span.fc-key.fc-drag", "Drag to zoom."),
  );
}
