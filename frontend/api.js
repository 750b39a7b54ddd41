/**
 * The tasks API, relative to the page so that it also works under a stage prefix. What fails throws
 * an Error whose message is for the person at the page.
 */

const taskPath = (id) => `api/tasks/${encodeURIComponent(id)}`;

export const streamUrl = (id, cursor) => `api/stream/${encodeURIComponent(id)}${cursor ? `?cursor=${cursor}` : ""}`;
export const listTasks = (pageSize) => call("GET", `api/tasks?pageSize=${pageSize}`);
export const agents = () => call("GET", "api/agents");
export const createTask = (message) => send("api/tasks", message);
export const reply = (id, message) => send(`${taskPath(id)}/messages`, message);
export const cancelTask = (id) => call("POST", `${taskPath(id)}/cancel`);

/** Sent without a sure answer: to send the same again is the same request. */
const unsure = { body: "", key: "" };

async function send(path, message) {
  const body = JSON.stringify({ message });
  if (unsure.body !== path + body) Object.assign(unsure, { body: path + body, key: uuid() });
  const answer = await call("POST", path, body, { "content-type": "application/json", "idempotency-key": unsure.key });
  unsure.body = "";
  return answer;
}

/** @returns {Promise<any>} */
async function call(method, path, body, headers = {}) {
  // CloudFront signs no POST without it; plain http on another host has no crypto.subtle.
  if (method === "POST" && crypto.subtle) {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(body ?? ""));
    headers["x-amz-content-sha256"] = hex(new Uint8Array(digest));
  }
  const known = document.cookie;
  const response = await fetch(path, { method, body, headers, cache: "no-store" }).catch(() => {
    throw new Error("The gateway did not answer. Nothing was lost; try again in a moment.");
  });
  const answer = (await response.json().catch(() => null)) ?? {};
  if (response.ok) return answer;
  if (response.status === 401 && (document.cookie !== known || unlock())) return call(method, path, body, headers);
  const { title = `The gateway answered ${response.status}`, detail } = answer;
  throw new Error(detail ? `${title}: ${detail}` : title);
}

/** A gateway that is not on loopback has one secret for all. A cookie, because EventSource sends no headers. */
function unlock() {
  const secret = prompt("The access secret of this gateway:");
  if (secret) document.cookie = `tailrace-secret=${encodeURIComponent(secret)}; path=/; SameSite=Strict; Secure`;
  return Boolean(secret);
}

/** crypto.randomUUID is there in secure contexts only. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
