"""Feeds: one shared source of new events per task and process, however many readers it has.

A feed's events come from a live source in this process (a runner's writer, or a pipe to the runner). While there is
none, the feed tails the log. It promises nothing about order or completeness: readers merge (`tailrace.stream.reader`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Iterator

from tailrace.config import Settings
from tailrace.errors import LogUnavailable, LogUnreadable
from tailrace.log import Batch, EventLog
from tailrace.stream.subscription import Subscription
from tailrace.stream.watchdog import EnsureRunning, Watchdog

logger = logging.getLogger("tailrace.feed")


class Feed:
    """The new events of one task, for all its readers in this process."""

    def __init__(self, log: EventLog, task_id: str, settings: Settings, ensure_running: EnsureRunning | None) -> None:
        self._log = log
        self._task_id = task_id
        self._settings = settings
        self._watchdog: Watchdog | None = None
        if ensure_running is not None:
            self._watchdog = Watchdog(log, task_id, settings.lease_s, ensure_running)
        self._subscriptions: set[Subscription] = set()
        self._live_sources = 0
        self._known = 0
        self._published = False
        self._source_gone = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def used(self) -> bool:
        """Whether the feed has a reader or a live source."""
        return bool(self._subscriptions) or self.live

    @property
    def live(self) -> bool:
        """Whether a runner or a pipe of this process brings the events."""
        return self._live_sources > 0

    def publish(self, batch: Batch) -> None:
        """Offer events that the log has acknowledged to every reader."""
        self._known = max(self._known, batch.last)
        self._published = True
        if self._watchdog is not None:
            self._watchdog.note_event()
        for subscription in self._subscriptions:
            subscription.offer(batch)

    def caught_up(self, last: int) -> None:
        """Note that a reader has read the log up to `last`: the tail need not read that again, the other readers must.

        The first call starts the tail and the watchdog.
        """
        if last > self._known:
            self._known = last
            for subscription in self._subscriptions:
                subscription.hint(last)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._tail(), name=f"tail {self._task_id}")]
            if self._watchdog is not None:
                self._tasks.append(asyncio.create_task(self._watchdog.watch(), name=f"watch {self._task_id}"))
            for task in self._tasks:
                task.add_done_callback(self._cut_if_failed)

    def add(self, subscription: Subscription) -> None:
        """Add a reader."""
        self._subscriptions.add(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Remove a reader. Without readers the tail and the watchdog stop."""
        self._subscriptions.discard(subscription)
        if not self._subscriptions:
            self._stop()

    def add_source(self) -> None:
        """Note that a live source has begun."""
        self._live_sources += 1

    def remove_source(self) -> None:
        """Note that a live source is gone. The tail finds at once what the source had not published yet."""
        self._live_sources -= 1
        self._source_gone.set()
        if self._watchdog is not None:
            self._watchdog.check_now()

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def _cut_if_failed(self, task: asyncio.Task[None]) -> None:
        """Cut the readers off if `task` has failed: they come back. Without it they would wait for ever."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        logger.error("%s failed", task.get_name(), exc_info=error)
        self._stop()
        for subscription in self._subscriptions:
            subscription.fail(f"The events of task {self._task_id} can no longer be followed: {type(error).__name__}.")

    async def _tail(self) -> None:
        """Read the log as it grows. While a live source publishes, only check from time to time that it still does.

        The looks may lack the newest events (`EventLog.tail`), but not for longer than a lease: one in that time is
        consistent, and so is the one for what a live source may have left unpublished.
        """
        clock = asyncio.get_running_loop().time
        fast, slow = self._settings.tail_fast_ms / 1000, self._settings.tail_slow_ms / 1000
        pause, consistent_at = fast, clock()
        while True:
            self._published = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(slow if self.live else pause):
                    await self._source_gone.wait()
                    pause, consistent_at = fast, -math.inf
            self._source_gone.clear()
            if self.live and self._published:
                continue
            try:
                if clock() - consistent_at < self._settings.lease_s:
                    batches = await self._log.tail(self._task_id, self._known)
                else:
                    batches, consistent_at = await self._log.read(self._task_id, self._known), clock()
            except LogUnavailable as error:
                logger.warning("tail of task %s: %s", self._task_id, error)
                batches = []
            except LogUnreadable as error:
                self.caught_up(error.last)  # The readers go to the log, and report the gap.
                batches = []
            for batch in batches:
                self.publish(batch)
            pause = fast if batches else min(pause * 1.5, slow)


class Feeds:
    """The feeds of a process. A feed lives while it has a reader or a live source.

    `ensure_running` is called with each orphaned task that has a reader here.
    """

    def __init__(self, log: EventLog, settings: Settings, ensure_running: EnsureRunning | None = None) -> None:
        self._log = log
        self._settings = settings
        self._ensure_running = ensure_running
        self._feeds: dict[str, Feed] = {}

    @contextlib.contextmanager
    def live(self, task_id: str) -> Iterator[Feed]:
        """The task's feed, for a live source of events in this process."""
        feed = self._get(task_id)
        feed.add_source()
        try:
            yield feed
        finally:
            feed.remove_source()
            self._drop(task_id, feed)

    @contextlib.contextmanager
    def subscribe(self, task_id: str) -> Iterator[tuple[Feed, Subscription]]:
        """The task's feed, and a reader's subscription to it."""
        feed, subscription = self._get(task_id), Subscription(self._settings.pipe_events)
        feed.add(subscription)
        try:
            yield feed, subscription
        finally:
            subscription.close()
            feed.remove(subscription)
            self._drop(task_id, feed)

    def caught_up(self, task_id: str, last: int) -> None:
        """As `Feed.caught_up`, for a task with a reader here."""
        self._get(task_id).caught_up(last)

    def _get(self, task_id: str) -> Feed:
        if task_id not in self._feeds:
            self._feeds[task_id] = Feed(self._log, task_id, self._settings, self._ensure_running)
        return self._feeds[task_id]

    def _drop(self, task_id: str, feed: Feed) -> None:
        if not feed.used:
            self._feeds.pop(task_id, None)
