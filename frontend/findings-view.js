/** What the analysts found, in the order in which it happened. */

import { byId, glyph, h, meter, setText, svg } from "./dom.js";
import { count, utc } from "./time.js";

const MOST = 500; // rows; every change draws them again

export class FindingsView {
  #panel;
  #count;
  #list;
  #drawn = 0;

  /** @param {any} view of a task */
  constructor(view) {
    const ids = ["findings-panel", "findings-count", "findings"];
    [this.#panel, this.#count, this.#list] = ids.map((id) => byId(id, view));
  }

  /** @param {{list: any[], version: number}} findings */
  draw({ list, version }) {
    if (version === this.#drawn) return;
    this.#drawn = version;
    const sorted = list.filter(Boolean).sort((a, b) => (String(a.start) < String(b.start) ? -1 : 1));
    const shown = sorted.slice(0, MOST);
    this.#panel.hidden = !shown.length;
    const of = shown.length < sorted.length ? `the first ${count(MOST)} of ` : "";
    setText(this.#count, `${of}${count(sorted.length)}, times in UTC`);
    this.#list.replaceChildren(...shown.map(finding));
  }
}

function finding(one) {
  const { type = "", subject = "", summary = "", start = "", end = start } = one;
  const until = end === start ? "" : `–${utc(end)}`;
  const kind = h("span.finding-type", glyph(type), String(type).replaceAll("_", " "));
  return h(
    "li.finding",
    h("time.finding-time", { dateTime: start, title: `${start} – ${end}` }, utc(start), h("span", until)),
    h("div", h("p.finding-head", kind, h("code", String(subject))), h("p.finding-summary", String(summary))),
    h("div.finding-figures", sparkline(one), h("span.finding-size", magnitude(one)), confidence(one)),
  );
}

function magnitude({ magnitude: size, unit = "" }) {
  if (typeof size !== "number") return "";
  const maximumFractionDigits = Math.abs(size) >= 100 ? 0 : Math.abs(size) >= 10 ? 1 : 2;
  return `${new Intl.NumberFormat("en", { maximumFractionDigits }).format(size)} ${unit}`.trim();
}

function confidence({ confidence: value }) {
  if (typeof value !== "number") return null;
  return h("span.finding-confidence", { title: "confidence" }, meter(value), `${Math.round(value * 100)} %`);
}

/** The series behind a finding, with the finding's own time shaded. */
function sparkline({ subject, start, end, evidence }) {
  const series = Array.isArray(evidence?.series) ? evidence.series : [];
  const points = series.map(([at, value]) => [Date.parse(at), value]).filter((point) => point.every(Number.isFinite));
  if (points.length < 2) return null;
  const values = points.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [from, to] = [points[0][0], points.at(-1)[0]];
  const x = (at) => ((Math.min(to, Math.max(from, at)) - from) / (to - from || 1)) * 120;
  const y = (value) => 27 - ((value - low) / (high - low || 1)) * 24;
  const d = points.map(([at, value], i) => `${i ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const left = x(Date.parse(start) || from);
  const width = Math.max(1.5, x(Date.parse(end) || to) - left);
  const label = `${subject}: between ${magnitude({ magnitude: low })} and ${magnitude({ magnitude: high })}`;
  return svg(
    "svg",
    { viewBox: "0 0 120 30", class: "spark", role: "img", "aria-label": label, preserveAspectRatio: "none" },
    svg("rect", { x: left, width, height: 30 }),
    svg("path", { d, "vector-effect": "non-scaling-stroke" }),
  );
}
