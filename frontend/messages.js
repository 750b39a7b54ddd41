/**
 * A2A messages as a page shows them. `data` says whether there is structured data.
 * @typedef {{by: "You" | "Agents", text: string, files: {filename: string, bytes: number}[], data: boolean}} Turn
 * @typedef {{id: string, text: string}} Question
 */

const UPLOAD_EXTENSION = "urn:tailrace:a2a:upload:1";
const MAX_TITLE = 140; // characters

const partsOf = (message) => message?.parts ?? [];

/** @param {any} message an A2A Message, or none */
export const isUserMessage = (message) => /user$/i.test(message?.role ?? "");

/** The text of a message, without its files. @param {any} message */
export function textOf(message) {
  const texts = partsOf(message).filter((part) => !part.filename && part.text);
  return texts.map((part) => part.text).join("\n");
}

/** @param {any} message an A2A Message @returns {Turn} */
export function turnOf(message) {
  const files = partsOf(message).filter((part) => part.filename);
  return {
    by: isUserMessage(message) ? "You" : "Agents",
    text: textOf(message) || answersIn(message),
    files: files.map((part) => ({ filename: String(part.filename), bytes: sizeOf(part) })),
    data: partsOf(message).some((part) => part.data && !part.filename),
  };
}

/** The answers of a reply to several questions, one a line. */
function answersIn(message) {
  const answers = partsOf(message).find((part) => part.data?.answers)?.data.answers ?? {};
  return Object.values(answers).map(shown).join("\n");
}

/** What the agent's message asks, by the ids that an answer names. @param {any} message @returns {Question[]} */
export function questionsOf(message) {
  const asked = partsOf(message).find((part) => Array.isArray(part.data?.interrupts))?.data.interrupts ?? [];
  return asked.map(({ id, value }) => ({ id: String(id), text: wordsOf(value) }));
}

function wordsOf(value) {
  if (typeof value === "string") return value;
  const actions = Array.isArray(value?.action_requests) ? value.action_requests : [];
  const asked = value?.question ?? value?.description ?? actions.map((each) => each.description ?? each.name).join("\n");
  const options = Array.isArray(value?.options) ? value.options.map((option) => `• ${shown(option)}`) : [];
  return [shown(asked || value), ...options, ...(value?.auth_url ? [String(value.auth_url)] : [])].join("\n");
}

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** Of a task, by its request: the alert's title, else the first line, else a file's name. @param {any} message */
export function titleOf(message) {
  const alert = partsOf(message).find((part) => part.data?.alert)?.data.alert;
  const line = textOf(message).split("\n").find((text) => text.trim());
  const title = String(alert?.title ?? line ?? turnOf(message).files[0]?.filename ?? "").trim();
  return title.length > MAX_TITLE ? `${title.slice(0, MAX_TITLE - 1)}…` : title;
}

/** In bytes. An upload says its size; base64 has four characters for three bytes. */
const sizeOf = ({ metadata, raw, text = "" }) =>
  metadata?.[UPLOAD_EXTENSION]?.size ?? (raw ? Math.floor((raw.length * 3) / 4) : text.length);
