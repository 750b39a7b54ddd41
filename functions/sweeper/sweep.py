"""One sweep (promise 7: nothing runs for ever unseen)."""

from __future__ import annotations

import asyncio
import logging

from tailrace.config import Settings
from tailrace.dispatch import Dispatch
from tailrace.errors import AgentError, TailraceError
from tailrace.events import encode, now_ms
from tailrace.log import EventLog

logger = logging.getLogger("tailrace.sweeper")


async def sweep(log: EventLog, dispatch: Dispatch, settings: Settings) -> int:
    """Dispatch the tasks that are adrift, at most `sweep_tasks` of them, the oldest first; how many there were.

    Tasks touched within a lease's time are left to those who look at them. A dispatch is harmless where it
    comes twice or late: of all who find a task adrift, one gets its lease.

    Raises:
        LogUnavailable: the log could not be asked.
        AgentError: some could not be dispatched; the others were.
    """
    adrift = await log.adrift(idle_s=settings.lease_s, limit=settings.sweep_tasks)
    sent = await asyncio.gather(*(dispatch(head) for head in adrift))
    for head in adrift:
        told = {"event": "task_dispatched", "task": head.task_id, "agent": head.agent, "attempt": head.attempt}
        logger.info(encode({**told, "ts": now_ms()}).decode())
    if not all(sent):
        raise AgentError(f"{sent.count(False)} of {len(sent)} tasks adrift could not be dispatched; the log says why.")
    return len(adrift)


async def sweep_forever(log: EventLog, dispatch: Dispatch, settings: Settings) -> None:
    """Sweep every `sweep_s`."""
    while True:
        try:
            await sweep(log, dispatch, settings)
        except TailraceError as error:
            logger.warning("sweep: %s", error)
        await asyncio.sleep(settings.sweep_s)
