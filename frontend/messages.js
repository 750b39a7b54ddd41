/**
 * What somebody said in an A2A message, and which files came with it.
 * @typedef {{by: "You" | "Agents", text: string, files: {filename: string, bytes: number}[], data: boolean}} Turn
 */

export const isUsers = (message) => /user$/i.test(message?.role ?? "");

/** The text of a message, files left out. */
export function textOf(message) {
  const texts = parts(message).filter((part) => !part.filename && part.text);
  return texts.map((part) => part.text).join("\n");
}

export function turn(message) {
  const files = parts(message).filter((part) => part.filename);
  return {
    by: isUsers(message) ? "You" : "Agents",
    text: textOf(message),
    files: files.map((part) => ({ filename: String(part.filename), bytes: sizeOf(part) })),
    data: parts(message).some((part) => part.data && !part.filename),
  };
}

/** What to call the task: the alert's title, else the first line, else a file. */
export function titleOf(message) {
  const alert = parts(message).find((part) => part.data?.alert)?.data.alert;
  const line = textOf(message).split("\n").find((text) => text.trim());
  const title = String(alert?.title ?? line ?? turn(message).files[0]?.filename ?? "").trim();
  return title.length > 140 ? `${title.slice(0, 139)}…` : title;
}

const parts = (message) => message?.parts ?? [];

/** An upload says it; base64 is four characters for three bytes. */
const sizeOf = ({ metadata, raw, text = "" }) =>
  metadata?.["urn:tailrace:a2a:upload:1"]?.size ?? (raw ? Math.floor((raw.length * 3) / 4) : text.length);
