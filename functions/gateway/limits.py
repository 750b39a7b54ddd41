"""What an owner may use: tasks, streams, uploads and webhooks. All processes count together (`tailrace/access`).

The limits are for owners with a credential of their own. Who is this machine's user, or shares the deployment's secret
with all others, is not limited: there is nobody whom it would protect (`Caller.is_limited`).

A running task is one of the owner's 100 newest that is neither finished nor waiting; it is counted when another one is
to begin, and so a few that begin at the same moment may be one too many. Everything else is exact.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from gateway.callers import Caller, Callers
from gateway.problems import Problem
from tailrace.config import Settings
from tailrace.errors import AgentError, LogUnavailable, TailraceError, TaskUnknown
from tailrace.events import INTERRUPTED, TERMINAL
from tailrace.log import EventLog
from tailrace.stream.response import GRACE_S

HOUR_S, DAY_S = 3_600, 86_400
# So many of an owner's tasks are looked at.
LOOKED_AT = 100
_TRY_AGAIN_S = 5


class Counted:
    """A task that was counted."""

    def __init__(self, refund: Callable[[], Awaitable[None]] | None = None) -> None:
        self._refund = refund

    async def refund(self) -> None:
        """It was refused, so it does not count."""
        refund, self._refund = self._refund, None
        if refund is not None:
            with suppress(LogUnavailable):  # then it counts until the hour is over
                await refund()


class Limits:
    """What the callers of one gateway may use."""

    def __init__(self, settings: Settings, callers: Callers, log: EventLog) -> None:
        self._settings = settings
        self._callers = callers
        self._log = log
        # A stream that nobody gives back is over by then.
        self._stream_s = int(settings.rotate_s + settings.heartbeat_s + GRACE_S) + 1

    @asynccontextmanager
    async def task(self, caller: Caller, task_id: str) -> AsyncIterator[Counted]:
        """Count another task of the caller, which the block begins.

        It does not count if the block refuses it, or says that it was refused. A request that is made again begins
        nothing, and is not counted again.

        Raises:
            Problem: 429, the owner has too many that run, or has begun too many within the hour.
        """
        settings, store = self._settings, self._callers.credentials
        counted, limit = Counted(), settings.owner_running
        if caller.is_limited and (limit or settings.owner_tasks):
            is_known, running = await asyncio.gather(self._is_known(task_id), self._running(caller))
            if not is_known:
                if limit and running >= limit:
                    raise _refusal(f"{limit} tasks of yours run", _TRY_AGAIN_S)
                key, spent_at = f"tasks {caller.owner.id}", store.now()
                await self._spend(caller, "tasks", HOUR_S, 1, settings.owner_tasks, "tasks an hour")
                counted = Counted(partial(store.refund, key, HOUR_S, 1, spent_at) if settings.owner_tasks else None)
        try:
            yield counted
        except (LogUnavailable, AgentError) as error:  # it may have begun
            if isinstance(error, AgentError) and not error.arrived:
                await counted.refund()
            raise
        except (Problem, TailraceError):
            await counted.refund()
            raise

    async def upload(self, caller: Caller, size: int) -> None:
        """Count a file of `size` bytes. Raises as `task` does, for the bytes of a day."""
        await self._spend(caller, "uploads", DAY_S, size, self._settings.owner_upload_bytes, "bytes of uploads a day")

    async def webhook(self, caller: Caller) -> None:
        """Count another webhook. Raises as `task` does, for the webhooks of a day."""
        await self._spend(caller, "webhooks", DAY_S, 1, self._settings.owner_webhooks, "webhooks a day")

    @asynccontextmanager
    async def stream(self, caller: Caller) -> AsyncIterator[None]:
        """Hold the place of an open stream for as long as the block lasts.

        Raises:
            Problem: 429, the owner has too many open.
        """
        limit = self._settings.owner_streams
        if not (caller.is_limited and limit):
            yield
            return
        store, key, slot = self._callers.credentials, f"streams {caller.owner.id}", secrets.token_hex(8)
        if not await store.take(key, slot, limit, self._stream_s):
            raise _refusal(f"{limit} streams of yours are open", _TRY_AGAIN_S)
        try:
            yield
        finally:
            with suppress(LogUnavailable):  # then it is free after its time
                await store.give_back(key, slot)

    async def left(self, caller: Caller) -> dict[str, int]:
        """What the caller may still use; nothing for what has no limit."""
        if not caller.is_limited:
            return {}
        settings, store, owner = self._settings, self._callers.credentials, caller.owner.id
        used = {
            "tasksAnHour": (settings.owner_tasks, store.spent(f"tasks {owner}", HOUR_S)),
            "runningTasks": (settings.owner_running, self._running(caller)),
            "streams": (settings.owner_streams, store.taken(f"streams {owner}")),
            "uploadBytesADay": (settings.owner_upload_bytes, store.spent(f"uploads {owner}", DAY_S)),
            "webhooksADay": (settings.owner_webhooks, store.spent(f"webhooks {owner}", DAY_S)),
        }
        numbers = await asyncio.gather(*(number for _, number in used.values()))
        limits = zip(used, (limit for limit, _ in used.values()), numbers, strict=True)
        return {name: max(0, limit - number) for name, limit, number in limits if limit}

    async def _is_known(self, task_id: str) -> bool:
        with suppress(TaskUnknown):
            return bool(await self._log.head(task_id))
        return False

    async def _running(self, caller: Caller) -> int:
        if not self._settings.owner_running:
            return 0
        heads = (await self._log.list(caller.owner.id, limit=LOOKED_AT)).heads
        return sum(head.state not in TERMINAL | INTERRUPTED for head in heads)

    async def _spend(self, caller: Caller, what: str, window_s: int, amount: int, limit: int, unit: str) -> None:
        if not (caller.is_limited and limit):
            return
        store = self._callers.credentials
        if not await store.spend(f"{what} {caller.owner.id}", window_s, amount, limit):
            raise _refusal(f"you may use {limit:,} {unit}", store.window_left_s(window_s))


def _refusal(reason: str, retry_s: int) -> Problem:
    text = f"{reason[0].upper()}{reason[1:]}: no more of them are allowed. Try again in {retry_s} s."
    return Problem(429, text, {"Retry-After": str(retry_s)})
