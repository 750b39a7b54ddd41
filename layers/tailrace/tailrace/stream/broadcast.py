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
from tailrace.stream.recurring import Recurring
from tailrace.stream.subscription import Subscription
from tailrace.stream.watchdog import EnsureRunning, Watchdog

logger = logging.getLogger("tailrace.feed")


class Feed:
    """The new events of one task, for all its readers in this process."""

    def __init__(self, log: EventLog, task_id: str, settings: Settings, ensure_running: EnsureRunning | None) -> None:
        self._log = log
        self._task_id = task_id
        self._settings = settings
        self._clock = asyncio.get_running_loop().time
        self._watchdog: Watchdog | None = None
        if ensure_running is not None:
            self._watchdog = Watchdog(log, task_id, settings.lease_s, ensure_running)
        # The tail and the watchdog, while there is a reader.
        self._following: list[Recurring] = []
        self._subscriptions: set[Subscription] = set()
        self._live_sources = 0
        self._known = 0
        self._published = False
        self._source_gone = False
        self._pause = 0.0
        self._consistent_at = 0.0

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
        if not self._following:
            self._follow()

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
        self._source_gone = True
        if self._watchdog is not None:
            self._watchdog.doubt()
        for each in self._following:
            each.hurry()

    def _follow(self) -> None:
        """Start the tail and the watchdog."""
        self._pause, self._consistent_at = self._fast_s, self._clock()
        first_s = 0.0 if self._source_gone else self._wait_s
        tail = Recurring(f"tail {self._task_id}", self._quiet_for, self._look, self._cut, after_s=first_s)
        self._following.append(tail)
        if (dog := self._watchdog) is not None:
            watch = Recurring(f"watch {self._task_id}", dog.left, dog.check, self._cut, after_s=0.0)
            self._following.append(watch)

    def _stop(self) -> None:
        for each in self._following:
            each.stop()
        self._following.clear()

    def _cut(self, name: str, error: BaseException) -> None:
        """Cut the readers off because the tail or the watchdog has failed: they come back. They would wait for ever."""
        logger.error("%s failed", name, exc_info=error)
        self._stop()
        for subscription in self._subscriptions:
            subscription.fail(f"The events of task {self._task_id} can no longer be followed: {type(error).__name__}.")

    @property
    def _fast_s(self) -> float:
        return self._settings.tail_fast_ms / 1000

    @property
    def _slow_s(self) -> float:
        return self._settings.tail_slow_ms / 1000

    @property
    def _wait_s(self) -> float:
        """How long the tail waits until it looks again. While a live source publishes, it only checks that it does."""
        return self._slow_s if self.live else self._pause

    def _quiet_for(self) -> float:
        """How long the tail need not look, in seconds: a live source has published since it was asked last."""
        published, self._published = self._published, False
        return self._slow_s if self.live and published else 0.0

    async def _look(self) -> float:
        """Read what is new in the log; return the seconds until the next look.

        The looks may lack the newest events (`EventLog.tail`), but not for longer than a lease: one in that time is
        consistent, and so is the one for what a live source may have left unpublished.
        """
        if self._source_gone:
            self._source_gone, self._pause, self._consistent_at = False, self._fast_s, -math.inf
        try:
            if self._clock() - self._consistent_at < self._settings.lease_s:
                batches = await self._log.tail(self._task_id, self._known)
            else:
                batches = await self._log.read(self._task_id, self._known)
                self._consistent_at = self._clock()
        except LogUnavailable as error:
            logger.warning("tail of task %s: %s", self._task_id, error)
            batches = []
        except LogUnreadable as error:
            self.caught_up(error.last)  # The readers go to the log, and report the gap.
            batches = []
        for batch in batches:
            self.publish(batch)
        self._published = False
        self._pause = self._fast_s if batches else min(self._pause * 1.5, self._slow_s)
        return self._wait_s


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
