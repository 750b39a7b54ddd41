/** The findings of a task: first what is likely, then the incidents with their charts and rows. */

import { h, on, setText } from "../dom.js";
import { count, plural } from "../format.js";
import { besideFindings, drawBeside } from "./beside.js";
import { copyButton, FindingRow, jsonOf, shorten, typeWords } from "./finding-row.js";
import { alertOf, incidentsOf, ORDERS, readFindings } from "./incidents.js";
import { IncidentView } from "./incident-view.js";
import { linkMentions } from "./report-links.js";
import { summaryOf } from "./summary.js";
import { arrange, stylesheet } from "./words.js";

/** @typedef {import("./incidents.js").Finding} Finding */

const MOST_INCIDENTS = 10; // until more are asked for
const MOST_OTHERS = 20;

await stylesheet(new URL("findings.css", import.meta.url).href);

export class FindingsView {
  element = h("section.findings", { "aria-label": "Findings", "data-testid": "findings" });
  /** Cause, time and confidence: at the top of `element`, or where the page puts it. */
  summary = h("div.f-answer", { "data-testid": "findings-summary", hidden: true });
  #list = /** @type {any[]} */ ([]);
  #findings = /** @type {Finding[]} */ ([]);
  #alertKey = "";
  #besideKey = "";
  #alert = /** @type {any} */ (null);
  #incidents = /** @type {import("./incident-view.js").AnyIncident[]} */ ([]);
  #matching = /** @type {{incident: import("./incident-view.js").AnyIncident, findings: Finding[]}[]} */ ([]);
  /** @type {WeakMap<Finding, FindingRow>} */ #rows = new WeakMap();
  /** Only those that were shown. @type {Map<any, IncidentView>} */ #views = new Map();
  #mostIncidents = MOST_INCIDENTS;
  #isFiltered = false;
  #report = /** @type {any} */ (null);
  /** The most important finding of each subject. @type {Map<string, Finding>} */ #bySubject = new Map();

  #total = h("p.f-total", { role: "status" });
  #search = h("input.f-search", { type: "search", placeholder: "Search the findings", "aria-label": "Search the findings" });
  #type = h("select", { "aria-label": "Type of the findings" });
  #agents = h("select", { "aria-label": "Agent of the findings" });
  #order = h("select", { "aria-label": "Order of the findings" }, ...Object.entries(ORDERS).map(([value, { label }]) => h("option", { value }, label)));
  #tools = h("div.f-toolbar", this.#search, this.#type, this.#agents, this.#order);
  #groups = h("div.f-incidents");
  #more = h("button.f-tool", { type: "button", hidden: true, onclick: () => this.#showMoreIncidents() });
  #none = h("p.f-quiet", { hidden: true }, "No finding matches. ", h("button.f-tool", { type: "button", onclick: () => this.#showAll() }, "Show all"));
  #others = h("div");
  #beside = h("div");

  constructor() {
    const head = h("div.f-title", h("h3", "Findings"), this.#total);
    this.element.append(this.summary, head, this.#tools, this.#groups, this.#more, this.#none, this.#others, this.#beside);
    on(this.#search, "input", () => this.#filter());
    for (const select of [this.#type, this.#agents, this.#order]) on(select, "change", () => this.#filter());
  }

  /**
   * @param {any[]} findings of the artifact, as the agent sent them
   * @param {{task: any, report?: any}} context `report` is the element of the finished answer, for links
   */
  draw(findings, { task, report = null }) {
    const list = Array.isArray(findings) ? findings : [];
    const alert = alertOf(task);
    const { events, failures, ...beside } = besideFindings(task);
    const alertKey = jsonOf([alert, events, failures]);
    const isSame = list.length === this.#list.length && alertKey === this.#alertKey && list.every((each, i) => each === this.#list[i]);
    if (!isSame) {
      this.#list = [...list];
      this.#alertKey = alertKey;
      this.#build(alert, events, failures);
    }
    this.#drawBeside(beside, isSame);
    if (!report) return;
    this.#report = report;
    linkMentions(report, this.#bySubject.keys(), (subject) => this.#show(this.#bySubject.get(subject)));
  }

  close() {
    for (const view of this.#views.values()) view.close();
    this.#views.clear();
  }

  #build(alert, events, failures) {
    const focused = document.activeElement;
    this.close();
    const { findings, others } = readFindings(this.#list);
    this.#findings = findings;
    this.#alert = alert;
    const { incidents, untimed } = incidentsOf(findings, alert, events, this.#list);
    this.#incidents = untimed.length ? [...incidents, { findings: untimed, first: [], faint: [], atEnd: [], start: null, end: null }] : incidents;
    this.#bySubject.clear();
    for (const finding of [...findings].sort(ORDERS.rank.compare)) {
      if (!this.#bySubject.has(finding.subject)) this.#bySubject.set(finding.subject, finding);
    }
    this.summary.replaceChildren(...summaryOf(incidents, alert, (finding) => this.#show(finding), failures));
    this.summary.hidden = !this.summary.firstChild;
    options(this.#type, "All types", tally(findings.map(({ type }) => type)), typeWords);
    options(this.#agents, "All agents", tally(findings.map(({ agent }) => agent)), (agent) => shorten(agent || "not named", 60));
    this.#agents.hidden = this.#agents.options.length < 3;
    this.#tools.hidden = findings.length < 2;
    this.#drawOthers(others);
    this.#filter();
    if (focused instanceof HTMLElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  #filter() {
    const words = this.#search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const [type, agent] = [this.#type.value, this.#agents.value];
    const matches = (finding) => {
      if (type && `=${finding.type}` !== type) return false;
      if (agent && `=${finding.agent}` !== agent) return false;
      if (!words.length) return true;
      const text = textOf(finding);
      return words.every((word) => text.includes(word));
    };
    const isFiltered = (this.#isFiltered = Boolean(type || agent || words.length));
    this.#matching = this.#incidents
      .map((incident) => ({ incident, findings: isFiltered ? incident.findings.filter(matches) : incident.findings }))
      .filter(({ findings }) => findings.length);
    this.#drawIncidents();
    const total = this.#findings.length;
    const shown = this.#matching.reduce((sum, { findings }) => sum + findings.length, 0);
    const all = plural(total, "finding");
    const groups = this.#incidents.length > 1 ? ` in ${count(this.#incidents.length)} groups by time` : "";
    setText(this.#total, !total ? "The list is empty." : isFiltered ? `${count(shown)} of ${all}` : `${all}${groups}, times in UTC`);
    this.#none.hidden = shown > 0 || !total;
  }

  #drawIncidents() {
    const { compare } = ORDERS[this.#order.value] ?? ORDERS.rank;
    const shown = this.#matching.slice(0, this.#mostIncidents);
    arrange(
      this.#groups,
      shown.map(({ incident, findings }) => {
        const view = this.#viewOf(incident);
        view.arrange([...findings].sort(compare), { isFiltered: this.#isFiltered });
        return view.element;
      }),
    );
    const left = this.#matching.length - shown.length;
    this.#more.hidden = !left;
    setText(this.#more, `Show ${count(Math.min(MOST_INCIDENTS, left))} more groups of ${count(this.#matching.length)}`);
  }

  /** @returns {IncidentView} */
  #viewOf(incident) {
    let view = this.#views.get(incident);
    if (!view) {
      view = new IncidentView(incident, { alert: this.#alert, rowOf: (finding) => this.#rowOf(finding), isOpen: incident === this.#incidents[0] });
      this.#views.set(incident, view);
    }
    return view;
  }

  /** Rows stay when findings are added, open or not. */
  #rowOf(finding) {
    let row = this.#rows.get(finding);
    if (!row) this.#rows.set(finding, (row = new FindingRow(finding, (subject) => this.#mentionOf(subject))));
    return row;
  }

  #showMoreIncidents() {
    this.#mostIncidents += MOST_INCIDENTS;
    this.#drawIncidents();
  }

  #showAll() {
    this.#search.value = this.#type.value = this.#agents.value = "";
    this.#filter();
    this.#search.focus();
  }

  /** Put a finding's row in sight, also if it was folded or filtered away. @param {Finding} finding */
  #show(finding) {
    if (!this.#matching.some(({ findings }) => findings.includes(finding))) this.#showAll();
    const index = this.#matching.findIndex(({ findings }) => findings.includes(finding));
    if (index < 0) return;
    if (index >= this.#mostIncidents) {
      this.#mostIncidents = index + 1;
      this.#drawIncidents();
    }
    this.#viewOf(this.#matching[index].incident).show(finding);
  }

  /** The first link in the report to a finding of this subject. */
  #mentionOf(subject) {
    if (!this.#report?.isConnected) return null;
    return [...this.#report.querySelectorAll(".f-mention")].find(({ textContent }) => textContent === subject) ?? null;
  }

  #drawBeside(beside, isSame) {
    // Their JSON is long, so it is made only when the artifact may have changed.
    if (isSame && this.#besideKey) return;
    const key = jsonOf(beside);
    if (key !== this.#besideKey) this.#beside.replaceChildren(...drawBeside(beside));
    this.#besideKey = key;
  }

  #drawOthers(others) {
    this.#others.replaceChildren();
    if (!others.length) return;
    const shown = others.slice(0, MOST_OTHERS).map((each) => h("pre", { tabIndex: 0 }, h("code", shorten(jsonOf(each, 2)))));
    const title = others.length === 1 ? "1 entry is not a finding: it has" : `${count(others.length)} entries are not findings: they have`;
    const more = others.length > MOST_OTHERS && h("p.f-quiet", `The first ${count(MOST_OTHERS)} are shown.`);
    const copy = copyButton("Copy all as JSON", () => jsonOf(others, 2));
    this.#others.append(h("details.f-others", h("summary", `${title} no type, subject or summary`), ...shown, more, copy));
  }
}

/** What a search looks at. */
function textOf({ type, subject, summary, agent, evidence }) {
  const texts = [typeWords(type), type, subject, summary, agent, ...Object.values(evidence).filter((value) => typeof value === "string")];
  return texts.join("\n").toLowerCase();
}

/** How often each value comes, the most frequent first. @returns {[string, number][]} */
function tally(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** An option for each value; the choice stays if there still is one. */
function options(select, all, counts, words) {
  const chosen = select.value;
  const option = ([value, n]) => h("option", { value: `=${value}` }, `${words(value)} (${count(n)})`);
  select.replaceChildren(h("option", { value: "" }, all), ...counts.slice(0, 200).map(option));
  select.value = chosen;
  if (!select.value) select.value = "";
}
