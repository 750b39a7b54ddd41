/** Times and numbers as the findings show them, and small helpers of their views. */

import { h, on } from "../dom.js";
import { duration } from "../format.js";

/**
 * 14:03:27 · with `decimals` 1: 14:03:27.5, -1: 14:03, -2: 22 Nov
 * @param {number} seconds since the epoch
 */
export function utc(seconds, decimals = 0) {
  const iso = new Date(Math.round(seconds * 1000)).toISOString();
  if (decimals === -2) return `${Number(iso.slice(8, 10))} ${MONTHS[Number(iso.slice(5, 7)) - 1]}`;
  return iso.slice(11, decimals < 0 ? 16 : decimals > 0 ? 20 + decimals : 19);
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const FORMATS = new Map();
const format = (value, digits, notation) => {
  const key = `${digits} ${notation}`;
  if (!FORMATS.has(key)) FORMATS.set(key, new Intl.NumberFormat("en", { maximumFractionDigits: digits, notation }));
  return FORMATS.get(key).format(value);
};

/** 1.25 s · 1,250 requests · short: 1.3K @param {number | null} value */
export function quantity(value, unit = "", isShort = false) {
  if (value === null) return "";
  const size = Math.abs(value);
  if (size && (size < 0.001 || size >= 1e12)) return `${value.toPrecision(3)} ${unit}`.trim();
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return `${format(value, digits, isShort && size >= 1000 ? "compact" : "standard")} ${unit}`.trim();
}

/** 87 % */
export const percent = (share) => `${Math.round(share * 100)} %`;

/** 430 ms · 6 s · 1 m 24 s; from seconds on rounded to them, because samples are seldom finer */
export const lasting = (seconds) => (seconds < 1 ? duration(seconds * 1000) : duration(Math.round(seconds) * 1000).replace(".0 s", " s"));

/** Load a stylesheet once. Without it the page works, so a failure is none. @returns {Promise<void>} */
export function stylesheet(href) {
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return Promise.resolve();
  return new Promise((resolve) => {
    const link = h("link", { rel: "stylesheet", href });
    for (const type of ["load", "error"]) on(link, type, () => resolve());
    document.head.append(link);
  });
}

/** Make these the children of an element; those that are in place are not moved, so that they keep the focus. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, i) => {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  });
}

/** Scroll to an element and mark it for a moment. */
export function reveal(element) {
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  element.scrollIntoView({ block: "center", behavior });
  element.classList.add("f-marked");
  setTimeout(() => element.classList.remove("f-marked"), 2000);
}
