/**
 * An EventSource that resumes: each event once and in order, across cuts, rotations, refusals and sleep. Like an
 * EventSource it dispatches each event, by its kind: `stream.addEventListener("progress", ({ detail }) => …)`.
 *
 * This file needs no other. docs/PAGE.md has an example, and says how it differs from a plain EventSource.
 */

// In ms.
const FIRST_WAIT = 100;
const LONGEST_WAIT = 5_000;
const OPENING_TIMEOUT = 15_000; // a cold start takes seconds, not this long
const SILENCE_TIMEOUT = 45_000; // three pings
const STALE_AFTER = 20_000; // of silence, when the tab comes back
const ENDED_CHECK = 10_000; // somebody may reply in another window
const WATCH_INTERVAL = 5_000;

const FINAL_STATUSES = [400, 401, 403, 404, 405, 409, 410, 422];

/** A function, so that a server can import this file. @returns {[EventTarget, string][]} */
const wakeEvents = () => [
  [window, "online"],
  [window, "pageshow"],
  [window, "focus"],
  [document, "visibilitychange"],
];

/**
 * Events that were passed on, how many of them after a cut, the last seq (the cursor), and repeated events, which were
 * dropped. Without gaps `count === last`.
 * @typedef {{count: number, recovered: number, last: number, repeated: number}} Applied
 *
 * `result` is an A2A StreamResponse. `text` is the data as it came; `live` is false for stored events.
 * @typedef {{seq: number, result: any, text: string, live: boolean}} StreamEvent the `detail` of a dispatched event
 *
 * @typedef {object} Handlers each may be left out
 * @property {(event: StreamEvent) => void} [onEvent]
 * @property {() => void} [onSync] all stored events have come
 * @property {(gap: {from: number, to: number}) => void} [onGap] these seqs are gone for good
 * @property {() => void} [onEnd]
 * @property {(recovery: {ms: number, recovered: number, lost: number, repeated: number}) => void} [onRecovered] from a cut
 * @property {() => void} [onChange] of `state`
 */

/**
 * How many events were recovered, lost and repeated between two copies of `applied`.
 * @param {Applied} before @param {Applied} after
 */
export const countsBetween = (before, after) => ({
  recovered: after.recovered - before.recovered,
  lost: after.last - before.last - (after.count - before.count),
  repeated: after.repeated - before.repeated,
});

export class EventStream extends EventTarget {
  /**
   * catching-up: stored events come · quiet: a pause until `retryAt` · waiting: cut until then · lost: see `refusal`
   * @type {"opening" | "catching-up" | "live" | "quiet" | "waiting" | "ended" | "lost"}
   */
  state = "opening";
  retryAt = 0; // ms since the epoch
  /** Whether the pause is for want of a place at the server, and not because nothing comes. */
  isBusy = false;
  /** When it was cut, in ms since the epoch. @type {number | null} */
  downSince = null;
  /** The status and the problem details. @type {any} */
  refusal = null;
  backlog = 0; // events of this connection before its `sync`
  /** @type {Applied} */
  applied = { count: 0, recovered: 0, last: 0, repeated: 0 };

  /** @type {EventSource | null} */ #source = null;
  /** @type {(cursor: number) => string} */ #url;
  /** @type {Handlers} */ #handlers;
  #retries = 0;
  #timer = 0;
  #watchTimer = 0;
  #lastActivity = 0;
  #missingAfter = -1; // the cursor before missing events
  #connection = 0; // its number: what an older one answers is ignored
  #appliedBeforeCut = { ...this.applied };

  /** @param {string | ((cursor: number) => string)} url of the stream, or of the events after a cursor @param {Handlers} [handlers] */
  constructor(url, handlers = {}) {
    super();
    this.#url = typeof url === "string" ? (cursor) => withCursor(url, cursor) : url;
    this.#handlers = handlers;
  }

  /** Whether it has all events, as far as it knows. */
  get isUpToDate() {
    return this.state === "live" || this.state === "quiet";
  }

  get cursor() {
    return this.applied.last;
  }

  /** Open the stream at the cursor; also after an end. */
  open() {
    if (!this.#watchTimer) {
      this.#watchTimer = window.setInterval(this.#watch, WATCH_INTERVAL);
      for (const [target, type] of wakeEvents()) target.addEventListener(type, this.#wake);
    }
    this.#retries = 0;
    this.#connect();
  }

  close() {
    this.#disconnect();
    clearInterval(this.#watchTimer);
    this.#watchTimer = 0;
    for (const [target, type] of wakeEvents()) target.removeEventListener(type, this.#wake);
  }

  /** Skip the rest of a wait or a pause. */
  retryNow() {
    if ((this.state === "waiting" || this.state === "quiet") && !this.#source) this.#connect();
  }

  /** Cut the connection as a network does, for at least `ms`. */
  cut(ms) {
    this.#goDown();
    this.#retryLater(ms);
  }

  #connect() {
    this.#disconnect();
    this.backlog = 0;
    this.#lastActivity = Date.now();
    const source = new EventSource(this.#url(this.cursor));
    this.#source = source;
    // A connection that was replaced may still deliver events.
    const listen = (type, handler) =>
      source.addEventListener(type, (frame) => source === this.#source && handler(frame));
    listen("open", () => {
      clearTimeout(this.#timer);
      this.#lastActivity = Date.now();
      if (this.state !== "quiet") this.#setState("catching-up");
    });
    listen("message", (message) => this.#receive(message));
    listen("error", () => this.#handleCut(source.readyState === EventSource.CLOSED));
    listen("sync", () => this.#handleSync());
    listen("ping", () => (this.#lastActivity = Date.now()));
    listen("pause", (frame) => this.#pause(parseObject(frame.data)));
    listen("gap", (frame) => this.#skip(parseObject(frame.data)));
    listen("end", (frame) => {
      if (parseObject(frame.data)?.seq > this.cursor) this.#handleCut(false);
      else this.#handleEnd();
    });
    this.#timer = window.setTimeout(() => this.#handleCut(false), OPENING_TIMEOUT);
    if (this.state !== "quiet") this.#setState("opening");
  }

  #receive(message) {
    this.#lastActivity = Date.now();
    const seq = Number(message.lastEventId);
    if (!Number.isSafeInteger(seq) || seq < 1) return;
    if (seq <= this.cursor) {
      this.applied.repeated += 1;
      return;
    }
    const data = parseObject(message.data);
    if (seq > this.cursor + 1 || !data) {
      // Events are missing or broken: ask for them again, once. Then they are gone.
      if (this.#missingAfter !== this.cursor) {
        this.#missingAfter = this.cursor;
        this.#handleCut(false);
        return;
      }
      this.#skip({ from: this.cursor + 1, to: data ? seq - 1 : seq });
      if (!data) return;
    }
    this.applied.last = seq;
    this.applied.count += 1;
    if (this.downSince !== null) this.applied.recovered += 1;
    this.#retries = 0;
    const live = this.state === "live";
    if (!live) this.backlog += 1;
    if (this.state === "quiet") this.#setState("catching-up");
    const detail = { seq, result: data.result ?? {}, text: message.data, live };
    try {
      this.#handlers.onEvent?.(detail);
    } catch (error) {
      console.error(`event ${seq} could not be applied`, error); // the other events still come
    }
    const kind = kindOf(detail.result);
    if (kind) this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  #handleSync() {
    this.#lastActivity = Date.now();
    // The server can read its log: after a cut now, the wait is short.
    this.#retries = Math.min(this.#retries, 2);
    this.#setState("live");
    this.#handlers.onSync?.();
    this.#reportRecovery();
  }

  #pause(pause) {
    this.#disconnect();
    this.isBusy = pause?.reason === "busy";
    this.#connectIn(Math.max(0, pause?.ms || 0));
    this.#setState("quiet");
  }

  #reportRecovery() {
    if (this.downSince === null) return;
    const ms = Date.now() - this.downSince;
    this.downSince = null;
    this.#handlers.onRecovered?.({ ms, ...countsBetween(this.#appliedBeforeCut, this.applied) });
  }

  #skip(gap) {
    if (!(gap?.to > this.cursor)) return;
    this.applied.last = gap.to;
    this.#handlers.onGap?.(gap);
  }

  #handleEnd() {
    this.#disconnect();
    this.#setState("ended");
    this.#handlers.onEnd?.();
    this.#reportRecovery();
  }

  #goDown() {
    this.#disconnect();
    if (this.downSince !== null) return;
    this.#appliedBeforeCut = { ...this.applied };
    this.downSince = Date.now();
  }

  #handleCut(refused) {
    this.#goDown();
    if (refused) this.#checkStatus(false);
    else this.#retryLater(0);
  }

  /** @param {number} atLeast ms @param {boolean} afterRefusal check the status first */
  #retryLater(atLeast, afterRefusal = false) {
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#retries);
    this.#retries += 1;
    const wait = Math.max(atLeast, longest * (0.5 + Math.random() / 2));
    this.#connectIn(wait, afterRefusal);
    this.#setState("waiting");
  }

  #connectIn(ms, afterRefusal = false) {
    this.retryAt = Date.now() + ms;
    this.#timer = window.setTimeout(() => (afterRefusal ? this.#checkStatus(true) : this.#connect()), ms);
  }

  /** Ask for the status that EventSource hides. @param {boolean} connect at once, if it is a stream */
  async #checkStatus(connect) {
    const connection = this.#connection;
    const aborter = new AbortController();
    const timer = setTimeout(() => aborter.abort(), OPENING_TIMEOUT);
    const ask = (method) => fetch(this.#url(this.cursor), { method, signal: aborter.signal, cache: "no-store" });
    try {
      const response = await ask("HEAD"); // opens no stream
      const final = FINAL_STATUSES.includes(response.status);
      const problem = final && parseObject(await (await ask("GET")).text());
      if (connection !== this.#connection) return;
      if (response.status === 204) {
        if (this.state !== "ended") this.#handleEnd();
      } else if (final) {
        this.refusal = { ...problem, status: response.status };
        this.close();
        this.#setState("lost");
      } else if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
        if (connect) this.#connect();
        else this.#retryLater(0);
      } else if (this.state !== "ended") {
        this.#retryLater(Math.min(60, Number(response.headers.get("retry-after")) || 0) * 1000, true);
      }
    } catch {
      if (connection === this.#connection && this.state !== "ended") this.#retryLater(0, true);
    } finally {
      clearTimeout(timer);
    }
  }

  #watch = () => {
    const silence = Date.now() - this.#lastActivity;
    if (this.state === "live" && silence > SILENCE_TIMEOUT) this.#replace();
    if (this.state === "ended" && silence > ENDED_CHECK && document.visibilityState === "visible") this.#checkEnded();
  };

  #wake = (event) => {
    if (document.visibilityState === "hidden") return;
    const stale = event.type === "online" || event.persisted || Date.now() - this.#lastActivity > STALE_AFTER;
    if (this.state === "ended") this.#checkEnded();
    else if (!this.#source) this.#connect();
    else if (this.state === "live" && stale) this.#replace();
  };

  /** See whether an ended stream goes on. */
  #checkEnded() {
    this.#lastActivity = Date.now();
    this.#checkStatus(true);
  }

  #replace() {
    this.#goDown();
    this.#connect();
  }

  #disconnect() {
    this.#connection += 1;
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #setState(state) {
    this.state = state;
    this.#handlers.onChange?.();
  }
}

function withCursor(url, cursor) {
  const address = new URL(url, document.baseURI);
  if (cursor) address.searchParams.set("cursor", String(cursor));
  return address.href;
}

/** The event's kind, of which PROTOCOL.md has a table. */
function kindOf({ task, statusUpdate, artifactUpdate }) {
  return (task ?? statusUpdate ?? artifactUpdate)?.metadata?.["urn:tailrace:a2a:resume:1"]?.kind;
}

/** Null when it is not JSON. */
function parseObject(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return null;
  }
}
