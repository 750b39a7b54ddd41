/** Uploads of files that are too large for a message (docs/UPLOADS.md). */

import { apiError, deleteUpload, post, sha256 } from "./api.js";
import { on } from "./dom.js";

/**
 * Upload a file. If `signal` is aborted, also later, nothing of it stays.
 * @param {{filename: string, mediaType: string, data: Uint8Array}} file
 * @param {(share: number) => void} onProgress gets 0 to 1 @param {AbortSignal} signal
 * @returns {Promise<any>} the part of a message that names the file
 */
export async function upload({ filename, mediaType, data }, onProgress, signal) {
  if (!crypto.subtle) throw new Error("A file of this size can be uploaded only from a page on https.");
  const about = { filename, mediaType, size: data.length, sha256: await sha256(data) };
  const { upload: target, part } = await post("api/uploads", JSON.stringify(about));
  signal.throwIfAborted();
  const request = new XMLHttpRequest(); // fetch does not report the progress of an upload
  request.open(target.method, target.url);
  request.responseType = "json";
  for (const name in target.headers) request.setRequestHeader(name, target.headers[name]);
  on(request.upload, "progress", ({ loaded }) => onProgress(loaded / data.length));
  let isSent = false;
  on(request.upload, "load", () => (isSent = true));
  on(signal, "abort", () => isSent || request.abort()); // the server may have stored what is sent
  await new Promise((resolve) => {
    on(request, "loadend", resolve);
    request.send(/** @type {any} */ (data));
  });
  if (request.status < 200 || request.status > 299) throw apiError(request.status, request.response);
  const remove = () => deleteUpload(part.url.split(":").at(-1)).catch(() => {}); // it expires
  if (signal.aborted) remove();
  else on(signal, "abort", remove);
  return part;
}
