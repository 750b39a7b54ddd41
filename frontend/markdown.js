/**
 * A small Markdown renderer that builds nodes and never HTML, for text that is still being written.
 *
 * Headings, paragraphs, nested lists, tables, fenced code, quotes, rules; code, bold, italic, links.
 * Tags are text, images become links, and a link that is not http or https stays as it was written.
 *
 * An update draws only the last block again, the only one that more text can change.
 */

import { h } from "./dom.js";

const DEPTH = 6; // quotes in lists in quotes: deeper than this is shown as written
const LONGEST_LINE = 4_000; // past these it is no prose and shown as written:
const LONGEST = 20_000; // some patterns are quadratic in what they look at

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+|$)/;
const DELIMITER = /^\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?$/;

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
    const lines = text.slice(this.#from).split("\n");
    let offset = this.#from;
    let counted = 0;
    for (const { node, at } of blocks(lines, 0)) {
      for (; counted < at; counted += 1) offset += lines[counted].length + 1;
      this.#from = offset;
      this.#last = [node];
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
  if (line.length > LONGEST_LINE) return { node: h("p", line), next: at + 1 };
  if (FENCE.test(line)) return fence(lines, at);
  const heading = HEADING.exec(line);
  // The page's own headings are h1 and h2; a report's begin below them.
  if (heading) return { node: inline(h(`h${Math.min(6, heading[1].length + 2)}`), heading[2]), next: at + 1 };
  if (RULE.test(line)) return { node: h("hr"), next: at + 1 };
  if (depth < DEPTH && QUOTE.test(line)) return quote(lines, at, depth);
  if (depth < DEPTH && ITEM.test(line)) return list(lines, at, depth);
  if (isTable(lines, at)) return table(lines, at);
  return paragraph(lines, at, depth);
}

function fence(lines, at) {
  const [, marks] = FENCE.exec(lines[at]) ?? [];
  const closing = new RegExp(`^ {0,3}${marks}${marks[0]}*\\s*$`);
  let end = at + 1;
  while (end < lines.length && !closing.test(lines[end])) end += 1;
  const code = h("code", lines.slice(at + 1, end).join("\n"));
  // A wide line scrolls in its own box, which the keyboard must be able to reach.
  return { node: h("pre", { tabIndex: 0 }, code), next: end + 1 };
}

function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return { node: h("blockquote", ...render(inner, depth + 1)), next: end };
}

function list(lines, at, depth) {
  const ordered = /^\s*\d/.test(lines[at]);
  const node = ordered ? h("ol", { start: Number.parseInt(lines[at], 10) }) : h("ul");
  for (let item; (item = ITEM.exec(lines[at])) && /\d/.test(item[2]) === ordered && !RULE.test(lines[at]); ) {
    const inner = [lines[at].slice(item[0].length)];
    // What is indented belongs to the item, also after a blank line; so does text that just goes on.
    for (at += 1; at < lines.length; at += 1) {
      const line = lines[at];
      const text = /^ {2}/.test(line) || (lines[at - 1].trim() && !startsBlock(line));
      if (line.trim() ? !text : !/^ {2,}\S/.test(lines[at + 1])) break;
      inner.push(line.slice(Math.min(item[0].length, line.search(/\S|$/))));
    }
    node.append(h("li", ...tight(render(inner, depth + 1))));
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
  if (!lines[at].includes("|") || under.length > LONGEST_LINE || !DELIMITER.test(under)) return false;
  return cells(lines[at]).length === cells(under).length;
}

function table(lines, at) {
  const sides = cells(lines[at + 1]).map((cell) => (/-:$/.test(cell) ? "right" : null));
  const row = (tag, line) => {
    const given = cells(line);
    return h("tr", ...sides.map((side, i) => inline(h(tag, { class: side }), given[i] ?? "")));
  };
  const body = h("tbody");
  let end = at + 2;
  for (; end < lines.length && lines[end].trim() && lines[end].includes("|"); end += 1) body.append(row("td", lines[end]));
  const node = h("table", h("thead", row("th", lines[at])), body);
  return { node: h("div.scroll-x", { tabIndex: 0 }, node), next: end };
}

/** Split at bars that are neither escaped nor inside a code span. */
function cells(line) {
  const found = [""];
  let code = false;
  const inner = line.trim().replace(/^\|/, "");
  for (let i = 0; i < inner.length; i += 1) {
    const escaped = inner[i] === "\\" && inner[i + 1] === "|";
    if (escaped) i += 1;
    else if (inner[i] === "`") code = !code;
    else if (inner[i] === "|" && !code) {
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
  FENCE.test(line) || HEADING.test(line) || RULE.test(line) || (depth < DEPTH && (QUOTE.test(line) || ITEM.test(line)));

// In the order in which they win. An underscore needs a word's edge: log_analyst stays as it is.
const MARKS = new RegExp(
  [
    /(?<ticks>`+)(?<code>[^`](?:[^`]|(?!\k<ticks>)`)*?)\k<ticks>(?!`)/,
    /!?\[(?<label>(?:[^[\]\\]|\\.)*)\]\((?<href>[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+"[^"]*")?\)/,
    /\*\*(?=\S)(?<bold>(?:[^*\\]|\\.|\*(?!\*))+?)\*\*/,
    /\*(?=[^\s*])(?<italic>[^*\\]+?)\*/,
    /(?<!\w)_(?=\S)(?<italic2>[^_\\]+?)_(?!\w)/,
    /(?<bare>https?:\/\/[^\s<>()[\]"'`]*[^\s<>()[\]"'`.,;:!?])/,
    /\\(?<escaped>[!-/:-@[-`{-~])/,
    /(?<broken>(?: {2,}|\\)\n)/,
  ].map((mark) => mark.source).join("|"),
  "g",
);

/** Text with its marks, into the parent, which is returned. */
function inline(parent, text, depth = 0) {
  if (text.length > LONGEST || depth > DEPTH) {
    parent.append(text);
    return parent;
  }
  let end = 0;
  for (const match of text.matchAll(MARKS)) {
    const { code, label, href, bold, italic, italic2, bare, escaped } = match.groups;
    parent.append(text.slice(end, match.index));
    end = match.index + match[0].length;
    if (code !== undefined) parent.append(h("code", code.length > 2 ? code.replace(/^ (.*) $/s, "$1") : code));
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

function link(href, label, written, depth) {
  if (!/^https?:\/\//i.test(href)) return document.createTextNode(written);
  const anchor = h("a", { href, rel: "noopener noreferrer nofollow", target: "_blank" });
  if (label) inline(anchor, label, depth + 4); // no links within links to speak of
  else anchor.append(href);
  return anchor;
}
