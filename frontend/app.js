/** Shows the view that the address names, and follows links within the page. */

import { listAgents } from "./api.js";
import { ConversationView } from "./conversation-view.js";
import { byId, on } from "./dom.js";
import { loadAll } from "./lazy-view.js";
import { NewConversation } from "./new-conversation.js";
import { addressOf, Sidebar } from "./sidebar.js";

const IDLE = 1_000; // ms after the page has loaded

const agents = listAgents().then(({ agents: cards = [], prices = {} }) => ({ cards, prices }));
const sidebar = new Sidebar((conversations) => view instanceof ConversationView && view.observe(conversations));
agents.then(({ cards }) => sidebar.offerAgents(cards.map(({ name }) => name).filter(Boolean)), () => {});

/** @type {ConversationView | NewConversation | undefined} */
let view;

/** The query that is shown. */
let shown = "";

/** `?conversation=<context>&agent=<name>` and `?task=<id>` show a conversation, anything else a new one. */
function route(place = placeIn(location.search)) {
  view?.close();
  closeSidebar();
  shown = location.search;
  if (place.contextId || place.taskId) view = showConversation(place);
  else {
    view = new NewConversation(agents.then(({ cards }) => cards), place.agent, openNew);
    document.title = "Tailrace";
  }
  sidebar.select(place.contextId ? /** @type {any} */ (place) : null);
  byId("place").replaceChildren(view.element);
}

function showConversation(place) {
  return new ConversationView(place, {
    cards: agents,
    open: openNew,
    changed: () => sidebar.refresh(),
    named: (named) => sidebar.select(named),
    gone: (gone) => sidebar.forget(gone),
    deleted: () => go("./"),
  });
}

function placeIn(search) {
  const parameters = new URLSearchParams(search);
  const named = (key) => parameters.get(key) ?? "";
  return { contextId: named("conversation"), agent: named("agent"), taskId: named("task") };
}

/** A task was created on this page. */
function openNew({ id, contextId, agent, title }) {
  go(addressOf({ contextId, agent }), { contextId, agent, taskId: id, title: firstLine(title), isNew: Boolean(agent) });
  sidebar.refresh();
}

const firstLine = (text) => text.trim().split("\n", 1)[0].slice(0, 200);

/** Go to another address of the page, and move the focus to the start of its view. `place` is what is known of it. */
function go(address, place) {
  history.pushState(null, "", address);
  route(place);
  scrollTo(0, 0);
  view?.focus();
}

function closeSidebar() {
  byId("menu").ariaExpanded = "false";
}

on(byId("menu"), "click", () => {
  const open = byId("menu").ariaExpanded !== "true";
  byId("menu").ariaExpanded = String(open);
  if (open) byId("search").focus();
});
on(byId("sidebar"), "keydown", (event) => {
  if (event.key !== "Escape" || byId("menu").ariaExpanded !== "true") return;
  closeSidebar();
  byId("menu").focus();
});
on(byId("sidebar"), "focusout", ({ relatedTarget }) => {
  const left = relatedTarget && relatedTarget !== byId("menu") && !byId("sidebar").contains(relatedTarget);
  if (left) closeSidebar(); // it covers what has the focus now
});

on(window, "popstate", () => location.search === shown || route()); // a link to #place changes no view

// A link to this page changes the view without loading the page again.
on(document, "click", (event) => {
  const link = event.target.closest("a[href]");
  const modified = event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (!link || modified || link.target || link.hash || link.download || link.origin + link.pathname !== location.origin + location.pathname) return;
  event.preventDefault();
  go(link.href);
});

// Without this, the browser would open a file that is dropped beside the box, and leave the page.
for (const type of ["dragover", "drop"]) {
  on(document, type, (event) => {
    if (event.dataTransfer.types.includes("Files")) event.preventDefault();
  });
}

history.scrollRestoration = "manual"; // a conversation opens at its newest turn
route();
on(window, "load", () => setTimeout(loadAll, IDLE));
