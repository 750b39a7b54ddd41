"""Feeds: one shared source of new events per task and process, however many readers it has.

A feed's events come from whoever is live in this process (a runner's writer, or a pipe to the runner);
while nobody is, the feed tails the log. It promises nothing about order or completeness: readers merge
(`tailrace.reader`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterator

from tailrace.config import Settings
from tailrace.errors import LogUnavailable
from tailrace.log import Batch, EventLog

logger = logging.getLogger("tailrace.feed")


class Subscription:
    """One reader's place at a feed: a bounded buffer that never makes the feed wait.

    When the reader falls behind by more than the bound, the buffer is thrown away. The reader sees by
    `latest` that there is more than it was given, and reads the log.
    """

    def __init__(self, limit: int) -> None:
        self.latest = 0
        self._limit = limit
        self._batches: deque[Batch] = deque()
        self._count = 0
        self._arrived = False
        self._waiter: asyncio.Future[bool] | None = None
        self._waiting_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, batch: Batch) -> None:
        self.latest = max(self.latest, batch.last)
        if self._batches and self._count + len(batch.events) > self._limit:
            self._batches.clear()
            self._count = 0
        else:
            self._batches.append(batch)
            self._count += len(batch.events)
        self._arrived = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def take(self) -> Batch | None:
        """The next batch, if one is there."""
        if not self._batches:
            return None
        batch = self._batches.popleft()
        self._count -= len(batch.events)
        return batch

    async def arrival(self, timeout_s: float) -> bool:
        """Wait until something has arrived since the last call; False when nothing did in time.

        One timer serves many calls: setting one for each event costs more than the event.
        """
        arrived = self._arrived
        if not arrived:
            loop = asyncio.get_running_loop()
            self._waiter, self._waiting_since = loop.create_future(), loop.time()
            if self._timer is None:
                self._timer = loop.call_later(timeout_s, self._check, loop, timeout_s)
            try:
                arrived = await self._waiter
            finally:
                self._waiter = None
        self._arrived = False
        return arrived

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _check(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        """Tell whoever waits that it has waited long enough, or look again when it will have."""
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        left = self._waiting_since + timeout_s - loop.time()
        if left > 0:
            self._timer = loop.call_later(left, self._check, loop, timeout_s)
        else:
            self._waiter.set_result(False)


class Feed:
    """The new events of one task, for all its readers in this process."""

    def __init__(self, log: EventLog, task_id: str, settings: Settings) -> None:
        self._log = log
        self._task_id = task_id
        self._settings = settings
        self._subscriptions: set[Subscription] = set()
        self._live = 0
        self._known = 0
        self._told = False
        self._silence = asyncio.Event()
        self._tail: asyncio.Task[None] | None = None

    @property
    def used(self) -> bool:
        return bool(self._subscriptions) or self._live > 0

    @property
    def live(self) -> bool:
        """Whether a runner or a pipe of this process brings the events."""
        return self._live > 0

    def publish(self, batch: Batch) -> None:
        """Tell every reader of events that the log has acknowledged."""
        self._known = max(self._known, batch.last)
        self._told = True
        for subscription in self._subscriptions:
            subscription.offer(batch)

    def caught_up(self, last: int) -> None:
        """A reader has read the log as far as `last`: the tail need not read it again."""
        self._known = max(self._known, last)
        if self._tail is None:
            self._tail = asyncio.create_task(self._follow_log(), name=f"tail {self._task_id}")

    def add(self, subscription: Subscription) -> None:
        self._subscriptions.add(subscription)

    def remove(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        if not self._subscriptions and self._tail is not None:
            self._tail.cancel()
            self._tail = None

    def come_alive(self) -> None:
        self._live += 1

    def fall_silent(self) -> None:
        """A live source is gone. What it had not told yet, the tail finds at once."""
        self._live -= 1
        self._silence.set()

    async def _follow_log(self) -> None:
        """Read the log as it grows. While a live source brings the events this only looks after it."""
        fast, slow = self._settings.tail_fast_ms / 1000, self._settings.tail_slow_ms / 1000
        pause = fast
        while True:
            self._told = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(slow if self.live else pause):
                    await self._silence.wait()
                    pause = fast
            self._silence.clear()
            if self.live and self._told:
                continue
            try:
                found = await self._log.read(self._task_id, self._known)
            except LogUnavailable as error:
                logger.warning("tail of task %s: %s", self._task_id, error)
                found = []
            for batch in found:
                self.publish(batch)
            pause = fast if found else min(pause * 1.5, slow)


class Feeds:
    """The feeds of a process. A feed lives while it has a reader or a live source."""

    def __init__(self, log: EventLog, settings: Settings) -> None:
        self._log = log
        self._settings = settings
        self._feeds: dict[str, Feed] = {}

    @contextlib.contextmanager
    def live(self, task_id: str) -> Iterator[Feed]:
        """The task's feed, for a source of events in this process."""
        feed = self._get(task_id)
        feed.come_alive()
        try:
            yield feed
        finally:
            feed.fall_silent()
            self._drop(task_id, feed)

    @contextlib.contextmanager
    def subscribe(self, task_id: str) -> Iterator[tuple[Feed, Subscription]]:
        """A reader's place at the task's feed."""
        feed, subscription = self._get(task_id), Subscription(self._settings.pipe_events)
        feed.add(subscription)
        try:
            yield feed, subscription
        finally:
            subscription.close()
            feed.remove(subscription)
            self._drop(task_id, feed)

    def _get(self, task_id: str) -> Feed:
        if task_id not in self._feeds:
            self._feeds[task_id] = Feed(self._log, task_id, self._settings)
        return self._feeds[task_id]

    def _drop(self, task_id: str, feed: Feed) -> None:
        if not feed.used:
            self._feeds.pop(task_id, None)
