/** Server-sent events of a response that `fetch` has opened: for requests that an EventSource cannot make. */

/**
 * One frame. `id` is "" for a frame that has none: only what an `id:` ends is complete.
 * @typedef {{event: string, data: string, id: string}} Frame
 */

/**
 * The frames of a stream, wherever its chunks are cut (HTML standard, section "Server-sent events"). A frame that does not
 * end with a blank line is dropped: it was cut.
 * @param {ReadableStream<Uint8Array>} body
 * @param {{onBytes?: () => void, onRetry?: (ms: number) => void, signal?: AbortSignal}} [options] `onBytes` is called for
 *   comments too; `signal` closes the connection
 * @returns {AsyncGenerator<Frame, void, void>}
 */
export async function* framesOf(body, { onBytes, onRetry, signal } = {}) {
  const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream()), { signal }).getReader();
  let rest = "";
  let endedWithCr = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes?.();
      // CRLF is one line end, also if it is cut in two.
      let text = endedWithCr && value.startsWith("\n") ? value.slice(1) : value;
      endedWithCr = value.endsWith("\r") || (endedWithCr && value === "");
      text = text.replace(/\r\n?/g, "\n");
      if (!text.includes("\n")) {
        rest += text;
        continue;
      }
      const blocks = (rest + text).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const frame = frameIn(block, onRetry);
        if (frame) yield frame;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {string} block @param {((ms: number) => void) | undefined} onRetry @returns {Frame | null} */
function frameIn(block, onRetry) {
  const frame = { event: "", data: "", id: "" };
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line) ?? [];
    if (field === "data") data.push(value);
    else if (field === "event") frame.event = value;
    else if (field === "id") frame.id = value;
    else if (field === "retry" && /^\d+$/.test(value)) onRetry?.(Number(value));
  }
  return data.length ? { ...frame, data: data.join("\n") } : null;
}
