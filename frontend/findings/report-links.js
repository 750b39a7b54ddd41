/** Links from a finished report to the findings whose subjects it names. */

import { h, on } from "../dom.js";

const SHORTEST = 3; // characters; a shorter subject is in too many words
const MOST = 400; // links
const WORD = /[\p{L}\p{N}_]/u;

/**
 * Make a link of each mention of a subject. Lines of code are left alone, and so are links.
 * @param {any} report an element that is not drawn again
 * @param {Iterable<string>} subjects @param {(subject: string) => void} onPick
 */
export function linkMentions(report, subjects, onPick) {
  const words = [...subjects].filter((subject) => subject.length >= SHORTEST).sort((a, b) => b.length - a.length);
  if (!words.length) return;
  const pattern = new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\\/-]/g, "\\$&")).join("|"), "g");
  let left = MOST - report.querySelectorAll(".f-mention").length;
  for (const node of textNodes(report)) {
    const text = node.data;
    const parts = [];
    let end = 0;
    for (const { 0: subject, index } of text.matchAll(pattern)) {
      const after = index + subject.length;
      if (left <= 0 || isInWord(text, index, after)) continue;
      left -= 1;
      const link = h("a.f-mention", { href: "#finding", title: "Show the finding" }, subject);
      on(link, "click", (event) => {
        event.preventDefault();
        onPick(subject);
      });
      parts.push(text.slice(end, index), link);
      end = after;
    }
    if (parts.length) node.replaceWith(...parts, text.slice(end));
  }
}

/** Whether a match is only a part of a longer word. */
const isInWord = (text, from, to) =>
  (from > 0 && WORD.test(text[from - 1]) && WORD.test(text[from])) || (to < text.length && WORD.test(text[to]) && WORD.test(text[to - 1]));

function textNodes(root) {
  const nodes = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (!walker.currentNode.parentElement?.closest("a, pre, button, .f-answer, .findings")) nodes.push(/** @type {Text} */ (walker.currentNode));
  }
  return nodes;
}
