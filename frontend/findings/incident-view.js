/** One incident: its charts, and a row for each finding. */

import { h, on, setText, uniqueId } from "../dom.js";
import { count, plural } from "../format.js";
import { seriesOf } from "./series.js";
import { ORDERS } from "./incidents.js";
import { arrange, quantity, utc } from "./words.js";

/**
 * @typedef {import("./incidents.js").Finding} Finding @typedef {import("./finding-row.js").FindingRow} FindingRow
 * @typedef {import("./incidents.js").Incident | {findings: Finding[], first: Finding[], faint: Finding[], atEnd: Finding[], start: null, end: null}} AnyIncident
 */

const MOST_ROWS = 25; // until more are asked for
const MOST_CHARTS = 12;
const ROW_HEIGHT = 68; // px of a chart, about
const MOST_TABLE_ROWS = 500;

export class IncidentView {
  /** @type {any} */ element;
  #incident;
  #context;
  #arranged = /** @type {Finding[]} */ ([]);
  #most = MOST_ROWS;
  #series = /** @type {import("./series.js").Series[] | null} */ (null); // made when the incident is opened
  #mostCharts = MOST_CHARTS;
  #charts = /** @type {any} */ (null);
  #drawing = /** @type {Promise<void> | null} */ (null);
  #range;
  #id = uniqueId();
  #opener;
  #about = h("span.f-quiet");
  #body = h("div.f-body", { id: this.#id });
  #host = h("div.f-charts");
  #list = h("ol.f-rows");
  #more = h("button.f-tool", { type: "button", hidden: true, onclick: () => this.#showMore() });
  #sight;

  /**
   * @param {AnyIncident} incident without times for findings that have none
   * @param {{alert: import("./incidents.js").Alert | null, rowOf: (finding: Finding) => FindingRow, isOpen: boolean}} context
   */
  constructor(incident, context) {
    this.#incident = incident;
    this.#context = context;
    this.#range = rangeOf(incident);
    const isTimed = incident.start !== null;
    const title = isTimed ? `${utc(incident.start, 0)} – ${utc(incident.end, 0)}` : "Without a time";
    this.#opener = h("button.f-group", { type: "button", "aria-expanded": "true", "aria-controls": this.#id, onclick: () => this.#open(this.#body.hidden) }, h("span", isTimed && h("span.f-day", dayOf(incident.start)), " ", title, " ", this.#about));
    this.#body.append(this.#host, this.#list, this.#more);
    this.element = h("section.f-incident", { "aria-label": title }, h("h4", this.#opener), this.#body);
    this.#sight = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.#drawCharts(), { rootMargin: "300px" });
    this.#open(context.isOpen);
  }

  close() {
    this.#sight.disconnect();
    this.#charts?.close();
  }

  #open(isOpen) {
    this.#body.hidden = !isOpen;
    this.#opener.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) return;
    this.#prepareCharts();
    this.#drawRows();
  }

  /** Show these findings of the incident, in this order. What a filter finds is unfolded. @param {Finding[]} findings */
  arrange(findings, { isFiltered = false } = {}) {
    this.#arranged = findings;
    const total = this.#incident.findings.length;
    setText(this.#about, `${findings.length < total ? `${count(findings.length)} of ` : ""}${plural(total, "finding")}`);
    if (isFiltered && this.#body.hidden) this.#open(true);
    else if (!this.#body.hidden) this.#drawRows();
  }

  /** Put a finding's row in sight. */
  show(finding) {
    this.#most = Math.max(this.#most, this.#arranged.indexOf(finding) + 1);
    this.#open(true);
    this.#rowOf(finding).show();
  }

  #showMore() {
    const next = this.#arranged[this.#most];
    this.#most += 4 * MOST_ROWS;
    this.#drawRows();
    if (this.#more.hidden && next) this.#rowOf(next).show();
  }

  #drawRows() {
    const shown = this.#arranged.slice(0, this.#most).map((finding) => this.#rowOf(finding).element);
    arrange(this.#list, shown);
    const left = this.#arranged.length - shown.length;
    this.#more.hidden = left <= 0;
    setText(this.#more, `Show ${count(Math.min(left, 4 * MOST_ROWS))} more of ${count(this.#arranged.length)} findings`);
  }

  #rowOf(finding) {
    const { alert, rowOf } = this.#context;
    const row = rowOf(finding);
    const showChart = this.#series?.length ? (each) => this.#showChart(each) : null;
    row.place({ range: this.#range, alertAt: alert?.start ?? null, showChart });
    return row;
  }

  async #showChart(finding) {
    if (this.#series.findIndex(({ name }) => name === finding.subject) >= this.#mostCharts) this.#showAllCharts();
    await this.#drawCharts();
    this.#charts?.show(finding);
  }

  // Charts

  #prepareCharts() {
    if (this.#series) return;
    this.#series = seriesOf([...this.#incident.findings].sort(ORDERS.rank.compare));
    this.#host.hidden = !this.#series.length;
    if (!this.#series.length) return;
    this.#host.style.minHeight = `${Math.min(this.#series.length, MOST_CHARTS) * ROW_HEIGHT + 90}px`;
    this.#sight.observe(this.#host);
  }

  #drawCharts() {
    this.#sight.disconnect();
    return (this.#drawing ??= this.#loadCharts());
  }

  async #loadCharts() {
    try {
      const [{ Charts }, { loadLibrary }] = await Promise.all([import("./charts.js"), import("./plot.js")]);
      await loadLibrary();
      const shown = this.#series.slice(0, this.#mostCharts);
      const { alert } = this.#context;
      this.#charts = new Charts(shown, { range: chartRange(this.#range, this.#series, alert), alert });
      const left = this.#series.length - shown.length;
      const more = left > 0 && h("button.f-tool", { type: "button", onclick: () => this.#showAllCharts().then(() => this.#charts?.focus()) }, `Show ${count(left)} more charts`);
      this.#host.replaceChildren(this.#charts.element, h("p.f-tools", more), tableOf(this.#series));
    } catch {
      this.#drawing = null;
      const retry = h("button.f-tool", { type: "button", onclick: () => this.#drawCharts() }, "Try again");
      this.#host.replaceChildren(h("p.f-quiet", "The charts could not be loaded. ", retry), tableOf(this.#series));
    }
    this.#host.style.minHeight = "";
  }

  #showAllCharts() {
    this.#charts?.close();
    this.#mostCharts = Infinity;
    this.#drawing = null;
    return this.#drawCharts();
  }
}

const dayOf = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);

/** @returns {[number, number] | null} */
function rangeOf({ start, end }) {
  return start === null || end === null ? null : [start, Math.max(end, start + 1)];
}

/** The incident with some time around it, as far as there are samples. @returns {[number, number]} */
function chartRange(range, series, alert) {
  const times = series.flatMap(({ times: each }) => [each[0], each[each.length - 1]]);
  if (!range) return [Math.min(...times), Math.max(...times)];
  const [start, end] = range;
  const length = Math.max(end - start, 10);
  if (alert) times.push(alert.start);
  const low = Math.max(Math.min(...times), start - 0.5 * length);
  const high = Math.min(Math.max(...times), end + 0.25 * length);
  return [Math.min(low, start), Math.max(high, end)];
}

/** The samples of all series as a table, made when it is opened. */
function tableOf(series) {
  const details = h("details.f-table", h("summary", "Values as a table"));
  on(details, "toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const byTime = new Map();
    series.forEach(({ times, values }, column) =>
      times.forEach((time, i) => {
        if (values[i] === null) return;
        if (!byTime.has(time)) byTime.set(time, []);
        byTime.get(time)[column] = values[i];
      }),
    );
    const times = [...byTime.keys()].sort((a, b) => a - b);
    const cell = (time, column) => h("td", quantity(byTime.get(time)[column] ?? null) || "–");
    const rows = times.slice(0, MOST_TABLE_ROWS).map((time) => h("tr", h("th", { scope: "row" }, utc(time, 1)), ...series.map((_, column) => cell(time, column))));
    const heads = series.map(({ name, unit }) => h("th", { scope: "col" }, unit ? `${name} (${unit})` : name));
    const head = h("thead", h("tr", h("th", { scope: "col" }, "UTC"), ...heads));
    const note = times.length > MOST_TABLE_ROWS && h("p.f-quiet", `The first ${count(MOST_TABLE_ROWS)} of ${count(times.length)} times.`);
    details.append(...[note, h("div.f-scroll", { tabIndex: 0, role: "region", "aria-label": "Values" }, h("table", head, h("tbody", ...rows)))].filter(Boolean));
  });
  return details;
}
