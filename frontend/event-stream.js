/**
 * A resuming EventSource: every event once, in order, across cuts, rotations, refusals and sleep.
 *
 * It knows nothing of the page or of A2A. It wants dense ids (1, 2, 3 …), JSON data, and the frames
 * `sync`, `gap` and `end` of docs/PROTOCOL.md. What a bare EventSource does not do:
 *
 *  1. It gives up on any answer but 200. This asks with fetch what the answer was: 204 is the end,
 *     most 4xx are final, anything else is tried again.
 *  2. Waits of 100 ms, doubling to 5 s, half of it jitter: nobody sees a rotation. Only an event
 *     resets them; headers prove nothing.
 *  3. It tries at once when network or tab come back, and replaces a connection silent for long:
 *     a script sees no heartbeats, and a half-open socket looks like a quiet one.
 *  4. A repeated event is dropped, a hole fetched again, an `end` beyond the cursor is a cut.
 */

import { count } from "./time.js";

const FIRST_WAIT = 100;
const LONGEST_WAIT = 5_000;
const OPENING_TIMEOUT = 15_000; // a cold start takes seconds, not this long
const QUIET_TIMEOUT = 45_000; // three heartbeats of the server
const LOOK_AFTER = 10_000; // while the task waits: somebody may reply in another window
const STALE = 20_000; // silent for this long when the tab comes back: better a new connection
const FINAL = [400, 401, 403, 404, 405, 409, 410, 422];

/** @type {[EventTarget, string][]} */
const WAKERS = [
  [window, "online"],
  [window, "pageshow"],
  [document, "visibilitychange"],
];

/** What happened between two looks at `applied`, in words. */
export function cost(now, before) {
  const [last, applied, recovered, repeated] = ["last", "count", "recovered", "repeated"].map((n) => now[n] - before[n]);
  return `${count(recovered)} recovered, ${count(last - applied)} lost, ${count(repeated)} repeated`;
}

/**
 * @typedef {object} Handlers
 * @property {(event: {seq: number, result: any, text: string, live: boolean}) => void} event
 * @property {() => void} sync the log is read; what follows is live
 * @property {(gap: {from: number, to: number}) => void} gap
 * @property {() => void} end
 * @property {(recovery: {ms: number, cost: string}) => void} recovered after a cut
 * @property {() => void} change of `state`
 */

export class EventStream {
  /**
   * opening: no answer yet · catching-up: reading the log · live: following it · waiting: cut, next
   * try at `retryAt` · ended: the server said so · lost: for good
   * @type {"opening" | "catching-up" | "live" | "waiting" | "ended" | "lost"}
   */
  state = "opening";
  retryAt = 0;
  /** Since when it has been cut. @type {number | null} */
  downSince = null;
  /** Why it is lost. @type {any} */
  lost = null;
  /** Events of this connection before its `sync`. */
  backlog = 0;
  /**
   * For tests and the curious (`window.tailrace.applied`): events handed on, how many of them only
   * after a cut, the seq of the last (the cursor), and those that came again and were dropped.
   * Without gaps `count === last`.
   */
  applied = { count: 0, recovered: 0, last: 0, repeated: 0 };

  /** @type {EventSource | null} */ #source = null;
  /** @type {(cursor: number) => string} */ #url;
  /** @type {Handlers} */ #on;
  #tries = 0;
  #timer = 0;
  #patrol = 0;
  #heard = 0;
  #holeAt = -1;
  #epoch = 0; // answers of an older connection are ignored
  #before = { ...this.applied }; // as it was when it was cut

  /** @param {(cursor: number) => string} url @param {Handlers} handlers */
  constructor(url, handlers) {
    this.#url = url;
    this.#on = handlers;
  }

  /** Open, or open again after an end, from the cursor. */
  open() {
    if (!this.#patrol) {
      this.#patrol = window.setInterval(this.#watch, 5_000);
      for (const [target, type] of WAKERS) target.addEventListener(type, this.#wake);
    }
    this.#tries = 0;
    this.#connect();
  }

  close() {
    this.#drop();
    clearInterval(this.#patrol);
    this.#patrol = 0;
    for (const [target, type] of WAKERS) target.removeEventListener(type, this.#wake);
  }

  /** "Try now": skip what is left of the wait. */
  retryNow() {
    if (this.state === "waiting") this.#connect();
  }

  /** Cut it, as a network does, for `ms`. */
  cut(ms) {
    this.#down();
    this.#wait(ms);
  }

  #connect() {
    this.#drop();
    this.backlog = 0;
    this.#heard = Date.now();
    const source = new EventSource(this.#url(this.applied.last));
    this.#source = source;
    // What a connection still says after it was dropped is for nobody.
    const hear = (type, handler) =>
      source.addEventListener(type, (frame) => source === this.#source && handler(frame));
    hear("open", () => {
      clearTimeout(this.#timer);
      this.#heard = Date.now();
      this.#become("catching-up");
    });
    hear("message", (message) => this.#receive(message));
    hear("error", () => this.#cut(source.readyState === EventSource.CLOSED));
    hear("sync", () => this.#synced());
    hear("gap", (frame) => this.#gap(parsed(frame.data)));
    hear("end", (frame) => {
      if (parsed(frame.data)?.seq > this.applied.last) this.#cut(false);
      else this.#end();
    });
    this.#timer = window.setTimeout(() => this.#cut(false), OPENING_TIMEOUT);
    this.#become("opening");
  }

  #receive(message) {
    this.#heard = Date.now();
    const seq = Number(message.lastEventId);
    if (!Number.isSafeInteger(seq) || seq < 1) return;
    if (seq <= this.applied.last) {
      this.applied.repeated += 1;
      return;
    }
    const frame = parsed(message.data);
    if (seq > this.applied.last + 1 || !frame) {
      // A hole, or a torn frame: the log has it whole, read it again. The same hole twice is a fact.
      if (this.#holeAt !== this.applied.last) {
        this.#holeAt = this.applied.last;
        this.#cut(false);
        return;
      }
      this.#gap({ from: this.applied.last + 1, to: frame ? seq - 1 : seq });
      if (!frame) return;
    }
    this.applied.last = seq;
    this.applied.count += 1;
    if (this.downSince !== null) this.applied.recovered += 1;
    this.#tries = 0;
    const live = this.state === "live";
    if (!live) this.backlog += 1;
    try {
      this.#on.event({ seq, result: frame.result ?? {}, text: message.data, live });
    } catch (error) {
      console.error(`event ${seq} could not be applied`, error); // one odd event must not stop the rest
    }
  }

  #synced() {
    this.#heard = Date.now();
    // No event, but a server that reads its log: a cut now need not wait for seconds.
    this.#tries = Math.min(this.#tries, 2);
    this.#become("live");
    this.#on.sync();
    this.#recovered();
  }

  #recovered() {
    const since = this.downSince;
    this.downSince = null;
    if (since !== null) this.#on.recovered({ ms: Date.now() - since, cost: cost(this.applied, this.#before) });
  }

  #gap(gap) {
    if (!(gap?.to > this.applied.last)) return;
    this.applied.last = gap.to;
    this.#on.gap(gap);
  }

  #end() {
    this.#drop();
    this.#become("ended");
    this.#on.end();
    this.#recovered();
  }

  #down() {
    this.#drop();
    if (this.downSince === null) this.#before = { ...this.applied };
    this.downSince ??= Date.now();
  }

  #cut(refused) {
    this.#down();
    if (refused) this.#ask(false);
    else this.#wait(0);
  }

  /** @param {number} atLeast ms @param {boolean} ask first, when the last answer was a refusal */
  #wait(atLeast, ask = false) {
    const base = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#tries);
    this.#tries += 1;
    const wait = Math.max(atLeast, base * (0.5 + Math.random() / 2));
    this.retryAt = Date.now() + wait;
    this.#timer = window.setTimeout(() => (ask ? this.#ask(true) : this.#connect()), wait);
    this.#become("waiting");
  }

  /** Ask for the status that EventSource hides. @param {boolean} open if the answer is a stream after all */
  async #ask(open) {
    const epoch = this.#epoch;
    const aborter = new AbortController();
    const timer = setTimeout(() => aborter.abort(), OPENING_TIMEOUT);
    try {
      const response = await fetch(this.#url(this.applied.last), { signal: aborter.signal, cache: "no-store" });
      const problem = FINAL.includes(response.status) ? parsed(await response.text()) : null;
      if (epoch !== this.#epoch) return;
      if (response.status === 204) {
        if (this.state !== "ended") this.#end();
      } else if (FINAL.includes(response.status)) {
        this.lost = { ...problem, status: response.status };
        this.close();
        this.#become("lost");
      } else if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
        if (open) this.#connect();
        else this.#wait(0);
      } else if (this.state !== "ended") {
        this.#wait(Math.min(60, Number(response.headers.get("retry-after")) || 0) * 1000, true);
      }
    } catch {
      if (epoch === this.#epoch && this.state !== "ended") this.#wait(0, true);
    } finally {
      clearTimeout(timer);
      aborter.abort(); // the status was all that was wanted
    }
  }

  #watch = () => {
    const silent = Date.now() - this.#heard;
    if (this.state === "live" && silent > QUIET_TIMEOUT) this.#replace();
    if (this.state === "ended" && silent > LOOK_AFTER && document.visibilityState === "visible") this.#look();
  };

  #wake = (event) => {
    if (document.visibilityState === "hidden") return;
    const stale = event.type === "online" || /** @type {any} */ (event).persisted;
    if (this.state === "waiting") this.#connect();
    else if (this.state === "live" && (stale || Date.now() - this.#heard > STALE)) this.#replace();
    else if (this.state === "ended") this.#look();
  };

  /** Another window may have replied: ask, quietly. */
  #look() {
    this.#heard = Date.now();
    this.#ask(true);
  }

  #replace() {
    this.#down();
    this.#connect();
  }

  #drop() {
    this.#epoch += 1;
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #become(state) {
    this.state = state;
    this.#on.change();
  }
}

function parsed(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return null;
  }
}
