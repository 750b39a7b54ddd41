/**
 * An agent of AG-UI that resumes: `new TailraceHttpAgent({ url: "/api/agui/orchestrator", threadId })`.
 *
 * AG-UI's own `HttpAgent` takes a cut for the end, and its `connect()` throws. This one comes back with its cursor, so that
 * each event is given once and in order across cuts and a restart of the gateway; `connectAgent()` brings a thread's
 * messages and the run that is under way. docs/FRONTENDS.md has examples.
 */
// @ts-check

import { HttpAgent, enforceOutgoingInput } from "@ag-ui/client";
import { EMPTY, Observable, catchError, throwError } from "rxjs";
import { framesOf } from "./sse-frames.js";

// In ms.
const FIRST_WAIT = 100;
const LONGEST_WAIT = 5_000;
const SILENCE_TIMEOUT = 45_000; // three comments
const FIRST_TRIES = 5; // as long as nothing has answered

const FINAL_STATUSES = [400, 401, 403, 404, 405, 409, 410, 413, 415, 422];
const TERMINAL = ["RUN_FINISHED", "RUN_ERROR"];

/**
 * @typedef {import("@ag-ui/client").RunAgentInput} RunAgentInput
 * @typedef {import("@ag-ui/client").BaseEvent} BaseEvent
 * @typedef {(cursor: string, signal: AbortSignal) => Promise<Response>} Ask
 */

/** The gateway's refusal; `status` is HTTP's. */
export class RefusedError extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.name = "RefusedError";
    this.status = status;
  }
}

export class TailraceHttpAgent extends HttpAgent {
  /** The id of the task that the latest run that has begun belongs to; "" before there is one. */
  task = "";

  /** @param {RunAgentInput} input @returns {Observable<BaseEvent>} */
  run(input) {
    return eventsOf(this, this.url, () => this.requestInit(enforceOutgoingInput(input)));
  }

  /**
   * The thread as it is, and then the run that is under way. Of a thread that does not exist nothing comes.
   * @param {RunAgentInput} input @returns {Observable<BaseEvent>}
   */
  connect(input) {
    const url = `${this.url.replace(/\/$/, "")}/connect`;
    const events = eventsOf(this, url, () => this.requestInit(enforceOutgoingInput(input)));
    const isNew = (/** @type {unknown} */ error) => error instanceof RefusedError && error.status === 404;
    return events.pipe(catchError((error) => (isNew(error) ? EMPTY : throwError(() => error))));
  }

  /** @type {HttpAgent["runAgent"]} */
  runAgent(parameters, subscriber) {
    return asked(this, super.runAgent(parameters, subscriber));
  }

  /** @type {HttpAgent["connectAgent"]} */
  connectAgent(parameters, subscriber) {
    this.abortController = new AbortController();
    return asked(this, super.connectAgent(parameters, subscriber));
  }

  /** @returns {TailraceHttpAgent} */
  clone() {
    const cloned = /** @type {TailraceHttpAgent} */ (super.clone());
    cloned.task = this.task;
    return cloned;
  }

  /**
   * Cancel the task of the latest run; of one that is asked for, as soon as it has begun. To abort a run only stops reading it.
   * @throws {RefusedError} the task has ended @throws {Error} there is no run
   */
  async cancelRun() {
    await beginnings.get(this)?.begun;
    if (!this.task) throw new Error("There is no run to cancel.");
    const address = this.url.replace(/\/agui\/[^/]*\/?$/, `/tasks/${this.task}/cancel`);
    if (address === this.url) throw new Error(`Only a url that ends with /agui/AGENT can cancel, and not ${this.url}`);
    const headers = { ...this.headers, "Content-Type": "application/json" };
    const response = await this.fetch(address, { method: "POST", headers });
    if (!response.ok) throw await refused(response);
  }
}

/**
 * Of each agent's latest run: `begun` is fulfilled when it has begun, or is over.
 * @type {WeakMap<HttpAgent, {begun: Promise<void>, begins: () => void}>}
 */
const beginnings = new WeakMap();

/** @template T @param {HttpAgent} agent @param {Promise<T>} result of the run that was asked for @returns {Promise<T>} */
function asked(agent, result) {
  /** @type {() => void} */ let begins = () => {};
  const begun = /** @type {Promise<void>} */ (new Promise((resolve) => (begins = resolve)));
  beginnings.set(agent, { begun, begins });
  result.then(begins, begins);
  return result;
}

/** @param {TailraceHttpAgent} agent @param {string} url @param {() => RequestInit} request @returns {Observable<BaseEvent>} */
function eventsOf(agent, url, request) {
  return new Observable((observer) => {
    const closing = new AbortController();
    const stopped = AbortSignal.any([closing.signal, agent.abortController.signal]);
    /** @type {Ask} */
    const ask = (cursor, signal) => {
      const init = request();
      const headers = { ...init.headers, ...(cursor ? { "Last-Event-ID": cursor } : {}) };
      return agent.fetch(url, { ...init, headers, signal });
    };
    (async () => {
      for await (const event of followed(ask, stopped)) {
        const task = event.metadata?.tailrace?.task;
        if (task) {
          agent.task = task;
          beginnings.get(agent)?.begins();
        }
        observer.next(event);
      }
      observer.complete();
    })().catch((error) => observer.error(error));
    return () => closing.abort();
  });
}

/**
 * The events of one run, each once and in order. What comes behind the last `id:` of a stream that was cut comes again.
 * @param {Ask} ask @param {AbortSignal} stopped
 */
async function* followed(ask, stopped) {
  let cursor = "";
  let isThere = false;
  for (let tries = 1; ; tries += 1) {
    const silence = new Silence(stopped);
    let held = [];
    let failure = new Error("The gateway did not answer.");
    let wait = Math.min(FIRST_WAIT * 2 ** tries, LONGEST_WAIT) * (0.5 + Math.random() / 2);
    try {
      const response = await ask(cursor, silence.signal);
      if (response.status === 204 && cursor) return; // the run is over at the cursor
      if (isStream(response) && response.body) {
        isThere = true;
        for await (const frame of framesOf(response.body, { onBytes: () => silence.over(), signal: silence.signal })) {
          const event = JSON.parse(frame.data);
          held.push(event);
          const ends = TERMINAL.includes(event.type);
          if (!frame.id && !ends) continue;
          cursor = frame.id || cursor;
          tries = 0;
          yield* held;
          held = [];
          if (ends) return;
        }
      } else {
        failure = await refused(response);
        if (isFinal(response, isThere)) throw failure;
        wait = Math.max(wait, 1_000 * Number(response.headers.get("retry-after")) || 0);
      }
    } catch (/** @type {any} */ error) {
      if (stopped.aborted || error instanceof RefusedError) throw error;
      failure = error;
    } finally {
      silence.close();
    }
    if (!isThere && tries >= FIRST_TRIES) throw failure;
    await pause(wait, stopped);
    if (stopped.aborted) throw stopped.reason;
  }
}

/** @param {Response} response */
function isStream(response) {
  return response.ok && (response.headers.get("content-type") ?? "").startsWith("text/event-stream");
}

/**
 * Whether another request would get the same answer. In the middle of a run none is a wrong address, and a limit is for a
 * time: a gateway that was killed did not give back the place of its stream.
 * @param {Response} response @param {boolean} isThere
 */
function isFinal(response, isThere) {
  return isThere ? FINAL_STATUSES.includes(response.status) : response.ok || [...FINAL_STATUSES, 429].includes(response.status);
}

/** @param {number} ms @param {AbortSignal} stopped */
function pause(ms, stopped) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    stopped.addEventListener("abort", resolve, { once: true });
  });
}

/** Aborts a request on which nothing has come for too long. */
class Silence {
  #controller = new AbortController();
  /** @type {any} */ #timer;

  /** @param {AbortSignal} stopped */
  constructor(stopped) {
    this.signal = AbortSignal.any([this.#controller.signal, stopped]);
    this.over();
  }

  /** Something has come. */
  over() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), SILENCE_TIMEOUT);
  }

  close() {
    clearTimeout(this.#timer);
  }
}

/** @param {Response} response */
async function refused(response) {
  const problem = await response.json().catch(() => ({}));
  const type = response.headers.get("content-type") ?? "no content";
  const answer = `${response.url} answered ${response.status}${response.ok ? `: ${type}, and no event stream` : ""}.`;
  return new RefusedError(response.status, problem?.detail ?? answer);
}
