/**
 * A transport for the AI SDK's `useChat` that resumes: `useChat({ transport: new TailraceChatTransport() })`.
 *
 * The SDK's own transport takes a cut for the end. This one comes back with its cursor, so that each chunk is given once
 * and in order across cuts, rotations and a restart of the gateway; it sends a message again whose answer was cut; and
 * Stop cancels the task. docs/FRONTENDS.md has examples.
 */

import { framesOf } from "./sse-frames.js";

// In ms.
const FIRST_WAIT = 100;
const LONGEST_WAIT = 5_000;
const SILENCE_TIMEOUT = 45_000; // three comments
const FIRST_TRIES = 5; // of a request that nothing has answered yet

const FINAL_STATUSES = [400, 401, 403, 404, 405, 409, 410, 413, 415, 422];
const TOO_MANY = 429; // final for a new request; for one that was cut, the cut connection may still have its place
const UNFINISHED = [undefined, "submitted", "working"]; // a message whose task is in one of these states is not whole
const PAGE_SIZE = 100; // tasks, the most that the gateway gives

/**
 * The options of `sendMessages` and `reconnectToStream`, as the package `ai` has them (`ChatTransport`).
 * @typedef {{id: string, role: string, parts: any[]}} Message
 * @typedef {Record<string, string> | Headers} SentHeaders
 * @typedef {{
 *   trigger: "submit-message" | "regenerate-message", chatId: string, messageId: string | undefined, messages: any[],
 *   abortSignal: AbortSignal | undefined, headers?: SentHeaders, body?: object,
 * }} SendOptions
 * @typedef {{chatId: string, abortSignal?: AbortSignal, headers?: SentHeaders}} ReconnectOptions
 * @typedef {{id: string, agent?: string, headers?: SentHeaders}} Chat
 *
 * @typedef {object} Options each may be left out
 * @property {string} [api] the address of the gateway's route; `/api/chat` of the page's own server by default
 * @property {string} [agent] the agent that gets the messages; the default one without it
 * @property {SentHeaders | (() => SentHeaders)} [headers] of every request
 * @property {RequestCredentials} [credentials]
 */

export class TailraceChatTransport {
  /** A resumed stream brings the whole message. */
  resumeStreamIsReplay = true;

  /** @type {string} */ #api;
  /** @type {string | undefined} */ #agent;
  /** @type {SentHeaders | (() => SentHeaders)} */ #headers;
  /** @type {RequestCredentials | undefined} */ #credentials;
  /** By chat, the id of the message that was not whole when `messages` got it. @type {Map<string, string>} */ #halves = new Map();
  /** By chat, the newest cancel. @type {Map<string, Promise<any>>} */ #cancels = new Map();

  /** @param {Options} [options] */
  constructor({ api = "/api/chat", agent, headers = {}, credentials } = {}) {
    this.#api = api.replace(/\/$/, "");
    this.#agent = agent;
    this.#headers = headers;
    this.#credentials = credentials;
  }

  /**
   * All messages of a chat, for a page that is loaded again; none of a new chat.
   * @param {string} chatId @returns {Promise<any[]>} UI messages
   */
  async messages(chatId) {
    /** @type {any[]} */ let messages = [];
    let token = "";
    do {
      const query = { pageSize: String(PAGE_SIZE), pageToken: token };
      const ask = () => this.#fetch(this.#address(chatId, "", query), { headers: this.#headersOf(undefined) });
      const page = await this.#opened(ask).then(
        (response) => response.json(),
        (error) => (error.status === 404 ? { messages: [] } : Promise.reject(error)),
      );
      messages = [...page.messages, ...messages];
      token = page.nextPageToken;
    } while (token);
    const newest = messages.at(-1);
    this.#halves.delete(chatId);
    if (newest?.role === "assistant" && UNFINISHED.includes(newest.metadata?.state)) this.#halves.set(chatId, newest.id);
    return messages;
  }

  /**
   * Send the last of the messages, and stream the answer.
   * @param {SendOptions} options @returns {Promise<ReadableStream<any>>} of UI message chunks
   */
  async sendMessages({ chatId, messages, trigger, messageId, abortSignal, headers, body }) {
    // The gateway has the conversation. Of the earlier messages it needs the ids only, to know what is asked again, and of
    // the assistant's own the answers to its approvals.
    const known = messages.slice(0, -1).map(({ id, role }) => ({ id, role, parts: [] }));
    const { id, role, parts, metadata } = messages.at(-1);
    const answers = { id, role, parts: parts.filter(({ approval }) => approval).map(({ type, approval }) => ({ type, approval })) };
    const last = role === "assistant" ? answers : { id, role, parts, metadata };
    const agent = this.#agent ?? /** @type {any} */ (body)?.agent;
    const sent = { ...body, id: chatId, messages: [...known, last], trigger, messageId, agent };
    const init = {
      method: "POST",
      // A message that is sent again under its key begins nothing new.
      headers: { ...this.#headersOf(headers), "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
      body: JSON.stringify(sent),
    };
    this.#halves.delete(chatId);
    await this.#cancels.get(chatId); // until then the chat has a task that is not finished
    const chat = { id: chatId, agent, headers };
    const opening = this.#opened(() => this.#fetch(this.#api, init));
    // Stopped before there is an answer: the task may have begun, so it is cancelled when there is one.
    const first = await orAborted(opening, abortSignal, () => this.#cancel(chat, opening));
    return this.#stream(chat, first, abortSignal, () => this.#fetch(this.#api, init));
  }

  /**
   * Stream the message that is being written, from its beginning, or the one that was when `messages` got it; null if none is.
   * @param {ReconnectOptions} options @returns {Promise<ReadableStream<any> | null>}
   */
  async reconnectToStream({ chatId, abortSignal, headers }) {
    const message = this.#halves.get(chatId);
    const address = this.#address(chatId, "stream", message ? { message } : {});
    const ask = () => this.#fetch(address, { headers: this.#headersOf(headers) });
    // React's strict mode drops the first of two: that stops no task.
    const opening = this.#opened(ask);
    const first = await orAborted(opening, abortSignal, () => opening.then(close, () => {}));
    if (first.status === 204) return null;
    return this.#stream({ id: chatId, agent: this.#agent, headers }, first, abortSignal, ask);
  }

  /**
   * All chunks of one message. `again` makes the request again whose answer was cut before its first event.
   * @param {Chat} chat @param {Response} first @param {AbortSignal | undefined} abortSignal @param {() => Promise<Response>} again
   */
  #stream(chat, first, abortSignal, again) {
    const address = this.#address(chat.id, "stream", {}, chat.agent);
    const closing = new AbortController();
    const onAbort = () => {
      closing.abort();
      this.#cancel(chat);
    };
    abortSignal?.addEventListener("abort", onAbort, { once: true });
    const groups = groupsOf(first, closing.signal, (cursor) =>
      cursor ? this.#fetch(address, { headers: { ...this.#headersOf(chat.headers), "last-event-id": cursor } }) : again(),
    );
    const halves = this.#halves;
    return new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await groups.next();
          for (const chunk of value ?? []) controller.enqueue(chunk);
          if (!done) return;
          if (!closing.signal.aborted) halves.delete(chat.id);
          abortSignal?.removeEventListener("abort", onAbort);
          controller.close();
        } catch (error) {
          abortSignal?.removeEventListener("abort", onAbort);
          controller.error(error);
        }
      },
      cancel() {
        closing.abort();
        abortSignal?.removeEventListener("abort", onAbort);
      },
    });
  }

  /** The first answer to a request. @param {() => Promise<Response>} ask */
  async #opened(ask) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await answered(ask);
      } catch (error) {
        if (!isCut(error) || tries === FIRST_TRIES) throw error;
        await pause(waitAfter(tries));
      }
    }
  }

  /** @param {Chat} chat @param {Promise<Response>} [opening] what to wait for: the answer to the message */
  #cancel({ id, agent, headers }, opening) {
    const init = { method: "POST", headers: { ...this.#headersOf(headers), "content-type": "application/json" }, keepalive: true };
    const ask = () => this.#fetch(this.#address(id, "cancel", {}, agent), init);
    const done = opening ? opening.then(close).then(ask) : ask();
    this.#cancels.set(id, done.catch(() => {})); // a task that has ended is not cancelled
  }

  #fetch(address, init) {
    return fetch(address, { ...init, credentials: this.#credentials, cache: "no-store" });
  }

  /** @param {string} chatId @param {string} what @param {Record<string, string>} query @param {string} [agent] */
  #address(chatId, what, query, agent = this.#agent) {
    const asked = new URLSearchParams({ ...query, ...(agent && { agent }) }).toString();
    return `${this.#api}/${encodeURIComponent(chatId)}${what && `/${what}`}${asked && `?${asked}`}`;
  }

  #headersOf(more) {
    const own = typeof this.#headers === "function" ? this.#headers() : this.#headers;
    return { ...Object.fromEntries(new Headers(own)), ...Object.fromEntries(new Headers(more)) };
  }
}

/** The connection broke, or the server has no answer now: the same request may succeed. */
class Cut extends Error {}

/** The server has refused, with this status. */
class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const isCut = (error) => error instanceof Cut;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const waitAfter = (retries) => Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** retries) * (0.5 + Math.random() / 2);
const close = (response) => response.body?.cancel();

/**
 * The answer, if it is a stream or says that there is none.
 * @param {() => Promise<Response>} ask @throws {Cut} @throws {Refused} in the server's words
 */
async function answered(ask) {
  let response;
  try {
    response = await ask();
  } catch (/** @type {any} */ error) {
    throw new Cut(error.message);
  }
  if (response.ok) return response;
  const text = await response.text().catch(() => "");
  const message = detailIn(text) || `The server answered with the status ${response.status}.`;
  throw FINAL_STATUSES.includes(response.status) || response.status === TOO_MANY ? new Refused(message, response.status) : new Cut(message);
}

/**
 * The chunks of each event, over as many connections as it takes.
 * @param {Response} first @param {AbortSignal} closing @param {(cursor: string) => Promise<Response>} resume
 * @returns {AsyncGenerator<any[], void, void>}
 */
async function* groupsOf(first, closing, resume) {
  let cursor = "";
  let retries = 0;
  /** @type {Response | null} */ let response = first;
  while (!closing.aborted) {
    if (response?.status === 204) {
      if (cursor) return; // it has all
      throw new Error("The answer ended while the connection was lost. Load the messages again.");
    }
    try {
      for await (const { chunks, id, isEnd } of response ? eventsOf(response, closing) : []) {
        if (chunks.length) yield chunks;
        if (isEnd) return;
        cursor = id;
        retries = 0;
      }
    } catch (error) {
      if (!isCut(error)) throw error;
    }
    if (!closing.aborted) await pause(waitAfter(retries++));
    if (closing.aborted) return;
    try {
      response = await answered(() => resume(cursor));
    } catch (/** @type {any} */ error) {
      if (!isCut(error) && error.status !== TOO_MANY) throw error;
      response = null;
    }
  }
}

/** @param {string} text problem details (RFC 9457), or anything else */
function detailIn(text) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return "";
  }
}

/**
 * The events of one connection, each with its chunks: those of an event that was cut are dropped.
 * @param {Response} response @param {AbortSignal} closing
 * @returns {AsyncGenerator<{chunks: any[], id: string, isEnd: boolean}, void, void>} @throws {Cut}
 */
async function* eventsOf(response, closing) {
  if (!response.body) throw new Cut("The response has no body.");
  const connection = new AbortController();
  const cut = () => connection.abort();
  let timer = 0;
  const onBytes = () => {
    clearTimeout(timer);
    timer = /** @type {any} */ (setTimeout(cut, SILENCE_TIMEOUT));
  };
  closing.addEventListener("abort", cut);
  onBytes();
  const frames = framesOf(response.body, { onBytes, signal: connection.signal });
  /** @type {any[]} */ let chunks = [];
  try {
    for (;;) {
      const { done, value } = await frames.next().catch((error) => Promise.reject(new Cut(error.message)));
      if (done) return;
      const isEnd = value.data === "[DONE]";
      if (!isEnd) chunks.push(JSON.parse(value.data));
      if (!isEnd && !value.id) continue;
      yield { chunks, id: value.id, isEnd };
      if (isEnd) return;
      chunks = [];
    }
  } finally {
    clearTimeout(timer);
    closing.removeEventListener("abort", cut);
    cut();
  }
}

/**
 * The promise's value, or an error as soon as the signal is aborted; then `onAbort` is called.
 * @template T @param {Promise<T>} promise @param {AbortSignal | undefined} signal @param {() => void} onAbort @returns {Promise<T>}
 */
function orAborted(promise, signal, onAbort) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => {
      onAbort();
      reject(new DOMException("The request was stopped.", "AbortError"));
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
