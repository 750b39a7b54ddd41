/** Shows the view that the address names, and follows links within the page. */

import { byId, on } from "./dom.js";
import { Home } from "./home.js";
import "./progress-timeline.js";
import { drawRecentTasks } from "./recent-tasks.js";
import { Watch } from "./watch.js";

/** @type {Watch | null} */
let watch = null;

/** `?task=<id>` shows that task, anything else the first view. */
function route() {
  const id = new URLSearchParams(location.search).get("task") ?? "";
  watch?.close();
  watch = id ? new Watch(id) : null;
  byId("home").hidden = Boolean(id);
  if (!id) document.title = "Tailrace";
  drawRecentTasks(id);
}

/** Go to another address of the page, and move the focus to the start of its view. */
function navigate(address) {
  history.pushState(null, "", address);
  route();
  scrollTo(0, 0);
  if (watch) watch.focus();
  else byId("message").focus({ preventScroll: true });
}

new Home((id) => navigate(`?task=${encodeURIComponent(id)}`));

on(window, "popstate", route);

// A link to this page changes the view without loading the page again.
on(document, "click", (event) => {
  const link = event.target.closest("a[href]");
  const modified = event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (!link || modified || link.target || link.origin + link.pathname !== location.origin + location.pathname) return;
  event.preventDefault();
  navigate(link.href);
});

// Without this, the browser would open a file that is dropped beside the box, and leave the page.
for (const type of ["dragover", "drop"]) {
  on(document, type, (event) => {
    if (event.dataTransfer.types.includes("Files")) event.preventDefault();
  });
}

route();
byId("loading").remove();
