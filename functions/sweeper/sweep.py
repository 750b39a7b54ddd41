"""Sweeps, for what nobody looks at (docs/ARCHITECTURE.md, promise 7: nothing runs for ever unseen)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from tailrace.agent.dispatch import Dispatch
from tailrace.config import Settings
from tailrace.errors import AgentError, Fenced, TailraceError, TaskUnknown
from tailrace.events import encode, now_ms
from tailrace.log import EventLog, Head
from tailrace.push import Webhooks

logger = logging.getLogger("tailrace.sweeper")

# The longest time for which a task is put off, and a bound on the doublings, after which it is reached.
_LONGEST_S, _MOST_DOUBLINGS = 3600.0, 16


async def sweep(log: EventLog, dispatch: Dispatch, settings: Settings) -> int:
    """Dispatch the tasks that are orphaned, at most `sweep_tasks` of them; how many there were.

    Tasks touched within a lease's time are left to those who look at them. Those that were dispatched before and
    did not begin are put off for a lease's time, then for twice as long each time, up to an hour, so that tasks which
    nobody can begin cost little and every other one has its turn. A dispatch is harmless where it comes twice or late:
    of all who find an orphaned task, one gets its lease.

    Raises:
        LogUnavailable: the log could not be asked.
        AgentError: some could not be dispatched; the others were.
    """

    async def put_off(head: Head) -> bool:
        pause_s = min(settings.lease_s * 2 ** min(head.dispatches, _MOST_DOUBLINGS), _LONGEST_S)
        try:
            await log.put_off(head.task_id, head.attempt, log.now() + int(pause_s * 1000))
        except (Fenced, TaskUnknown):
            return False  # Somebody was faster.
        return True

    found = await log.orphaned(idle_s=settings.lease_s, limit=settings.sweep_tasks)
    ours = await asyncio.gather(*map(put_off, found))
    return await _dispatch([head for head, is_ours in zip(found, ours, strict=True) if is_ours], dispatch)


async def sweep_webhooks(log: EventLog, hooks: Webhooks, dispatch: Dispatch, settings: Settings) -> int:
    """Dispatch the tasks with notifications that nobody delivers, as `sweep` does; how many there were.

    Each is put off for a lease's time, so that those whose agent is away keep no other one from its turn. A webhook
    outlives its task by a little. One whose task's time to live is over is left alone.
    """
    due: list[Head] = []
    for task_id in await hooks.due_tasks(settings.sweep_tasks):
        await hooks.put_off(task_id, log.now() + int(settings.lease_s * 1000))
        with contextlib.suppress(TaskUnknown):
            due.append(await log.head(task_id))
    return await _dispatch(due, dispatch)


async def sweep_forever(log: EventLog, hooks: Webhooks, dispatch: Dispatch, settings: Settings) -> None:
    """Sweep every `sweep_s`, both kinds: neither waits for the other's store."""
    await asyncio.gather(
        _forever(lambda: sweep(log, dispatch, settings), settings.sweep_s),
        _forever(lambda: sweep_webhooks(log, hooks, dispatch, settings), settings.sweep_s),
    )


async def _forever(sweep_once: Callable[[], Awaitable[int]], pause_s: float) -> None:
    while True:
        try:
            await sweep_once()
        except TailraceError as error:
            logger.warning("sweep: %s", error)
        await asyncio.sleep(pause_s)


async def _dispatch(heads: list[Head], dispatch: Dispatch) -> int:
    sent = await asyncio.gather(*map(dispatch, heads))
    for head in heads:
        told = {"event": "task_dispatched", "task": head.task_id, "agent": head.agent, "attempt": head.attempt}
        logger.info(encode({**told, "state": head.state, "ts": now_ms()}).decode())
    if not all(sent):
        raise AgentError(f"{sent.count(False)} of {len(sent)} tasks could not be dispatched; the log says why.")
    return len(heads)
