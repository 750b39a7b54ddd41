/** The first lines: what came first, when, and how sure its finding is. */

import { h } from "../dom.js";
import { count } from "../format.js";
import { shorten, summaryText } from "./finding-row.js";
import { CONFIDENT } from "./incidents.js";
import { lasting, percent, utc } from "./words.js";

/** @typedef {import("./incidents.js").Incident} Incident @typedef {import("./incidents.js").Finding} Finding */

const MOST_OTHERS = 4;

/**
 * @param {Incident[]} incidents the one to tell about first @param {import("./incidents.js").Alert | null} alert
 * @param {(finding: Finding) => void} show @returns {any[]}
 */
export function summaryOf(incidents, alert, show) {
  const [incident] = incidents;
  if (!incident) return [];
  const [sign, ...others] = incident.first;
  const isClear = sign.confidence !== null && sign.confidence >= CONFIDENT;
  const hasLater = incident.findings.some(({ start, confidence }) => start > sign.start && (confidence ?? 0) >= CONFIDENT);
  const link = (finding, most = 60) => h("button.f-link", { type: "button", onclick: () => show(finding) }, h("code", shorten(finding.subject, most)));
  const fact = (name, value, note) => h("div", h("dt", name), h("dd", value, note && h("span", note)));
  const facts = h(
    "dl.f-keyfacts",
    fact("Began", `${utc(sign.start)} UTC`, againstAlert(sign.start, alert)),
    sign.confidence !== null && fact("Confidence", percent(sign.confidence), "in this finding"),
    incident.end > sign.start && fact("Last sign ends", `${utc(incident.end)} UTC`, `${lasting(incident.end - sign.start)} later`),
  );
  return [
    h("p.f-eyebrow", !isClear ? "Only faint signs; this is the first" : hasLater ? "Likely cause, because it came first" : "What stands out"),
    h("p.f-headline", link(sign, 160), " ", summaryText(sign)),
    facts,
    others.length > 0 && listed("Within 5 s of it: ", others, link),
    incident.faint.length > 0 && listed("Just before it, with little confidence: ", incident.faint, link),
    hasLater && h("p.f-quiet", "This only compares times. Check it before you act on it."),
  ].filter(Boolean);
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
