"""Sweeps: dispatches tasks that nobody watches (docs/ARCHITECTURE.md, promise 7), and ends what was interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from tailrace.agent.deletions import Deletions
from tailrace.agent.dispatch import Dispatch
from tailrace.config import Settings
from tailrace.errors import AgentError, Fenced, TailraceError, TaskUnknown
from tailrace.events import encode, now_ms
from tailrace.log import EventLog, Head
from tailrace.log.sleeper import rests_until
from tailrace.push import Webhooks

logger = logging.getLogger("tailrace.sweeper")

# The longest pause between two dispatches of a task, and how often its pause doubles at most.
_LONGEST_S, _MOST_DOUBLINGS = 3600.0, 16


async def sweep(log: EventLog, dispatch: Dispatch, settings: Settings) -> int:
    """Dispatch the orphaned tasks, at most `sweep_tasks`; return how many.

    A task that sleeps is woken if one of the tasks that should wake it does not work.

    Tasks that changed within the time of a lease are left to their viewers. A dispatched task is put off for the time
    of a lease, and twice as long each time that it does not start, up to an hour. So a task that cannot start costs
    little, and the others get their turn. It does no harm to dispatch a task twice or late: only one process gets its
    lease.

    Raises:
        LogUnavailable: the log did not answer.
        AgentError: some tasks could not be dispatched; the others were.
    """

    async def put_off(head: Head) -> bool:
        pause_s = min(settings.lease_s * 2 ** min(head.dispatches, _MOST_DOUBLINGS), _LONGEST_S)
        sleeps = head.asleep(log.now())
        try:
            if sleeps and await rests_until(log, head) <= log.now():
                await log.wake(head.task_id, head.attempt)
                sleeps = False
            elif sleeps:
                pause_s = settings.lease_s
            await log.put_off(head, log.now() + int(pause_s * 1000))
        except (Fenced, TaskUnknown):
            return False  # another process has taken it, or it has expired
        return not sleeps

    unattended = await log.unattended(idle_s=settings.lease_s, limit=settings.sweep_tasks)
    ours = await asyncio.gather(*map(put_off, unattended))
    return await _dispatch([head for head, is_ours in zip(unattended, ours, strict=True) if is_ours], dispatch)


async def sweep_webhooks(log: EventLog, hooks: Webhooks, dispatch: Dispatch, settings: Settings) -> int:
    """Dispatch the tasks with undelivered notifications, at most `sweep_tasks`; return how many.

    Each is put off for the time of a lease, so that tasks whose agent cannot be reached do not delay the others. The
    webhooks of a task outlive it a little; those of an expired task are skipped.

    Raises:
        LogUnavailable: the log or the store of webhooks did not answer.
        AgentError: some tasks could not be dispatched; the others were.
    """
    due: list[Head] = []
    for task_id in await hooks.due_tasks(settings.sweep_tasks):
        await hooks.put_off(task_id, log.now() + int(settings.lease_s * 1000))
        with contextlib.suppress(TaskUnknown):
            due.append(await log.head(task_id))
    return await _dispatch(due, dispatch)


async def sweep_deletions(log: EventLog, deletions: Deletions, settings: Settings) -> int:
    """Go on with the deletions of conversations that were interrupted, at most `sweep_tasks`; return how many.

    A deletion that was noted within the time of a lease is left to the request that noted it. Each is noted again, so
    that those whose agent cannot be reached do not delay the others.

    Raises:
        LogUnavailable: the log did not answer.
        AgentError: some deletions could not be ended; the others were.
    """
    interrupted = await log.conversations.being_deleted(idle_s=settings.lease_s, limit=settings.sweep_tasks)
    went_on = (deletions.delete(record, record.deleting or []) for record in interrupted)
    outcomes = await asyncio.gather(*went_on, return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for error in errors:
        if not isinstance(error, TailraceError):
            raise error
        logger.warning("sweep: a deletion goes on later: %s", error)
    if errors:
        raise AgentError(f"{len(errors)} of {len(outcomes)} deletions could not be ended; the function's log says why.")
    return len(outcomes)


async def sweep_forever(
    log: EventLog, hooks: Webhooks, dispatch: Dispatch, deletions: Deletions, settings: Settings
) -> None:
    """Sweep tasks, webhooks and deletions every `sweep_s`. None waits for another's store."""
    await asyncio.gather(
        _forever(lambda: sweep(log, dispatch, settings), settings.sweep_s),
        _forever(lambda: sweep_webhooks(log, hooks, dispatch, settings), settings.sweep_s),
        _forever(lambda: sweep_deletions(log, deletions, settings), settings.sweep_s),
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
        fields = {"event": "task_dispatched", "task": head.task_id, "agent": head.agent, "attempt": head.attempt}
        logger.info(encode({**fields, "state": head.state, "ts": now_ms()}).decode())
    if not all(sent):
        raise AgentError(
            f"{sent.count(False)} of {len(sent)} tasks could not be dispatched; the function's log says why."
        )
    return len(heads)
