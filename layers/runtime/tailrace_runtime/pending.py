"""The unfinished work of an invocation: the app, and the tasks that it registered as pending.

Lambda may freeze a process as soon as it asks for the next invocation (AWS: "Understanding the Lambda execution
environment lifecycle"). So this runtime asks only when the app has returned and every future in
`scope["aws.context"].pending` is done. An app adds a run that outlives its response:

    context = scope.get("aws.context")
    pending = getattr(context, "pending", None)     # None without this runtime
    if pending is not None:
        pending.add(asyncio.create_task(run()))

Nothing else is needed: finished futures are removed, and their exceptions are logged. It is the same for streamed
responses and for Mangum's. The response does not wait for the runs: it ends when the app ends it.

A second before the deadline, or a tenth of the time if that is less, the pending futures are cancelled once. They may
clean up until Lambda ends the process. So a run releases its lease in time, and the next attempt need not wait for it
to expire. A run that can stop earlier, at a checkpoint, reads the deadline from the context.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from tailrace_runtime.context import Context

logger = logging.getLogger("tailrace.runtime")

_GRACE_S = 1.0


async def wait_for_pending(context: Context) -> None:
    """Return when no future of the invocation is pending."""
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
