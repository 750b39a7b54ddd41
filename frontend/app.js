/** Which view the address asks for, and links within the page. */

import { byId, on } from "./dom.js";
import { Home, drawRecent } from "./home.js";
import "./progress-timeline.js";
import { Watch } from "./watch.js";

/** @type {Watch | null} */
let watch = null;

/** `?task=<id>` is that task, anything else the first view. */
function route() {
  const id = new URLSearchParams(location.search).get("task") ?? "";
  watch?.close();
  watch = id ? new Watch(id) : null;
  byId("home").hidden = Boolean(id);
  if (!id) document.title = "Tailrace";
  drawRecent(id);
}

/** To another address of the page. The keyboard goes along, to where one begins to read or to write. */
function go(address) {
  history.pushState(null, "", address);
  route();
  scrollTo(0, 0);
  if (watch) watch.focus();
  else byId("message").focus({ preventScroll: true });
}

new Home((id) => go(`?task=${encodeURIComponent(id)}`));

on(window, "popstate", route);

// Links within the page keep the page.
on(document, "click", (event) => {
  const link = event.target.closest("a[href]");
  const modified = event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (!link || modified || link.target || link.origin + link.pathname !== location.origin + location.pathname) return;
  event.preventDefault();
  go(link.href);
});

// A file dropped beside the box must not make the browser leave. Text may be dropped where it always may.
for (const type of ["dragover", "drop"]) {
  on(document, type, (event) => {
    if (event.dataTransfer.types.includes("Files")) event.preventDefault();
  });
}

route();
