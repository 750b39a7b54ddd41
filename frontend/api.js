/** The API, relative to the page for stage prefixes. What fails is an Error that says it to the person at the page. */

import { on } from "./dom.js";

const taskPath = (id) => `api/tasks/${encodeURIComponent(id)}`;

export const getTask = (id) => call("GET", taskPath(id));
export const streamUrl = (id, cursor) => `api/stream/${encodeURIComponent(id)}${cursor ? `?cursor=${cursor}` : ""}`;
export const listTasks = (pageSize) => call("GET", `api/tasks?pageSize=${pageSize}`);
export const agents = () => call("GET", "api/agents");
export const createTask = (message) => send("api/tasks", message);
export const reply = (id, message) => send(`${taskPath(id)}/messages`, message);
export const cancelTask = (id) => post(`${taskPath(id)}/cancel`, "{}");

/** Bring a file to where agents find it, and `tell` the share that has gone; gives the part that stands for it. */
export async function upload({ filename, mediaType, data }, tell, signal) {
  if (!crypto.subtle) throw new Error("A file of this size needs a page on https.");
  const about = { filename, mediaType, size: data.length, sha256: await sha256(data) };
  const { upload: to, part } = await post("api/uploads", JSON.stringify(about));
  signal.throwIfAborted();
  const request = new XMLHttpRequest(); // fetch does not tell how much has gone
  request.open(to.method, to.url);
  request.responseType = "json";
  for (const name in to.headers) request.setRequestHeader(name, to.headers[name]);
  on(request.upload, "progress", ({ loaded }) => tell(loaded / data.length));
  on(signal, "abort", () => request.abort());
  await new Promise((done) => {
    on(request, "loadend", done);
    request.send(data);
  });
  if (request.status < 200 || request.status > 299) throw failure(request.status, request.response);
  return part;
}

/** Sent without a sure answer: to send the same again is the same request. */
const unsure = { body: "", key: "" };

async function send(path, message) {
  const body = JSON.stringify({ message });
  if (unsure.body !== path + body) {
    Object.assign(unsure, { body: path + body, key: hex(crypto.getRandomValues(new Uint8Array(16))) });
  }
  const answer = await post(path, body, { "idempotency-key": unsure.key });
  unsure.body = "";
  return answer;
}

/** A gateway takes a change only as JSON, which no page of another origin can send unasked. */
export const post = (path, body, headers = {}) => call("POST", path, body, { "content-type": "application/json", ...headers });

/** @returns {Promise<any>} */
async function call(method, path, body, headers = {}) {
  // CloudFront signs no POST without it; plain http on another host has no crypto.subtle.
  if (method === "POST" && crypto.subtle) {
    headers["x-amz-content-sha256"] = await sha256(new TextEncoder().encode(body ?? ""));
  }
  const known = document.cookie;
  const response = await fetch(path, { method, body, headers, cache: "no-store" }).catch(() => {
    throw new Error("The gateway did not answer. Nothing was lost; try again in a moment.");
  });
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer ?? {};
  if (response.status === 401 && (document.cookie !== known || unlock())) return call(method, path, body, headers);
  throw failure(response.status, answer);
}

function failure(status, answer) {
  const { title = status ? `The answer was ${status}` : "The connection broke off", detail } = answer ?? {};
  return Object.assign(new Error(detail ? `${title}: ${detail}` : title), { status, detail });
}

/** The secret of a gateway that others can reach. A cookie, because EventSource sends no headers. */
function unlock() {
  const secret = prompt("The access secret of this gateway:");
  if (secret) document.cookie = `tailrace-secret=${encodeURIComponent(secret)}; path=/; SameSite=Strict; Secure`;
  return Boolean(secret);
}

const sha256 = async (data) => hex(await crypto.subtle.digest("SHA-256", data));
const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
