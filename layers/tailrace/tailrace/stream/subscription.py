"""One reader's place at a feed: a bounded buffer of new batches that never makes the feed wait."""

from __future__ import annotations

import asyncio

from tailrace.errors import LogUnavailable
from tailrace.log import Batch


class Subscription:
    """New batches for one reader, at most `limit` events of them.

    A reader that falls further behind loses the whole buffer. `latest` is the newest seq that the log is known to have:
    a reader that has less, and an empty buffer, reads the log.
    """

    def __init__(self, limit: int) -> None:
        self.latest = 0
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._batches: list[Batch] = []  # few, and a deque takes 700 bytes
        self._count = 0
        self._arrived = False
        self._failure: str | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._waiting_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, batch: Batch) -> None:
        """Put a batch into the buffer. If there is no room, empty the buffer instead."""
        if self._batches and self._count + len(batch.events) > self._limit:
            self._batches.clear()
            self._count = 0
        else:
            self._batches.append(batch)
            self._count += len(batch.events)
        self.hint(batch.last)

    def hint(self, last: int) -> None:
        """Tell the reader that the log has events up to `last`, in the buffer or not."""
        self.latest = max(self.latest, last)
        self._wake()

    def fail(self, reason: str) -> None:
        """Tell the reader that no more events come from the feed."""
        self._failure = reason
        self._wake()

    def take(self) -> Batch | None:
        """Take the next batch out of the buffer; None if the buffer is empty."""
        if not self._batches:
            return None
        batch = self._batches.pop(0)
        self._count -= len(batch.events)
        return batch

    async def arrival(self, timeout_s: float) -> bool:
        """Wait for an `offer` or a `hint` since the last call; False when none came within `timeout_s`.

        One timer serves many calls: to set one for each event costs more than the event.

        Raises:
            LogUnavailable: the feed has failed.
        """
        arrived = self._arrived
        if not arrived:
            self._waiter, self._waiting_since = self._loop.create_future(), self._loop.time()
            if self._timer is None:
                self._timer = self._loop.call_later(timeout_s, self._check, timeout_s)
            try:
                arrived = await self._waiter
            finally:
                self._waiter = None
        if self._failure is not None:
            raise LogUnavailable(self._failure)
        self._arrived = False
        return arrived

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self) -> None:
        self._arrived = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def _check(self, timeout_s: float) -> None:
        """End the wait if it has lasted `timeout_s`, else set the timer for the rest."""
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        left = self._waiting_since + timeout_s - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check, timeout_s)
        else:
            self._waiter.set_result(False)
