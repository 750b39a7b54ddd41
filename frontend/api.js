/** The gateway's API, relative to the page. A call that fails throws an Error with a sentence for the user. */

import { signIn } from "./lazy-view.js";

const taskPath = (id) => `api/tasks/${encodeURIComponent(id)}`;
/** A list becomes several parameters of one name. */
const query = (parameters) =>
  new URLSearchParams(Object.entries(parameters).flatMap(([name, value]) => (value ? [value].flat().map((each) => [name, each]) : [])));
const conversationPath = ({ contextId, agent }, more = {}) =>
  `api/conversations/${encodeURIComponent(contextId)}?${query({ agent, ...more })}`;

export const streamUrl = (id, cursor) => `api/stream/${encodeURIComponent(id)}${cursor ? `?cursor=${cursor}` : ""}`;
export const getTask = (id) => call("GET", taskPath(id));
export const listAgents = () => call("GET", "api/agents");
/** @param {{q?: string, agent?: string, state?: string[], pageSize?: number, pageToken?: string}} filters */
export const listConversations = (filters) => call("GET", `api/conversations?${query(filters)}`);
/** A conversation is named by `contextId` and `agent`. */
export const getConversation = (named, page) => call("GET", conversationPath(named, page));
export const renameConversation = (named, title) => call("PATCH", conversationPath(named), JSON.stringify({ title }));
export const deleteConversation = (named) => call("DELETE", conversationPath(named));
export const deleteUpload = (id) => call("DELETE", `api/uploads/${encodeURIComponent(id)}`);
/** @param {{parts: any[], contextId?: string}} message @param {string} [agent] the default agent if it is left out */
export const createTask = (message, agent) => sendOnce("api/tasks", { message, agent });
export const reply = (id, message) => sendOnce(`${taskPath(id)}/messages`, { message });
export const cancelTask = (id) => post(`${taskPath(id)}/cancel`, "{}");

/** The request that got no answer. Sent again, it keeps its key, so that it is done once. */
const unanswered = { body: "", key: "" };

async function sendOnce(path, content) {
  const body = JSON.stringify(content);
  if (unanswered.body !== path + body) {
    Object.assign(unanswered, { body: path + body, key: hex(crypto.getRandomValues(new Uint8Array(16))) });
  }
  const answer = await post(path, body, { "idempotency-key": unanswered.key });
  unanswered.body = "";
  return answer;
}

export const post = (path, body, headers) => call("POST", path, body, headers);

/** @returns {Promise<any>} the JSON of the answer */
async function call(method, path, body, headers = {}) {
  // The gateway takes only JSON, which a page of another origin cannot send.
  if (body) headers = { "content-type": "application/json", ...headers };
  // CloudFront needs the hash to sign the request. Plain http on another host has no crypto.subtle.
  if (body && crypto.subtle) headers["x-amz-content-sha256"] = await sha256(new TextEncoder().encode(body));
  const cookieBefore = document.cookie;
  const response = await fetch(path, { method, body, headers, cache: "no-store" }).catch(() => {
    throw new Error("The gateway did not answer. Nothing was lost; try again in a moment.");
  });
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer ?? {};
  // Another call may have asked for the secret in the meantime.
  const isRetried = response.status === 401 && (document.cookie !== cookieBefore || (await (await signIn()).ask(answer)));
  if (isRetried) return call(method, path, body, headers);
  throw apiError(response.status, answer);
}

/** @returns {Error & {status: number, detail?: string}} */
export function apiError(status, answer) {
  const { title = status ? `The server answered ${status}` : "The connection was lost", detail } = answer ?? {};
  return Object.assign(new Error(detail ? `${title}: ${detail}` : title), { status, detail });
}

export const sha256 = async (data) => hex(await crypto.subtle.digest("SHA-256", data));
const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
