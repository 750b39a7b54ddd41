"""The lease of an attempt, and the thread that renews it while the event loop stands still.

A blocking call in an async node, like `time.sleep` or a client without async, stops everything in its process. The
process is alive all the same, and a second attempt would only run into the same call. So a thread asks the loop,
several times between two renewals, whether it still runs. While the loop does not answer, the thread renews the leases
that are due. While it answers, the thread makes no request.

A process that is stopped as a whole (SIGSTOP, a frozen Lambda) has its thread stopped too, and its lease expires.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import TypeVar

from tailrace.agent.containment import running_node
from tailrace.config import Settings
from tailrace.errors import Fenced, LogError, LogUnavailable, StartTooSlow
from tailrace.events import State
from tailrace.log import EventLog, Head

logger = logging.getLogger("tailrace.run")

T = TypeVar("T")

# How many times the loop is asked in one renewal's interval. A lease is at least two of these intervals long.
_CHECKS = 8
# Pause before a request is made again to a log that was unavailable.
_AGAIN_S = 0.05


class CancelRequested(Exception):
    """A task is to be cancelled that no attempt has begun to run."""


class Lease:
    """The lease of the head's attempt. It may be renewed on several event loops."""

    def __init__(self, log: EventLog, head: Head, settings: Settings) -> None:
        self._log = log
        self._settings = settings
        self.head = head
        self.task_id = head.task_id
        self._attempt = head.attempt
        self._renewed_at = self._tried_at = time.monotonic()
        self._lost = False
        # Stops what `start` waits for.
        self._stop: asyncio.Timeout | None = None

    @property
    def due(self) -> bool:
        """Whether the lease should be renewed now."""
        return not self._lost and time.monotonic() - self._tried_at >= self._settings.renew_s

    @property
    def expired(self) -> bool:
        """Whether another process may have claimed the task."""
        return time.monotonic() - self._renewed_at > self._settings.lease_s

    async def renew(self) -> Head:
        """Renew the lease. The head says whether a cancel was requested.

        Raises:
            Fenced, LogUnavailable
        """
        began = self._tried_at = time.monotonic()
        try:
            head = await self._log.renew(self.task_id, self._attempt, self._settings.lease_s)
        except Fenced:
            self._lost = True
            raise
        self._renewed_at = began
        return head

    async def patiently(self, request: Callable[[], Awaitable[T]]) -> T:
        """The result of the request to the log, which is made again while the log is unavailable.

        Raises:
            LogUnavailable: the lease has expired, or is another attempt's.
        """
        while True:
            try:
                return await request()
            except LogUnavailable:
                if self._lost or self.expired:
                    raise
            await asyncio.sleep(_AGAIN_S)

    async def confirm(self) -> None:
        """Confirm that no other process has claimed the task yet.

        A process that claims it later finds the checkpoint with which the running step began. One that has claimed it
        may have looked before that was saved, and would run a step before it again.

        Raises:
            Fenced: another process has claimed it.
            LogUnavailable
        """
        head = await self.patiently(partial(self._log.head, self.task_id))
        if head.attempt != self._attempt:
            raise Fenced(self.task_id, self._attempt, 0)

    async def give_back(self, state: State) -> None:
        """Release the lease of a process that stops, so that the next attempt does not wait until it expires."""
        with contextlib.suppress(LogError):
            await self._log.update_state(self.task_id, self._attempt, state, release=True)

    async def start(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, which starts the task. It may take as long as an event loop may stand still.

        It is stopped if the task is to be cancelled: by the head, or as `see` notes later.

        Raises:
            CancelRequested
            StartTooSlow
        """
        if self.head.cancel_requested:
            raise CancelRequested
        most_s = max(self._settings.stall_s, self._settings.lease_s)
        stop = asyncio.timeout(most_s)
        self._stop = stop
        try:
            async with stop:
                return await work()
        except TimeoutError as error:
            if not stop.expired():
                raise
            if self._stop is None:
                raise CancelRequested from None
            raise StartTooSlow(most_s) from error
        finally:
            self._stop = None

    def see(self, head: Head) -> None:
        """Note what a renewal in the loop has shown."""
        if head.cancel_requested and self._stop is not None and not self._stop.expired():
            self._stop.reschedule(0)
            self._stop = None

    async def keep(self, over: asyncio.Event, fenced: asyncio.Event, see: Callable[[Head], None]) -> None:
        """Renew the lease until `over`. Calls `see` with each head, and sets `fenced` when a renewal shows that."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.renew_s):
                    await over.wait()
                return
            try:
                head = await self.renew()
            except Fenced:
                fenced.set()
                return
            except LogUnavailable as error:
                logger.warning("lease of task %s: %s", self.task_id, error)
                continue
            see(head)


class LeaseThread:
    """Renews the leases of this process while its event loop stands still, for at most `TAILRACE_STALL_S` seconds.

    The thread runs while there are leases.
    """

    def __init__(self, settings: Settings) -> None:
        self._tick_s = settings.renew_s / _CHECKS
        self._most_s = settings.stall_s
        # How many blocks keep each lease: an attempt's begins before the one of its takeover has ended.
        self._leases: Counter[Lease] = Counter()
        self._changing = threading.Lock()
        # The loop that the thread watches; None if there is no thread.
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def keeping(self, lease: Lease) -> Iterator[None]:
        """Renew the lease inside the block whenever the running event loop stands still."""
        loop = asyncio.get_running_loop()
        with self._changing:
            self._leases[lease] += 1
            if self._loop is not loop and self._most_s:
                self._loop = loop
                threading.Thread(target=self._watch, args=(loop,), name="leases", daemon=True).start()
        try:
            yield
        finally:
            with self._changing:
                self._leases -= Counter([lease])

    @contextlib.asynccontextmanager
    async def renewing(self, lease: Lease) -> AsyncIterator[None]:
        """Renew the lease inside the block, in the loop or, while that stands still, in the thread.

        A takeover may take longer than a lease, if its log is long or a store is slow. Without this, two processes
        could claim a task in turn, and neither would begin it.
        """
        with self.keeping(lease):
            renewing = asyncio.create_task(lease.keep(asyncio.Event(), asyncio.Event(), lease.see))
            renewing.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # what it met is seen
            try:
                yield
            finally:
                renewing.cancel()  # without an await: here a task's slot passes from its start to its run

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._watches(loop):
            answered = threading.Event()
            with contextlib.suppress(RuntimeError):  # The loop was closed just now.
                loop.call_soon_threadsafe(answered.set)
            time.sleep(self._tick_s)
            if not answered.wait(self._tick_s):
                self._stand_in(loop, answered)

    def _watches(self, loop: asyncio.AbstractEventLoop) -> bool:
        with self._changing:
            if self._loop is loop and (not self._leases or loop.is_closed()):
                self._loop = None
            return self._loop is loop

    def _stand_in(self, loop: asyncio.AbstractEventLoop, answered: threading.Event) -> None:
        """Renew the leases that are due until the loop answers, or has stood still for too long."""
        still_s, warned = 2 * self._tick_s, False
        while not answered.is_set() and not loop.is_closed():
            due = [lease for lease in self._snapshot() if lease.due]
            if due and still_s > self._most_s:
                logger.error(
                    "the event loop has stood still for %.0f s, so its leases are not renewed any more", still_s
                )
                answered.wait()
            elif due:
                if not warned:
                    self._warn(still_s)
                warned, began = True, time.monotonic()
                asyncio.run(_renew_all(due))
                still_s += time.monotonic() - began
            began = time.monotonic()
            answered.wait(self._tick_s)
            # If the whole process was stopped meanwhile, its loop did not stand still for all of that time.
            still_s += min(time.monotonic() - began, 2 * self._tick_s)

    def _snapshot(self) -> list[Lease]:
        with self._changing:
            return list(self._leases)

    def _warn(self, still_s: float) -> None:
        tasks = ", ".join(sorted(lease.task_id for lease in self._snapshot()))
        logger.warning(
            "the event loop has stood still for %.1f s %s. A blocking call in an async node stops every task and every "
            "stream of its process: await it, or call it with asyncio.to_thread. No other process takes over for "
            "TAILRACE_STALL_S (%g s)",
            still_s,
            running_node() or f"while these tasks ran: {tasks}",
            self._most_s,
        )


async def _renew_all(leases: list[Lease]) -> None:
    await asyncio.gather(*map(_renew, leases))


async def _renew(lease: Lease) -> None:
    """Renew a lease on the thread's own loop. What a renewal shows, the attempt learns when its loop goes on."""
    try:
        await lease.renew()
    except (Fenced, LogUnavailable) as error:
        logger.warning("lease of task %s: %s", lease.task_id, error)
    except Exception:
        logger.exception("lease of task %s", lease.task_id)
