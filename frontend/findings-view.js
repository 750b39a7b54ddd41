/** The analysts' findings, in the order in which they happened. */

import { byId, h, setText, svg } from "./dom.js";
import { count, utcTime } from "./format.js";
import { glyph } from "./glyph.js";

const MAX_ROWS = 500; // every change draws all of them again
// Of a sparkline's viewBox.
const [WIDTH, HEIGHT, MARGIN] = [120, 30, 3];

export class FindingsView {
  #panel;
  #count;
  #list;
  #drawnVersion = 0;

  /** @param {any} view of a task */
  constructor(view) {
    const ids = ["findings-panel", "findings-count", "findings"];
    [this.#panel, this.#count, this.#list] = ids.map((id) => byId(id, view));
  }

  /** @param {{list: any[], version: number}} findings the version grows with each change */
  draw({ list, version }) {
    if (version === this.#drawnVersion) return;
    this.#drawnVersion = version;
    const sorted = list.filter(Boolean).sort((a, b) => (String(a.start) < String(b.start) ? -1 : 1));
    const shown = sorted.slice(0, MAX_ROWS);
    this.#panel.hidden = !shown.length;
    const part = shown.length < sorted.length ? `the first ${count(MAX_ROWS)} of ` : "";
    setText(this.#count, `${part}${count(sorted.length)}, times in UTC`);
    this.#list.replaceChildren(...shown.map(findingRow));
  }
}

function findingRow(finding) {
  const { type = "", subject = "", summary = "", start = "", end = start } = finding;
  const until = end === start ? "" : `–${utcTime(end)}`;
  const kind = h("span.finding-type", glyph(type), String(type).replaceAll("_", " "));
  const figures = [sparkline(finding), h("span.finding-size", quantity(finding.magnitude, finding.unit)), confidence(finding)];
  return h(
    "li.finding",
    h("time.finding-time", { dateTime: start, title: `${start} – ${end}` }, utcTime(start), h("span", until)),
    h("div", h("p.finding-head", kind, h("code", String(subject))), h("p.finding-summary", String(summary))),
    h("div.finding-figures", ...figures),
  );
}

/** 1.25 s · 1,250 requests */
function quantity(value, unit = "") {
  if (typeof value !== "number") return "";
  const maximumFractionDigits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${new Intl.NumberFormat("en", { maximumFractionDigits }).format(value)} ${unit}`.trim();
}

function confidence({ confidence: share }) {
  if (typeof share !== "number") return null;
  const bar = h("progress", { value: share, "aria-hidden": "true" });
  return h("span.finding-confidence", { title: "confidence" }, bar, `${Math.round(share * 100)} %`);
}

/** The series behind a finding, with the finding's own time shaded. */
function sparkline({ subject, start = "", end = "", evidence }) {
  const series = Array.isArray(evidence?.series) ? evidence.series : [];
  const points = series.map(([time, value]) => [Date.parse(time), value]).filter((point) => point.every(Number.isFinite));
  if (points.length < 2) return null;
  const values = points.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [from, to] = [points[0][0], points[points.length - 1][0]];
  const x = (time) => ((Math.min(to, Math.max(from, time)) - from) / (to - from || 1)) * WIDTH;
  const y = (value) => HEIGHT - MARGIN - ((value - low) / (high - low || 1)) * (HEIGHT - 2 * MARGIN);
  const d = points.map(([time, value], i) => `${i ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const left = x(Date.parse(start) || from);
  const width = Math.max(1.5, x(Date.parse(end) || to) - left);
  const label = `${subject}: between ${quantity(low)} and ${quantity(high)}`;
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "spark", role: "img", "aria-label": label, preserveAspectRatio: "none" },
    svg("rect", { x: left, width, height: HEIGHT }),
    svg("path", { d, "vector-effect": "non-scaling-stroke" }),
  );
}
