"""A thread for an ordinary handler, if the process's loop serves other invocations too."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from tailrace_runtime.faults import Fault
from tailrace_runtime.handler import Call, HandlerResult
from tailrace_runtime.pending import wait_for_pending


class Worker:
    """The thread of one poller. Its event loop is the current one there, because Mangum needs it, and is kept."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "handler")
        self._loop: asyncio.AbstractEventLoop | None = None

    async def call(self, call: Call) -> HandlerResult | Fault:
        """Call the handler in the thread and return its result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, copy_context().run, self._call, call)

    async def wait_for_pending(self, call: Call) -> None:
        """Return when no future of the handler is pending."""
        if call.context.pending:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, copy_context().run, self._wait_for_pending, call)

    def _call(self, call: Call) -> HandlerResult | Fault:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        return call.call(self._loop.run_until_complete)

    def _wait_for_pending(self, call: Call) -> None:
        assert self._loop is not None
        self._loop.run_until_complete(wait_for_pending(call.context))
