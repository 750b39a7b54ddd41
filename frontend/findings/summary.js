/** The first lines: what failed, what came first, when, how sure its finding is, and whether it is over. */

import { h } from "../dom.js";
import { count } from "../format.js";
import { clocks, shorten, summaryText } from "./finding-row.js";
import { CONFIDENT, isKnown, isObject } from "./incidents.js";
import { lasting, percent, utc } from "./words.js";

/** @typedef {import("./incidents.js").Incident} Incident @typedef {import("./incidents.js").Finding} Finding */

const MOST_OTHERS = 4;
const MOST_EVENTS = 3;

/**
 * @param {Incident[]} incidents the one to tell about first @param {import("./incidents.js").Alert | null} alert
 * @param {(finding: Finding) => void} show @param {any} failures of the orchestrator, each with its `words` @returns {any[]}
 */
export function summaryOf(incidents, alert, show, failures = null) {
  const failed = (Array.isArray(failures) ? failures : []).filter((each) => isObject(each) && typeof each.words === "string");
  const lines = failed.slice(0, MOST_EVENTS).map(({ words, start }) => h("p.f-failure", h("b", "What failed: "), clocks(shorten(words, 600), start)));
  const [incident] = incidents;
  if (!incident) return lines;
  const [sign, ...others] = incident.first;
  const link = (finding, most = 60) => h("button.f-link", { type: "button", onclick: () => show(finding) }, h("code", shorten(finding.subject, most)));
  const fact = (name, value, note) => h("div", h("dt", name), h("dd", value, note && h("span", note)));
  const facts = h(
    "dl.f-keyfacts",
    fact("Began", `${utc(sign.start)} UTC`, againstAlert(sign.start, alert)),
    sign.confidence !== null && fact("Confidence", percent(sign.confidence), "in this finding"),
    isKnown(incident) && (incident.state === "over" ? fact("Over after", `${utc(incident.end)} UTC`, `${lasting(incident.end - incident.start)} later`) : fact("Not over", "goes on", "to the end of the recording")),
  );
  const events = incident.isCause === null ? [] : incidents.slice(1).filter(({ isCause }) => isCause !== null);
  return [
    ...lines,
    h("p.f-eyebrow", eyebrow(incident, sign)),
    h("p.f-headline", link(sign, 160), " ", summaryText(sign)),
    facts,
    others.length > 0 && listed("May have begun at the same time: ", others, link),
    incident.faint.length > 0 && listed("Just before it, with little confidence: ", incident.faint, link),
    incident.atEnd.length > 0 && listed("Just as it ended: ", incident.atEnd, link),
    ...events.slice(0, MOST_EVENTS).map((event) => h("p.f-signs", `${event.start < incident.start ? "An earlier" : "Another"} event began at ${utc(event.start)}: `, link(event.first[0]), " ", summaryText(event.first[0]))),
    incident.isCause !== null && h("p.f-quiet", "This only compares times and kinds. Check it before you act on it."),
  ].filter(Boolean);
}

/** @param {Incident} incident @param {Finding} sign */
function eyebrow({ isCause, findings }, sign) {
  if (sign.confidence === null || sign.confidence < CONFIDENT) return "Only faint signs; this is the first";
  if (isCause === false) return "This came first, but is itself an effect";
  const hasLater = findings.some(({ start, confidence }) => start > sign.start && (confidence ?? 0) >= CONFIDENT);
  return !hasLater ? "What stands out" : isCause ? "Likely cause, because it came first" : "What came first";
}

function listed(label, findings, link) {
  const shown = findings.slice(0, MOST_OTHERS).flatMap((finding, i) => [i ? ", " : "", link(finding)]);
  const more = findings.length > MOST_OTHERS ? ` and ${count(findings.length - MOST_OTHERS)} more` : "";
  return h("p.f-signs", label, ...shown, more);
}

function againstAlert(start, alert) {
  if (!alert) return "";
  const name = alert.isAlert ? "the alert fired" : "the time in the request";
  const early = alert.start - start;
  // A day away, they have little to do with each other.
  if (Math.abs(early) > 86_400) return "";
  return Math.abs(early) <= 1 ? `when ${name}`.replace("when the time", "at the time") : `${lasting(Math.abs(early))} ${early > 0 ? "before" : "after"} ${name}`;
}
