"""The reader of docs/PROTOCOL.md, section 7.1: a task's events once and in order, over as many streams as it takes.

The page's is `frontend/event-stream.js`. What opens the streams is passed in, so it is the same for a gateway and for
an agent with our extension.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from tailrace.client.backoff import Backoff
from tailrace.client.event import Broken, Event, gap_event
from tailrace.errors import ServerRefused, ServerUnreachable
from tailrace.stream.quiet import Pause
from tailrace.stream.reader import End, Gap, Synced

logger = logging.getLogger("tailrace.client")

# What a stream brings. It may end without an `End` or a `Pause`: then it was cut.
Item = Event | Broken | Gap | Synced | Pause | End
# Opens the stream of the events after a cursor. Raises `ServerUnreachable` for a cut, and `ServerRefused` for what does
# not change by trying again; with a `retry_after_s` it may.
Open = Callable[[int], AsyncGenerator[Item]]
# A server that has held a stream open for so long was there.
_WAS_THERE_S = 5.0


async def resumed(open_at: Open, cursor: int, backoff: Backoff) -> AsyncGenerator[Event]:
    """The events after `cursor`, each once and in order, until the task is finished or waits for its user.

    Events that are gone for good are a gap, and so is one that cannot be read the second time either.

    Raises:
        ServerRefused: the stream was refused.
        ServerUnreachable: the server was away for too long.
    """
    missing_after = -1
    while True:
        reason = ServerUnreachable(f"The stream was cut after event {cursor}.")
        wait_s, opened_at = 0.0, asyncio.get_running_loop().time()
        try:
            async with aclosing(open_at(cursor)) as items:
                async for item in items:
                    if isinstance(item, Event | Broken):
                        seq = item.seq
                        assert seq is not None, "a stream that is resumed has seqs"
                        if seq <= cursor:
                            continue
                        backoff.answered()
                        last_missing = seq if isinstance(item, Broken) else seq - 1
                        if last_missing > cursor:
                            if missing_after != cursor:  # Ask for what is missing, once.
                                missing_after = cursor
                                if isinstance(item, Broken):
                                    reason = ServerUnreachable(item.reason)
                                break
                            gap, cursor = Gap(cursor + 1, last_missing), last_missing
                            yield gap_event(gap)
                        if isinstance(item, Event):
                            cursor = seq
                            yield item
                    elif isinstance(item, Gap):
                        backoff.answered()
                        if item.last > cursor:
                            gap, cursor = Gap(cursor + 1, item.last), item.last
                            yield gap_event(gap)
                    elif isinstance(item, End):
                        if item.seq == cursor:
                            backoff.answered()
                            return
                        break
                    else:
                        backoff.answered()
                        if isinstance(item, Pause):
                            wait_s = item.ms / 1000
                            break
                else:
                    if asyncio.get_running_loop().time() - opened_at >= _WAS_THERE_S:
                        backoff.answered()
        except ServerRefused as error:
            if error.retry_after_s is None:
                raise
            await backoff.wait(error, error.retry_after_s)
            continue
        except ServerUnreachable as error:
            reason = error
        if wait_s:
            await asyncio.sleep(wait_s)
        else:
            logger.info("the stream was cut after event %d: %s", cursor, reason)
            await backoff.wait(reason)
