/**
 * An agent of AG-UI that resumes: `new TailraceHttpAgent({ url: "/api/agui/orchestrator", threadId })`.
 *
 * AG-UI's own `HttpAgent` takes a cut for the end, and its `connect()` throws. This one comes back with its cursor, so that
 * each event is given once and in order across cuts and a restart of the gateway; `connectAgent()` brings a thread's
 * messages and the run that is under way. docs/FRONTENDS.md has examples.
 */

import { HttpAgent, enforceOutgoingInput } from "@ag-ui/client";
import { EMPTY, Observable, catchError, throwError } from "rxjs";
import { framesOf } from "./sse-frames.js";

// In ms.
const FIRST_WAIT = 100;
const LONGEST_WAIT = 5_000;
const SILENCE_TIMEOUT = 45_000; // three comments
const FIRST_TRIES = 5; // as long as nothing has answered

const FINAL_STATUSES = [400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 429];
const TERMINAL = ["RUN_FINISHED", "RUN_ERROR"];

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
  /** The id of the task that the latest run belongs to; "" before there is one. */
  task = "";

  /** @param {import("@ag-ui/client").RunAgentInput} input */
  run(input) {
    return eventsOf(this, this.url, input);
  }

  /**
   * The thread as it is, and then the run that is under way. Of a thread that does not exist nothing comes.
   * @param {import("@ag-ui/client").RunAgentInput} input
   */
  connect(input) {
    const isNew = (error) => error instanceof RefusedError && error.status === 404;
    const events = eventsOf(this, `${this.url.replace(/\/$/, "")}/connect`, input);
    return events.pipe(catchError((error) => (isNew(error) ? EMPTY : throwError(() => error))));
  }

  /** @type {HttpAgent["connectAgent"]} */
  connectAgent(parameters, subscriber) {
    this.abortController = new AbortController();
    return super.connectAgent(parameters, subscriber);
  }

  /** Cancel the task of the latest run. To abort a run only stops reading it. */
  async cancelRun() {
    const address = this.url.replace(/\/agui\/[^/]*\/?$/, `/tasks/${this.task}/cancel`);
    const headers = { ...this.headers, "Content-Type": "application/json" };
    const response = await this.fetch(address, { method: "POST", headers });
    if (!response.ok) throw await refused(response);
  }
}

/** @param {TailraceHttpAgent} agent @param {string} url @param {import("@ag-ui/client").RunAgentInput} input */
function eventsOf(agent, url, input) {
  return new Observable((observer) => {
    const closing = new AbortController();
    const stop = () => closing.abort();
    const outer = agent.abortController.signal;
    outer.addEventListener("abort", stop, { once: true });
    const ask = (cursor, signal) => {
      const init = agent.requestInit(enforceOutgoingInput(input));
      const headers = { ...init.headers, ...(cursor ? { "Last-Event-ID": cursor } : {}) };
      return agent.fetch(url, { ...init, headers, signal });
    };
    (async () => {
      for await (const event of followed(ask, closing.signal)) {
        agent.task = event.metadata?.tailrace?.task ?? agent.task;
        observer.next(event);
      }
      observer.complete();
    })().catch((error) => observer.error(error));
    return () => {
      outer.removeEventListener("abort", stop);
      stop();
    };
  });
}

/**
 * The events of one run, each once and in order. What comes behind the last `id:` of a stream that was cut comes again.
 * @param {(cursor: string, signal: AbortSignal) => Promise<Response>} ask @param {AbortSignal} stopped
 */
async function* followed(ask, stopped) {
  let cursor = "";
  let isThere = false;
  for (let tries = 1; ; tries += 1) {
    const silence = new Silence(stopped);
    let held = [];
    try {
      const response = await ask(cursor, silence.signal);
      if (FINAL_STATUSES.includes(response.status)) throw await refused(response);
      if (response.ok && response.body) {
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
      }
    } catch (error) {
      if (stopped.aborted || error instanceof RefusedError) throw error;
      if (!isThere && tries >= FIRST_TRIES) throw error;
    } finally {
      silence.close();
    }
    if (!isThere && tries >= FIRST_TRIES) throw new Error("The gateway did not answer.");
    const wait = Math.min(FIRST_WAIT * 2 ** tries, LONGEST_WAIT);
    await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random() / 2)));
    if (stopped.aborted) throw stopped.reason;
  }
}

/** Aborts a request on which nothing has come for too long. */
class Silence {
  #controller = new AbortController();
  #timer;

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
  return new RefusedError(response.status, problem.detail ?? `The gateway answered ${response.status}.`);
}
