"""Feeds: one shared source of new events per task and process, however many readers it has.

A feed's events come from whoever is live in this process (a runner's writer, or a pipe to the runner);
while nobody is, the feed tails the log. It promises nothing about order or completeness: readers merge
(`tailrace.stream.reader`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from tailrace.config import Settings
from tailrace.errors import LogUnavailable, TaskUnknown
from tailrace.events import TERMINAL
from tailrace.log import Batch, EventLog, Head

logger = logging.getLogger("tailrace.feed")

# Called with a task that nobody runs, while somebody looks at it.
EnsureRunning = Callable[[Head], Awaitable[None]]
# A lease that has just run out is looked at this much later, so that it has for every clock's rounding.
_EXPIRED_S = 0.02
# Between tries to have a task run that nobody runs.
_RETRY_S = 1.0


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
        if self._batches and self._count + len(batch.events) > self._limit:
            self._batches.clear()
            self._count = 0
        else:
            self._batches.append(batch)
            self._count += len(batch.events)
        self.hint(batch.last)

    def hint(self, last: int) -> None:
        """Tell the reader that the log has events up to `last`, whether or not they are offered."""
        self.latest = max(self.latest, last)
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

    def __init__(self, log: EventLog, task_id: str, settings: Settings, ensure_running: EnsureRunning | None) -> None:
        self._log = log
        self._task_id = task_id
        self._settings = settings
        self._ensure_running = ensure_running
        self._subscriptions: set[Subscription] = set()
        self._live = 0
        self._known = 0
        self._told = False
        self._silence = asyncio.Event()
        self._heard = -math.inf
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

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
        self._heard = asyncio.get_running_loop().time()
        for subscription in self._subscriptions:
            subscription.offer(batch)

    def caught_up(self, last: int) -> None:
        """A reader has read the log as far as `last`: the tail need not read it again, but the others must."""
        if last > self._known:
            self._known = last
            for subscription in self._subscriptions:
                subscription.hint(last)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._follow_log(), name=f"tail {self._task_id}")]
            if self._ensure_running is not None:
                watch = self._watch(self._ensure_running)
                self._tasks.append(asyncio.create_task(watch, name=f"watch {self._task_id}"))

    def add(self, subscription: Subscription) -> None:
        self._subscriptions.add(subscription)

    def remove(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        if not self._subscriptions:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    def come_alive(self) -> None:
        self._live += 1

    def fall_silent(self) -> None:
        """A live source is gone. What it had not told yet, the tail finds at once."""
        self._live -= 1
        self._silence.set()
        self._heard = -math.inf
        self._look.set()

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

    async def _watch(self, ensure_running: EnsureRunning) -> None:
        """See to it that somebody runs the task, as long as somebody looks at it.

        An event proves a runner for as long as a lease holds; after that the head tells when its lease ends.
        """
        clock, lease_s = asyncio.get_running_loop().time, self._settings.lease_s
        while True:
            pause = self._heard + lease_s - clock()
            if pause <= 0:
                try:
                    head = await self._log.head(self._task_id)
                    if head.state in TERMINAL:
                        return
                    now = self._log.now()
                    if head.orphaned(now):
                        await ensure_running(head)
                        pause = _RETRY_S
                    else:
                        pause = (head.lease_until - now) / 1000 + _EXPIRED_S if head.leased(now) else lease_s
                except TaskUnknown:
                    return
                except LogUnavailable as error:
                    logger.warning("watch of task %s: %s", self._task_id, error)
                    pause = _RETRY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look.wait()
            self._look.clear()


class Feeds:
    """The feeds of a process. A feed lives while it has a reader or a live source.

    `ensure_running` is called with each task that has a reader here and a runner nowhere.
    """

    def __init__(self, log: EventLog, settings: Settings, ensure_running: EnsureRunning | None = None) -> None:
        self._log = log
        self._settings = settings
        self._ensure_running = ensure_running
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
            self._feeds[task_id] = Feed(self._log, task_id, self._settings, self._ensure_running)
        return self._feeds[task_id]

    def _drop(self, task_id: str, feed: Feed) -> None:
        if not feed.used:
            self._feeds.pop(task_id, None)
