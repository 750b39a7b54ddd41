/**
 * A2A messages as a page shows them. `data` has the values of the data parts.
 * @typedef {{filename: string, bytes: number, mediaType: string}} FileInfo
 * @typedef {{by: "user" | "agent", text: string, files: FileInfo[], data: any[], parts: any[]}} Message
 *
 * A question of a waiting task (PROTOCOL.md, 5.12). `id` is "" when the task's server is of an older version.
 * @typedef {{id: string, value: any, node?: string, schema?: any, agent?: string, refused?: string}} Question
 */

import { plainName, wordsFor } from "./format.js";

const UPLOAD_EXTENSION = "urn:tailrace:a2a:upload:1";
const MAX_TITLE = 140; // characters

const partsOf = (message) => message?.parts ?? [];

/** @param {any} message an A2A Message, or none */
export const isUserMessage = (message) => /user$/i.test(message?.role ?? "");

/** @param {any} part of a message or an artifact */
export const isFile = ({ filename, raw, url }) => Boolean(filename || raw || url);

/** @param {any} part */
export const isText = (part) => typeof part.text === "string" && !isFile(part);

/** The text of a message, without its files. @param {any} message */
export const textOf = (message) =>
  partsOf(message)
    .filter((part) => isText(part) && part.text)
    .map((part) => part.text)
    .join("\n");

/** The data of a message, without its files. @param {any} message @returns {any[]} */
export const dataOf = (message) =>
  partsOf(message)
    .filter((part) => part.data !== undefined && !isFile(part))
    .map((part) => part.data);

/** @param {any} message an A2A Message @returns {Message} */
export function messageOf(message) {
  const data = dataOf(message);
  return {
    by: isUserMessage(message) ? "user" : "agent",
    text: textOf(message) || Object.values(data.find((value) => value?.answers)?.answers ?? {}).map(answerText).join("\n"),
    files: partsOf(message).filter(isFile).map(fileInfo),
    data,
    parts: partsOf(message),
  };
}

/** @param {any} part @returns {FileInfo} */
export const fileInfo = (part) => ({
  filename: plainName(part.filename || part.url?.split(/[?#]/)[0].split("/").pop()) || "file",
  bytes: sizeOf(part),
  mediaType: String(part.mediaType ?? ""),
});

/** One answer of a reply, in words. */
function answerText(answer) {
  if (!Array.isArray(answer?.decisions)) return facts(answer)?.join("\n") ?? wordsFor(answer);
  return answer.decisions.map(decisionText).join("\n");
}

/** {"type": "edit", …} → edit: refund (order: 17, amount: 40) */
function decisionText({ type, message, edited_action: edited }) {
  const action = edited && `${edited.name} (${facts(edited.args)?.join(", ") ?? ""})`;
  return [type, action ?? message].filter(Boolean).join(": ");
}

/** {"people": 4} → people: 4; nothing if there are no entries. @param {any} value */
function facts(value) {
  const entries = value && typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : [];
  return entries.length ? entries.map(([key, each]) => `${plainName(key)}: ${wordsFor(each)}`) : undefined;
}

/** What the agent's message asks. @param {any} message @returns {Question[]} */
export function questionsOf(message) {
  const asked = dataOf(message).find((value) => Array.isArray(value?.interrupts))?.interrupts ?? [];
  if (!asked.length) return [{ id: "", value: textOf(message) }];
  return asked.map(({ id, value, node, schema }) => ({
    ...{ id: String(id), value, node, schema },
    ...(value?.delegated ? { agent: plainName(value.agent), refused: value.refused } : {}),
  }));
}

/** Of a task, by its request: the alert's title, else the first line, else a file's name. @param {any} message */
export function titleOf(message) {
  const alert = dataOf(message).find((value) => value?.alert)?.alert;
  const { text, files } = messageOf(message);
  const title = plainName(alert?.title ?? text.split("\n").find((line) => line.trim()) ?? files[0]?.filename).trim();
  return title.length > MAX_TITLE ? `${title.slice(0, MAX_TITLE - 1)}…` : title;
}

/** In bytes. An upload says its size; base64 has four characters for three bytes. */
function sizeOf({ metadata, raw, text = "" }) {
  const padding = /=*$/.exec(raw?.slice(-2) ?? "")?.[0].length ?? 0;
  return metadata?.[UPLOAD_EXTENSION]?.size ?? (raw ? Math.floor(((raw.length - padding) * 3) / 4) : text.length);
}
