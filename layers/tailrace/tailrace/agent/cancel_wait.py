"""What CancelTask waits for if another process runs the task."""

from __future__ import annotations

import asyncio
import logging

from tailrace.config import Settings
from tailrace.events import State
from tailrace.log import EventLog, Head
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import wait_for_end

logger = logging.getLogger("tailrace.tasks")

# How long it waits beyond the time in which that process renews its lease.
_CANCEL_WAIT_S = 3.0


async def await_end(log: EventLog, feeds: Feeds, settings: Settings, head: Head) -> State | None:
    """Wait, for a limited time, until the run in another process has ended.

    Return the state of its last event, which the head shows a moment later; None if it has not ended.

    If that process is dead, its lease expires; then the feed that is followed here starts the task, which cancels it.
    """
    leased_s = max(0, head.lease_until - log.now()) / 1000
    try:
        async with asyncio.timeout(max(leased_s, settings.renew_s) + _CANCEL_WAIT_S):
            return await wait_for_end(log, feeds, head.task_id, past_input=True)
    except TimeoutError:
        logger.warning("task %s: its runner has not reacted to the cancel yet", head.task_id)
        return None
