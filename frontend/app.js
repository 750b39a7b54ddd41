/** Which view the address asks for, and links within the page. */

import { byId } from "./dom.js";
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
  byId("watch").hidden = !id;
  if (!id) document.title = "Tailrace";
  drawRecent(id);
}

function go(address) {
  history.pushState(null, "", address);
  route();
  scrollTo(0, 0);
}

new Home((id) => {
  go(`?task=${encodeURIComponent(id)}`);
  byId("task-title").focus({ preventScroll: true });
});

onpopstate = route;

// Links within the page keep the page.
document.addEventListener("click", (event) => {
  const link = /** @type {any} */ (event.target).closest("a[href]");
  const modified = event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (!link || modified || link.target || link.origin + link.pathname !== location.origin + location.pathname) return;
  event.preventDefault();
  go(link.href);
});

// A file dropped beside the box must not make the browser leave.
for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());

route();
