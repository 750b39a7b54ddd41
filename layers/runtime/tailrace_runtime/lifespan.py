"""The ASGI lifespan of an app, once per process (ASGI, "Lifespan Protocol").

It starts before the first invocation, after a restore from a snapshot, and ends at SIGTERM. A handler may turn it off
with `lifespan = "off"`, as `Mangum(app, lifespan="off")` does. Otherwise Mangum also runs one for each event it
answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from tailrace_runtime.asgi import App, Message
from tailrace_runtime.faults import RuntimeFault

logger = logging.getLogger("tailrace.runtime")


class Lifespan:
    """The lifespan of `app`; `mode` is "auto", "on" (the app must have one) or "off"."""

    def __init__(self, app: App, mode: str) -> None:
        self.state: dict[str, Any] = {}
        """The app's state for its requests; each gets a shallow copy."""
        self._app = app
        self._mode = mode
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._started: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the app, if it has a lifespan; return when it has started.

        Raises:
            RuntimeFault: the app reports that it cannot start, or has no lifespan and `mode` is "on".
        """
        if self._mode == "off":
            return
        self._started = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run(self._started))
        self._to_app.put_nowait({"type": "lifespan.startup"})
        await self._started

    async def stop(self) -> None:
        """Tell the app to shut down, and wait for it."""
        if self.task is not None and not self.task.done():
            self._to_app.put_nowait({"type": "lifespan.shutdown"})
            with contextlib.suppress(Exception):
                await self.task

    async def _run(self, started: asyncio.Future[None]) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._to_app.get, self._send)
        except Exception as error:
            if started.done():
                logger.exception("The app's lifespan failed.")
            elif self._mode == "on":
                started.set_exception(RuntimeFault("Runtime.LifespanFailed", f"The app has no lifespan: {error!r}"))
        finally:
            if not started.done():
                started.set_result(None)  # An app without a lifespan raises or returns.

    async def _send(self, message: Message) -> None:
        assert self._started is not None
        if message["type"] == "lifespan.startup.complete" and not self._started.done():
            self._started.set_result(None)
        elif message["type"] == "lifespan.startup.failed" and not self._started.done():
            fault = RuntimeFault("Runtime.LifespanFailed", message.get("message") or "The app's startup failed.")
            self._started.set_exception(fault)
