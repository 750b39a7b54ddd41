/** Times, durations, sizes and counts as people read them; and the server's clock. */

const grouped = new Intl.NumberFormat("en");

export const count = (n) => grouped.format(n);

/** 430 ms · 12.4 s · 3 m 12 s · 1 h 04 m */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const pad = (n) => String(n % 60).padStart(2, "0");
  return seconds < 3600 ? `${minutes} m ${pad(seconds)} s` : `${Math.floor(minutes / 60)} h ${pad(minutes)} m`;
}

export function bytes(n) {
  if (n < 1024) return `${n} B`;
  const kb = n / 1024;
  return kb < 1024 ? `${kb.toFixed(kb < 10 ? 1 : 0)} KB` : `${(kb / 1024).toFixed(2)} MB`;
}

/** 14:03:27, in UTC as the logs have it. What is no time is shown as it came. */
export function utc(moment) {
  const date = new Date(moment);
  return Number.isNaN(date.getTime()) ? String(moment) : date.toISOString().slice(11, 19);
}

/**
 * The server's clock as far as this page can know it: timers count from the events' own times.
 *
 * A live event left the server a moment ago: here − there is the skew plus its latency, and the
 * smallest seen is the best guess. A replayed one may be of any age and is only a limit.
 */
export class ServerClock {
  #live = Infinity;
  #replayed = 0;

  hear(ts, live) {
    const offset = Date.now() - ts;
    if (live) this.#live = Math.min(this.#live, offset);
    else this.#replayed = Math.min(this.#replayed, offset);
  }

  /** By the server, ms since the epoch. */
  now() {
    return Date.now() - (this.#live === Infinity ? this.#replayed : this.#live);
  }
}
