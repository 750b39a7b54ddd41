/**
 * A small Markdown renderer that builds nodes and never HTML, for text that is still being written.
 *
 * Headings, paragraphs, nested lists, tables, fenced code, quotes, rules; code, bold, italic, links.
 * Tags are text, images become links, and a link that is not http or https stays as it was written.
 *
 * An update draws only the last block again, the only one that more text can change.
 *
 * The text may come from anybody. So time and nodes are linear in its length: each pattern below gives up
 * within a bound or at the next place where it could begin, nesting is bounded, and a table has as many
 * cells as were written.
 */

import { appendAll, h } from "./dom.js";

const DEPTH = 6; // quotes in lists in quotes: deeper than this is shown as written
const COLUMNS = 64; // a table of more is shown as written,
const ROWS = 5_000; // and so are the rows after these

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})(?:\s|$)/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+|$)/;
const DELIMITER = /^[-|:\s]+$/; // then see each cell

export class MarkdownView {
  #text = "";
  #from = 0; // where the last block begins
  /** @type {any[]} */ #last = [];
  #root;

  constructor(root) {
    this.#root = root;
  }

  /** Show this text. */
  update(text) {
    if (text === this.#text) return;
    if (!text.startsWith(this.#text)) {
      this.#root.replaceChildren();
      this.#last = [];
      this.#from = 0;
    }
    this.#text = text;
    for (const node of this.#last) node.remove();
    this.#last = [];
    const lines = text.slice(this.#from).split("\n");
    let offset = this.#from;
    let counted = 0;
    for (const { node, at } of blocks(lines, 0)) {
      for (; counted < at; counted += 1) offset += lines[counted].length + 1;
      // A line that is not whole may turn out to belong to the block before.
      if (at < lines.length - 1) {
        this.#from = offset;
        this.#last = [];
      }
      this.#last.push(node);
      this.#root.append(node);
    }
  }
}

/** Each block's node, and the line at which it begins. */
function* blocks(lines, depth) {
  for (let at = 0; at < lines.length; ) {
    const { node, next } = block(lines, at, depth);
    if (node) yield { node, at };
    at = next;
  }
}

const render = (lines, depth) => [...blocks(lines, depth)].map(({ node }) => node);

/** The block that begins at line `at`, and the line after it. A blank line is no block. */
function block(lines, at, depth) {
  const line = lines[at];
  if (!line.trim()) return { node: null, next: at + 1 };
  if (FENCE.test(line)) return fence(lines, at);
  const heading = HEADING.exec(line);
  if (heading) return { node: headed(heading[1].length, line.slice(heading[0].length)), next: at + 1 };
  if (isRule(line)) return { node: h("hr"), next: at + 1 };
  if (depth < DEPTH && QUOTE.test(line)) return quote(lines, at, depth);
  if (depth < DEPTH && ITEM.test(line)) return list(lines, at, depth);
  if (isTable(lines, at)) return table(lines, at);
  return paragraph(lines, at, depth);
}

function isRule(line) {
  if (!/^ {0,3}[-*_]/.test(line)) return false;
  const marks = line.replace(/\s/g, "");
  return marks.length > 2 && marks === marks[0].repeat(marks.length);
}

/** The page's own headings are h1 and h2; a report's begin below them. */
function headed(level, text) {
  let end = text.trimEnd();
  // The marks that close it are no text.
  const marks = end.length - beforeMarks(end).length;
  if (marks && /^$|\s$/.test(beforeMarks(end).slice(-1))) end = beforeMarks(end);
  return inline(h(`h${Math.min(6, level + 2)}`), end.trim());
}

function beforeMarks(text) {
  let end = text.length;
  while (text[end - 1] === "#") end -= 1;
  return text.slice(0, end);
}

function fence(lines, at) {
  const [, marks] = FENCE.exec(lines[at]) ?? [];
  const closes = (line) => {
    const closing = FENCE.exec(line)?.[1] ?? "";
    return closing.startsWith(marks) && line.trim() === closing;
  };
  let end = at + 1;
  while (end < lines.length && !closes(lines[end])) end += 1;
  const code = h("code", lines.slice(at + 1, end).join("\n"));
  // A wide line scrolls in its own box, which the keyboard must be able to reach.
  return { node: h("pre", { tabIndex: 0 }, code), next: end + 1 };
}

function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return { node: appendAll(h("blockquote"), render(inner, depth + 1)), next: end };
}

function list(lines, at, depth) {
  const ordered = /^\s*\d/.test(lines[at]);
  const node = ordered ? h("ol", { start: Number.parseInt(lines[at], 10) }) : h("ul");
  for (let item; (item = ITEM.exec(lines[at])) && /\d/.test(item[2]) === ordered && !isRule(lines[at]); ) {
    const inner = [lines[at].slice(item[0].length)];
    // What is indented belongs to the item, also after a blank line; so does text that just goes on.
    for (at += 1; at < lines.length; at += 1) {
      const line = lines[at];
      const text = /^ {2}/.test(line) || (lines[at - 1].trim() && !startsBlock(line));
      if (line.trim() ? !text : !/^ {2,}\S/.test(lines[at + 1])) break;
      inner.push(line.slice(Math.min(item[0].length, line.search(/\S|$/))));
    }
    node.append(appendAll(h("li"), tight(render(inner, depth + 1))));
    if (!lines[at]?.trim() && ITEM.test(lines[at + 1])) at += 1;
  }
  return { node, next: at };
}

/** An item's only or first paragraph needs no box of its own. */
function tight(nodes) {
  if (nodes[0]?.tagName !== "P" || nodes[1]?.tagName === "P") return nodes;
  return [...nodes[0].childNodes, ...nodes.slice(1)];
}

function isTable(lines, at) {
  const under = (lines[at + 1] ?? "").trim();
  if (!lines[at].includes("|") || !DELIMITER.test(under)) return false;
  const sides = cells(under, COLUMNS + 1);
  if (sides.length > COLUMNS || !sides.every((cell) => /^:?-+:?$/.test(cell))) return false;
  return sides.length === cells(lines[at], COLUMNS + 1).length;
}

function table(lines, at) {
  const sides = cells(lines[at + 1]).map((cell) => (/-:$/.test(cell) ? "right" : null));
  const row = (tag, line) => {
    const given = cells(line, sides.length);
    const found = given.map((cell, i) => inline(h(tag, { class: sides[i] }), cell));
    // Cells that were not written are one, however many: a short row costs what it is long.
    const missing = sides.length - given.length;
    return h("tr", ...found, missing > 0 && h(tag, { colSpan: missing }));
  };
  const body = h("tbody");
  let end = at + 2;
  const last = Math.min(lines.length, end + ROWS);
  for (; end < last && lines[end].trim() && lines[end].includes("|"); end += 1) body.append(row("td", lines[end]));
  const node = h("table", h("thead", row("th", lines[at])), body);
  return { node: h("div.scroll-x", { tabIndex: 0 }, node), next: end };
}

/** Split at bars that are neither escaped nor inside a code span; what is beyond `most` cells is left out. */
function cells(line, most = Infinity) {
  const found = [""];
  let code = false;
  const inner = line.trim().replace(/^\|/, "");
  for (let i = 0; i < inner.length; i += 1) {
    const escaped = inner[i] === "\\" && inner[i + 1] === "|";
    if (escaped) i += 1;
    else if (inner[i] === "`") code = !code;
    else if (inner[i] === "|" && !code) {
      if (found.length === most) break;
      if (i < inner.length - 1) found.push("");
      continue;
    }
    found[found.length - 1] += inner[i];
  }
  return found.map((cell) => cell.trim());
}

function paragraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !startsBlock(lines[end], depth) && !isTable(lines, end)) end += 1;
  return { node: inline(h("p"), lines.slice(at, end).map((line) => line.trimStart()).join("\n")), next: end };
}

const startsBlock = (line, depth = 0) =>
  FENCE.test(line) || HEADING.test(line) || isRule(line) || (depth < DEPTH && (QUOTE.test(line) || ITEM.test(line)));

// In the order in which they win. An underscore needs a word's edge: log_analyst stays as it is.
const MARKS = new RegExp(
  [
    /(?<ticks>`+)/,
    /!?\[(?<label>(?:[^[\]\\]|\\.){0,1000})\]\((?<href>[^\s()]{0,2000}(?:\([^\s()]{0,1000}\)[^\s()]{0,1000}){0,9})(?:\s{1,9}"[^"]{0,1000}")?\)/,
    /\*\*(?=\S)(?<bold>(?:[^*\\]|\\.|\*(?!\*)){1,5000}?)\*\*/,
    /\*(?=[^\s*])(?<italic>[^*\\]{1,5000}?)\*/,
    /(?<!\w)_(?=\S)(?<italic2>[^_\\]{1,5000}?)_(?!\w)/,
    /(?<bare>https?:\/\/[^\s<>()[\]"'`]{0,2000}[^\s<>()[\]"'`.,;:!?])/,
    /\\(?<escaped>[!-/:-@[-`{-~])/,
    /(?<broken>(?:(?<! ) {2,}|\\)\n)/,
  ].map((mark) => mark.source).join("|"),
  "g",
);

/** Text with its marks, into the parent, which is returned. */
function inline(parent, text, depth = 0) {
  if (depth > DEPTH) {
    parent.append(text);
    return parent;
  }
  const spans = new CodeSpans(text);
  let end = 0; // of what is in the parent
  for (let match, at = 0; (match = next(text, at)); ) {
    const { ticks, label, href, bold, italic, italic2, bare, escaped } = match.groups;
    at = match.index + match[0].length;
    const closing = ticks ? spans.closing(at, ticks.length) : 0;
    if (closing < 0) continue; // ticks that nothing closes are text
    parent.append(text.slice(end, match.index));
    const code = text.slice(at, closing);
    if (ticks) at = closing + ticks.length;
    end = at;
    if (ticks) parent.append(h("code", code.length > 2 ? code.replace(/^ (.*) $/s, "$1") : code));
    else if (href !== undefined) parent.append(link(href, label, match[0], depth));
    else if (bold) parent.append(inline(h("strong"), bold, depth + 1));
    else if (italic ?? italic2) parent.append(inline(h("em"), italic ?? italic2, depth + 1));
    else if (bare) parent.append(link(bare, "", bare, depth));
    else if (escaped) parent.append(escaped);
    else parent.append(h("br"));
  }
  parent.append(text.slice(end));
  return parent;
}

function next(text, at) {
  MARKS.lastIndex = at;
  return MARKS.exec(text);
}

/** Where the code spans of a text end: at the next run of as many ticks. One look at the text finds all runs. */
class CodeSpans {
  #text;
  /** @type {Map<number, number[]> | null} by length, the last first */ #runs = null;

  constructor(text) {
    this.#text = text;
  }

  /** The place of the next run of `length` ticks, -1 without one. `from` only ever grows. */
  closing(from, length) {
    if (!this.#runs) {
      this.#runs = new Map();
      for (const { 0: run, index } of this.#text.matchAll(/`+/g)) {
        if (!this.#runs.has(run.length)) this.#runs.set(run.length, []);
        this.#runs.get(run.length)?.push(index);
      }
      for (const places of this.#runs.values()) places.reverse();
    }
    const places = this.#runs.get(length) ?? [];
    while (places.length && places[places.length - 1] < from) places.pop();
    return places.at(-1) ?? -1;
  }
}

function link(href, label, written, depth) {
  if (!/^https?:\/\//i.test(href)) return document.createTextNode(written);
  const anchor = h("a", { href, rel: "noopener noreferrer nofollow", target: "_blank" });
  if (label) inline(anchor, label, depth + 4); // no links within links to speak of
  else anchor.append(href);
  return anchor;
}
