/** The list of recent tasks below both views. */

import { listTasks } from "./api.js";
import { byId, h } from "./dom.js";
import { isFinished, plainState } from "./task-state.js";

const REFRESH_INTERVAL = 5_000; // ms, while a task in the list is unfinished
const SHOWN = 8;
const TITLES_KEY = "tailrace.titles"; // of tasks that this browser has shown: the API lists only ids
const KEPT_TITLES = 50;

let latestRequest = 0; // an answer to an older one is ignored
let timer = 0; // of the next refresh
let drawn = ""; // the rows on the page, as JSON

/** Draw the list, and again while a task in it is unfinished. @param {string} current id of the task on the page, or "" */
export async function drawRecentTasks(current) {
  clearTimeout(timer);
  const request = (latestRequest += 1);
  const { tasks } = await listTasks(SHOWN + 1).catch(() => ({}));
  if (request !== latestRequest) return;
  const refreshLater = () => (timer = window.setTimeout(() => drawRecentTasks(current), REFRESH_INTERVAL));
  // Without an answer the list stays. If there is none yet, the secret may be missing: do not ask again and again.
  if (!tasks) return drawn && refreshLater();
  const titles = knownTitles();
  const listed = tasks.filter(({ id }) => id !== current).slice(0, SHOWN);
  const rows = listed.map(({ id, status }) => [id, titles[id] || id, plainState(status?.state), status?.timestamp]);
  if (JSON.stringify(rows) !== drawn) {
    drawn = JSON.stringify(rows);
    const focused = document.activeElement?.getAttribute("href");
    drawList("recent", rows.map(taskRow));
    const links = [...byId("recent-list").querySelectorAll("a")];
    if (focused) links.find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
  }
  if (rows.some(([, , state]) => !isFinished(state))) refreshLater();
}

function taskRow([id, title, state, timestamp]) {
  const time = new Date(timestamp).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const link = h("a", { href: `?task=${encodeURIComponent(id)}` }, title);
  return h("li", link, h("span.state", { "data-state": state }, state.replace("-", " ")), h("time", time));
}

/** Fill a section's list, or hide the section. */
export function drawList(id, rows) {
  byId(id).hidden = !rows.length;
  byId(`${id}-list`).replaceChildren(...rows);
}

/** Show the task under this title in the list. */
export function rememberTitle(id, title) {
  const titles = [...Object.entries(knownTitles()).slice(1 - KEPT_TITLES), [id, title]];
  try {
    localStorage.setItem(TITLES_KEY, JSON.stringify(Object.fromEntries(titles)));
  } catch {
    // Without storage the list shows ids.
  }
}

/** By task id. */
function knownTitles() {
  try {
    return JSON.parse(localStorage.getItem(TITLES_KEY) ?? "{}");
  } catch {
    return {};
  }
}
