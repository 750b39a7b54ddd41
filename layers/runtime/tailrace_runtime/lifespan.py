"""The ASGI lifespan of an app, once a process (ASGI, "Lifespan Protocol").

Started before the first invocation is asked for, after a snapshot was restored, and ended when the process is told to
stop. A handler may say `lifespan = "off"`, as `Mangum(app, lifespan="off")` does. Mangum itself, where it is not off,
runs one more for each event that it answers.
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
    def __init__(self, app: App, mode: str) -> None:
        self.state: dict[str, Any] = {}
        """What the app keeps for its requests; each gets a shallow copy."""
        self._app = app
        self._mode = mode
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._started: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the app, if it has a lifespan.

        Raises:
            RuntimeFault: the app says that it cannot start.
        """
        if self._mode == "off":
            return
        self._started = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run(self._started))
        self._to_app.put_nowait({"type": "lifespan.startup"})
        await self._started

    async def stop(self) -> None:
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
                started.set_result(None)  # An app without a lifespan raises, or returns, and that is that.

    async def _send(self, message: Message) -> None:
        assert self._started is not None
        if message["type"] == "lifespan.startup.complete" and not self._started.done():
            self._started.set_result(None)
        elif message["type"] == "lifespan.startup.failed" and not self._started.done():
            fault = RuntimeFault("Runtime.LifespanFailed", message.get("message") or "The app's startup failed.")
            self._started.set_exception(fault)
