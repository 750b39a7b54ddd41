/** The stored events of a task, read once: for a download, or for a step that somebody has opened. */

const MAX_RETRIES = 3; // of a stream that brings nothing new

/**
 * Events as the server wrote them, in order, from a cursor to the newest one. `isGap`: `data` says which ones are gone.
 * @param {(cursor: number) => string} streamUrl @returns {AsyncGenerator<{seq: number, data: string, isGap: boolean}>}
 */
export async function* storedEvents(streamUrl, cursor = 0) {
  for (let retries = 0; retries <= MAX_RETRIES; retries += 1) {
    const response = await fetch(streamUrl(cursor), { cache: "no-store" }).catch(() => null);
    if (response?.status === 204) return;
    if (response && !response.ok) throw new Error(`The events did not come: the server answered ${response.status}.`);
    for await (const { id, event, data } of frames(response?.body)) {
      if (event === "sync" || event === "end") return;
      const seq = event === "gap" ? JSON.parse(data).to : event ? 0 : Number(id);
      if (!(seq > cursor)) continue;
      cursor = seq;
      retries = 0;
      yield { seq, data, isGap: Boolean(event) };
    }
  }
  throw new Error("The connection was lost before all events had come. Try again.");
}

/** The frames of a stream of server-sent events, up to its end or a cut. Source: HTML standard, section 9.2.6. */
async function* frames(body) {
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
  const read = () => reader?.read().catch(() => null);
  let rest = "";
  let frame = { id: "", event: "", data: /** @type {string[]} */ ([]) };
  try {
    for (let piece; (piece = await read()) && !piece.done; ) {
      const lines = (rest + piece.value).split(/\r\n|\n|\r(?!$)/); // a last CR may be half a line's end
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [field, value] = [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).replace(/^ /, "")];
        if (field === "data") frame.data.push(value);
        else if (field === "id" || field === "event") frame[field] = value;
        if (line) continue;
        if (frame.data.length) yield { ...frame, data: frame.data.join("\n") };
        frame = { id: "", event: "", data: [] };
      }
    }
  } finally {
    reader?.cancel().catch(() => {});
  }
}
