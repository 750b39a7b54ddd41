/**
 * A small Markdown renderer for text that is still being written. It builds nodes and never HTML.
 *
 * An update draws only the last block again, and keeps the focus, the selection and the scrolling in it. The text may
 * come from anybody, so time and nodes must stay linear in its length (docs/PAGE.md).
 */

import { appendAll, copyText, h, on } from "./dom.js";
import { visible } from "./format.js";

// What is beyond these limits is shown as it was written.
const MAX_DEPTH = 6; // of lists, quotes and marks in each other
const MAX_COLUMNS = 64;
const MAX_ROWS = 5_000;
// An outline is for a text with as many headings and characters as this.
const [LONG_HEADINGS, LONG_TEXT, MAX_OUTLINE] = [4, 2_500, 200];

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})(?:\s|$)/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+|$)/;
const TASK = /^\[([ xX])\](?=\s)/;
const DELIMITER = /^[-|:\s]+$/; // of a table's head; each cell is checked as well

let views = 0;

export class MarkdownView {
  #text = "";
  #lastBlockAt = 0; // offset in the text
  /** @type {any[]} */ #lastNodes = [];
  #root;
  #prefix = `md${(views += 1)}-`; // of the headings' ids

  /** @param {any} root an empty element */
  constructor(root) {
    this.#root = root;
    on(root, "click", ({ target }) => {
      if (target.matches(".md-copy")) copyText(target, target.previousSibling.textContent);
      else if (target.matches(".md-jump")) this.#jump(target.dataset.to);
    });
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
    const drawn = this.#lastNodes;
    this.#lastNodes = [];
    const lines = text.slice(this.#lastBlockAt).split("\n");
    let offset = this.#lastBlockAt;
    let line = 0; // the one at `offset`
    let index = 0; // in `drawn`
    for (const { node, at } of blocks(lines, 0)) {
      for (; line < at; line += 1) offset += lines[line].length + 1;
      // An unfinished last line may still become part of the block before.
      if (at < lines.length - 1) {
        this.#lastBlockAt = offset;
        this.#lastNodes = [];
      }
      if (index === drawn.length) this.#root.append(node);
      this.#lastNodes.push(index < drawn.length ? morph(drawn[index++], node) : node);
    }
    for (const node of drawn.slice(index)) node.remove();
  }

  /** A folded list of the headings, to jump to them; null for a short text. @returns {any} */
  outline() {
    const headings = this.#text.length < LONG_TEXT ? [] : [...this.#headings()];
    if (headings.length < LONG_HEADINGS) return null;
    const top = Math.min(...headings.map(([, heading]) => Number(heading.tagName[1])));
    const rows = headings.slice(0, MAX_OUTLINE).map(([slug, heading]) => {
      const jump = h("button.link", { type: "button", onclick: () => this.#jump(slug) }, heading.textContent);
      return h(`li.md-level-${Math.min(2, heading.tagName[1] - top)}`, jump);
    });
    return h("details.md-outline", h("summary", `Outline, ${headings.length} sections`), h("ol", ...rows));
  }

  /** The headings by the names that links use (`#the-cause`, the next one `#the-cause-1`); sets their ids. */
  #headings() {
    const headings = new Map();
    const repeated = new Map();
    for (const heading of this.#root.querySelectorAll(":scope > :is(h3, h4, h5, h6)")) {
      const text = heading.textContent.toLowerCase().slice(0, 80);
      const slug = text.replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-");
      let name = slug;
      for (let n = repeated.get(slug) ?? 0; headings.has(name); repeated.set(slug, n)) name = `${slug}-${(n += 1)}`;
      heading.id = this.#prefix + name;
      headings.set(name, heading);
    }
    return headings;
  }

  #jump(slug) {
    const heading = this.#headings().get(slug);
    if (!heading) return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    heading.scrollIntoView();
  }
}

/** Make a drawn node equal to a new one, with as few changes as possible. @returns {any} the node on the page */
function morph(drawn, node) {
  if (drawn.nodeName !== node.nodeName) {
    drawn.replaceWith(node);
    return node;
  }
  if (drawn.nodeType === Node.TEXT_NODE) {
    const [before, after] = [drawn.data, node.data];
    if (after.startsWith(before)) drawn.appendData(after.slice(before.length));
    else drawn.data = after;
    return drawn;
  }
  const { dir } = node; // set at the end: see list()
  drawn.removeAttribute("dir");
  node.removeAttribute("dir");
  for (const name of drawn.getAttributeNames()) if (!node.hasAttribute(name)) drawn.removeAttribute(name);
  let child = drawn.firstChild;
  for (let next = node.firstChild, fresh; (fresh = next); ) {
    next = fresh.nextSibling;
    if (child) child = morph(child, fresh).nextSibling;
    else drawn.append(fresh);
  }
  for (let rest; (rest = child); rest.remove()) child = rest.nextSibling;
  for (const { name, value } of node.attributes) if (drawn.getAttribute(name) !== value) drawn.setAttribute(name, value);
  if (dir) drawn.dir = dir;
  return drawn;
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
  const [opening, marks] = FENCE.exec(lines[at]) ?? ["", ""];
  const closes = (line) => {
    const closing = FENCE.exec(line)?.[1] ?? "";
    return closing.startsWith(marks) && line.trim() === closing;
  };
  let end = at + 1;
  while (end < lines.length && !closes(lines[end])) end += 1;
  const code = h("code", lines.slice(at + 1, end).join("\n"));
  const language = lines[at].slice(opening.length).trim().split(/\s/, 1)[0].slice(0, 24);
  // A wide line scrolls in its own box, which has to take the focus for that.
  const box = h("pre", { tabIndex: 0 }, code);
  const copy = h("button.md-copy", { type: "button" }, "Copy");
  return { node: h("div.md-code", { "data-language": language || null }, box, copy), next: end + 1 };
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
    const [box, mark] = TASK.exec(inner[0]) ?? [];
    if (box) inner[0] = inner[0].slice(box.length).trimStart();
    const check = box && h("span.md-check", { role: "img", "aria-label": mark === " " ? "to do" : "done" });
    const row = check ? h("li.md-task", check, " ") : h("li");
    node.append(appendAll(row, unwrapParagraph(render(inner, depth + 1))));
    if (!lines[at]?.trim() && ITEM.test(lines[at + 1])) at += 1;
  }
  node.dir = "auto"; // only now, because each child would be searched for its direction
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
  node.dir = "auto";
  return { node: scrollBox("Table", node), next: end };
}

/** A box for what may be wider than the page. CSS draws a shadow where there is more. @param {string} label */
export const scrollBox = (label, ...children) =>
  h("div.scroll-x", { tabIndex: 0, role: "group", "aria-label": `${label}, scrolls sideways` }, ...children);

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
    /~~(?=\S)(?<struck>[^~\\]{1,5000}?)~~/,
    /(?<bare>https?:\/\/[^\s<>()[\]"'`]{0,2000}[^\s<>()[\]"'`.,;:!?])/,
    /\\(?<escaped>[!-/:-@[-`{-~])/,
    /(?<broken>(?:(?<! ) {2,}|\\)\n)/,
  ].map((mark) => mark.source).join("|"),
  "g",
);

/** Append text and its marks. @returns {any} the parent */
function inline(parent, text, depth = 0) {
  if (depth > MAX_DEPTH) {
    parent.append(visible(text));
    return parent;
  }
  const spans = new CodeSpans(text);
  let end = 0; // of the text that was appended
  for (let match, at = 0; (match = nextMark(text, at)); ) {
    const { ticks, label, href, bold, italic, italic2, struck, bare, escaped } = /** @type {any} */ (match.groups);
    at = match.index + match[0].length;
    const closing = ticks ? spans.closing(at, ticks.length) : 0;
    if (closing < 0) continue; // without closing ticks they are text
    parent.append(visible(text.slice(end, match.index)));
    const code = text.slice(at, closing);
    if (ticks) at = closing + ticks.length;
    end = at;
    if (ticks) parent.append(h("code", code.length > 2 ? code.replace(/^ (.*) $/s, "$1") : code));
    else if (href !== undefined) parent.append(link(href, label, match[0], depth));
    else if (bold) parent.append(inline(h("strong"), bold, depth + 1));
    else if (italic ?? italic2) parent.append(inline(h("em"), italic ?? italic2, depth + 1));
    else if (struck) parent.append(inline(h("del"), struck, depth + 1));
    else if (bare) parent.append(link(bare, "", bare, depth));
    else if (escaped) parent.append(escaped);
    else parent.append(h("br"));
  }
  parent.append(visible(text.slice(end)));
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
  if (href[0] === "#") return inline(h("button.link.md-jump", { type: "button", "data-to": href.slice(1) }), label || href, depth + 4);
  if (!/^https?:\/\//i.test(href)) return document.createTextNode(visible(written));
  const anchor = h("a", { href, rel: "noopener noreferrer nofollow", target: "_blank" });
  if (label) inline(anchor, label, depth + 4); // a link in a link gets little depth
  else anchor.append(visible(href, true));
  return anchor;
}
