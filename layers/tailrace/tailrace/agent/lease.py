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
from collections.abc import Callable, Iterator

from tailrace.agent.containment import running_node
from tailrace.config import Settings
from tailrace.errors import Fenced, LogUnavailable
from tailrace.log import EventLog, Head

logger = logging.getLogger("tailrace.run")

# How many times the loop is asked in one renewal's interval. A lease is at least two of these intervals long.
_CHECKS = 8


class Lease:
    """The lease of the head's attempt. It may be renewed on several event loops."""

    def __init__(self, log: EventLog, head: Head, settings: Settings) -> None:
        self._log = log
        self._settings = settings
        self.task_id = head.task_id
        self._attempt = head.attempt
        self._renewed_at = self._tried_at = time.monotonic()
        self._lost = False

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

    async def keep(self, over: asyncio.Event, fenced: asyncio.Event, cancel: Callable[[], None]) -> None:
        """Renew the lease until `over`. Sets `fenced`, or calls `cancel`, when a renewal shows that."""
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
            if head.cancel_requested:
                cancel()


class LeaseThread:
    """Renews the leases of this process while its event loop stands still, for at most `TAILRACE_STALL_S` seconds.

    The thread runs while there are leases.
    """

    def __init__(self, settings: Settings) -> None:
        self._tick_s = settings.renew_s / _CHECKS
        self._most_s = settings.stall_s
        self._leases: set[Lease] = set()
        self._changing = threading.Lock()
        # The loop that the thread watches; None if there is no thread.
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def keeping(self, lease: Lease) -> Iterator[None]:
        """Renew the lease inside the block whenever the running event loop stands still."""
        loop = asyncio.get_running_loop()
        with self._changing:
            self._leases.add(lease)
            if self._loop is not loop and self._most_s:
                self._loop = loop
                threading.Thread(target=self._watch, args=(loop,), name="leases", daemon=True).start()
        try:
            yield
        finally:
            with self._changing:
                self._leases.discard(lease)

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
