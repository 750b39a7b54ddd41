/**
 * The server's clock, estimated from the times of events. A live event left the server a moment ago: our time minus its
 * time is the clocks' difference plus the latency, so the smallest is best. A replayed event only gives a limit.
 */
export class ServerClock {
  #liveOffset = Infinity;
  #replayedOffset = 0;

  /** @param {number} ts of an event, ms since the epoch @param {boolean} live */
  observe(ts, live) {
    const offset = Date.now() - ts;
    if (live) this.#liveOffset = Math.min(this.#liveOffset, offset);
    else this.#replayedOffset = Math.min(this.#replayedOffset, offset);
  }

  /** Ms since the epoch. */
  now() {
    return Date.now() - (this.#liveOffset === Infinity ? this.#replayedOffset : this.#liveOffset);
  }
}
