/**
 * A small Markdown renderer for text that is still being written. It builds nodes and never HTML.
 *
 * An update draws only the last block again. The text may come from anybody, so time and nodes must stay linear in its
 * length (docs/PAGE.md).
 */

import { appendAll, h } from "./dom.js";

// What is beyond these limits is shown as it was written.
const MAX_DEPTH = 6; // of lists, quotes and marks in each other
const MAX_COLUMNS = 64;
const MAX_ROWS = 5_000;

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})(?:\s|$)/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+|$)/;
const DELIMITER = /^[-|:\s]+$/; // of a table's head; each cell is checked as well

export class MarkdownView {
  #text = "";
  #lastBlockAt = 0; // offset in the text
  /** @type {any[]} */ #lastNodes = [];
  #root;

  /** @param {any} root an empty element */
  constructor(root) {
    this.#root = root;
  }

  /** @param {string} text the whole text */
  update(text) {
    if (text === this.#text) return;
    if (!text.startsWith(this.#text)) {
      this.#root.replaceChildren();
      this.#lastNodes = [];
      this.#lastBlockAt = 0;
    }
    this.#text = text;
    for (const node of this.#lastNodes) node.remove();
    this.#lastNodes = [];
    const lines = text.slice(this.#lastBlockAt).split("\n");
    let offset = this.#lastBlockAt;
    let line = 0; // the one at `offset`
    for (const { node, at } of blocks(lines, 0)) {
      for (; line < at; line += 1) offset += lines[line].length + 1;
      // An unfinished last line may still become part of the block before.
      if (at < lines.length - 1) {
        this.#lastBlockAt = offset;
        this.#lastNodes = [];
      }
      this.#lastNodes.push(node);
      this.#root.append(node);
    }
  }
}

/** Each block's node, and the line where it begins. */
function* blocks(lines, depth) {
  for (let at = 0; at < lines.length; ) {
    const { node, next } = block(lines, at, depth);
    if (node) yield { node, at };
    at = next;
  }
}

const render = (lines, depth) => [...blocks(lines, depth)].map(({ node }) => node);

/** The block that begins at line `at`, and the line after it. A blank line has no node. */
function block(lines, at, depth) {
  const line = lines[at];
  if (!line.trim()) return { node: null, next: at + 1 };
  if (FENCE.test(line)) return fence(lines, at);
  const heading = HEADING.exec(line);
  if (heading) return { node: headingOf(heading[1].length, line.slice(heading[0].length)), next: at + 1 };
  if (isRule(line)) return { node: h("hr"), next: at + 1 };
  if (depth < MAX_DEPTH && QUOTE.test(line)) return quote(lines, at, depth);
  if (depth < MAX_DEPTH && ITEM.test(line)) return list(lines, at, depth);
  if (isTable(lines, at)) return table(lines, at);
  return paragraph(lines, at, depth);
}

function isRule(line) {
  if (!/^ {0,3}[-*_]/.test(line)) return false;
  const marks = line.replace(/\s/g, "");
  return marks.length > 2 && marks === marks[0].repeat(marks.length);
}

/** A report's headings are below those of the page, which are h1 and h2. */
function headingOf(level, text) {
  const line = text.trimEnd();
  const unmarked = trimHashes(line);
  // Closing marks are no text: `# Title #`. Those of `# C#` are.
  const isClosed = unmarked !== line && /^$|\s$/.test(unmarked.slice(-1));
  return inline(h(`h${Math.min(6, level + 2)}`), (isClosed ? unmarked : line).trim());
}

function trimHashes(text) {
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
  // A wide line scrolls in its own box, which has to take the focus for that.
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
    // Indented lines belong to the item, also after a blank line; so does text that goes on without one.
    for (at += 1; at < lines.length; at += 1) {
      const line = lines[at];
      const text = /^ {2}/.test(line) || (lines[at - 1].trim() && !startsBlock(line));
      if (line.trim() ? !text : !/^ {2,}\S/.test(lines[at + 1])) break;
      inner.push(line.slice(Math.min(item[0].length, line.search(/\S|$/))));
    }
    node.append(appendAll(h("li"), unwrapParagraph(render(inner, depth + 1))));
    if (!lines[at]?.trim() && ITEM.test(lines[at + 1])) at += 1;
  }
  return { node, next: at };
}

/** The first paragraph of an item without its `p`, unless another follows. */
function unwrapParagraph(nodes) {
  if (nodes[0]?.tagName !== "P" || nodes[1]?.tagName === "P") return nodes;
  return [...nodes[0].childNodes, ...nodes.slice(1)];
}

function isTable(lines, at) {
  const under = (lines[at + 1] ?? "").trim();
  if (!lines[at].includes("|") || !DELIMITER.test(under)) return false;
  const delimiters = cells(under, MAX_COLUMNS + 1);
  if (delimiters.length > MAX_COLUMNS || !delimiters.every((cell) => /^:?-+:?$/.test(cell))) return false;
  return delimiters.length === cells(lines[at], MAX_COLUMNS + 1).length;
}

function table(lines, at) {
  const alignments = cells(lines[at + 1]).map((cell) => (/-:$/.test(cell) ? "right" : null));
  const row = (tag, line) => {
    const texts = cells(line, alignments.length);
    const elements = texts.map((text, i) => inline(h(tag, { class: alignments[i] }), text));
    // All missing cells are one element, so that a short row costs no more than its length.
    const missing = alignments.length - texts.length;
    return h("tr", ...elements, missing > 0 && h(tag, { colSpan: missing }));
  };
  const body = h("tbody");
  let end = at + 2;
  const last = Math.min(lines.length, end + MAX_ROWS);
  for (; end < last && lines[end].trim() && lines[end].includes("|"); end += 1) body.append(row("td", lines[end]));
  const node = h("table", h("thead", row("th", lines[at])), body);
  return { node: h("div.scroll-x", { tabIndex: 0 }, node), next: end };
}

/** Split at bars that are neither escaped nor inside a code span. Cells after the first `limit` are left out. */
function cells(line, limit = Infinity) {
  const texts = [""];
  let code = false;
  const inner = line.trim().replace(/^\|/, "");
  for (let i = 0; i < inner.length; i += 1) {
    const escaped = inner[i] === "\\" && inner[i + 1] === "|";
    if (escaped) i += 1;
    else if (inner[i] === "`") code = !code;
    else if (inner[i] === "|" && !code) {
      if (texts.length === limit) break;
      if (i < inner.length - 1) texts.push("");
      continue;
    }
    texts[texts.length - 1] += inner[i];
  }
  return texts.map((cell) => cell.trim());
}

function paragraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !startsBlock(lines[end], depth) && !isTable(lines, end)) end += 1;
  return { node: inline(h("p"), lines.slice(at, end).map((line) => line.trimStart()).join("\n")), next: end };
}

const startsBlock = (line, depth = 0) =>
  FENCE.test(line) || HEADING.test(line) || isRule(line) || (depth < MAX_DEPTH && (QUOTE.test(line) || ITEM.test(line)));

// An earlier one wins. An underscore counts only at a word's edge: log_analyst has none.
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

/** Append text and its marks. @returns {any} the parent */
function inline(parent, text, depth = 0) {
  if (depth > MAX_DEPTH) {
    parent.append(text);
    return parent;
  }
  const spans = new CodeSpans(text);
  let end = 0; // of the text that was appended
  for (let match, at = 0; (match = nextMark(text, at)); ) {
    const { ticks, label, href, bold, italic, italic2, bare, escaped } = /** @type {any} */ (match.groups);
    at = match.index + match[0].length;
    const closing = ticks ? spans.closing(at, ticks.length) : 0;
    if (closing < 0) continue; // without closing ticks they are text
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

function nextMark(text, at) {
  MARKS.lastIndex = at;
  return MARKS.exec(text);
}

/** Finds the end of code spans: the next run of as many ticks. The text is searched once. */
class CodeSpans {
  #text;
  /** @type {Map<number, number[]> | null} offsets by length, the last first */ #runs = null;

  constructor(text) {
    this.#text = text;
  }

  /** The offset of the next run of `length` ticks, or -1. `from` must not fall between calls. */
  closing(from, length) {
    if (!this.#runs) {
      this.#runs = new Map();
      for (const { 0: run, index } of this.#text.matchAll(/`+/g)) {
        if (!this.#runs.has(run.length)) this.#runs.set(run.length, []);
        this.#runs.get(run.length)?.push(index);
      }
      for (const offsets of this.#runs.values()) offsets.reverse();
    }
    const offsets = this.#runs.get(length) ?? [];
    while (offsets.length && offsets[offsets.length - 1] < from) offsets.pop();
    return offsets.at(-1) ?? -1;
  }
}

function link(href, label, written, depth) {
  if (!/^https?:\/\//i.test(href)) return document.createTextNode(written);
  const anchor = h("a", { href, rel: "noopener noreferrer nofollow", target: "_blank" });
  if (label) inline(anchor, label, depth + 4); // a link in a link gets little depth
  else anchor.append(href);
  return anchor;
}
