"""What an invocation has begun and not finished: the app and what it registered.

The seam, in full. Lambda may freeze a process as soon as it asks for the next invocation (AWS: "Understanding the
Lambda execution environment lifecycle"), so this runtime asks when the app has returned and every future in
`scope["aws.context"].pending` is done. An app that starts a run which outlives its response adds it there:

    context = scope.get("aws.context")
    pending = getattr(context, "pending", None)     # None without this runtime
    if pending is not None:
        pending.add(asyncio.create_task(run()))

Nothing else is needed: what is done is forgotten, an exception nobody looked at is logged. It works alike for streamed
responses and for Mangum's. The response does not wait for the runs: its end is sent when the app sends it.

Shortly before the deadline (a second, or a tenth of the time where that is less) what is still pending is cancelled,
once, and may clean up until Lambda ends the process: so a run lets go of its lease in time, and the next attempt need
not wait for it to expire. A run that can stop earlier, at a checkpoint, reads the deadline from the context.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from tailrace_runtime.context import Context

logger = logging.getLogger("tailrace.runtime")

_GRACE_S = 1.0


async def settled(context: Context) -> None:
    """Return when nothing of the invocation is pending any more."""
    loop = asyncio.get_running_loop()
    left_s = context.get_remaining_time_in_millis() / 1000
    stop_at = loop.time() + left_s - min(_GRACE_S, left_s / 10)
    stopped: set[asyncio.Future[Any]] = set()
    while context.pending:
        due = [each for each in context.pending if not each.done() and each not in stopped]
        if loop.time() >= stop_at and due:
            logger.warning("The deadline is near: %d pending task(s) of the invocation are stopped.", len(due))
            for each in due:
                each.cancel()
            stopped.update(due)
        wait_s = max(0.0, stop_at - loop.time()) if len(stopped) < len(context.pending) else None
        done, _ = await asyncio.wait(context.pending, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            context.pending.discard(each)
            stopped.discard(each)
            if not each.cancelled() and (error := each.exception()) is not None:
                logger.error("A pending task of the invocation failed.", exc_info=error)
