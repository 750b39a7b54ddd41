"""A request as an ASGI HTTP connection (ASGI 3.0, HTTP 2.4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tailrace_runtime.faults import Fault, RuntimeFault
from tailrace_runtime.http_events import Scope
from tailrace_runtime.response import StreamedResponse
from tailrace_runtime.whole_response import WholeResponse

logger = logging.getLogger("tailrace.runtime")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Cycle:
    """One request and its response: `receive` and `send` for the app."""

    def __init__(self, scope: Scope, body: bytes, response: StreamedResponse | WholeResponse) -> None:
        self._scope = scope
        self._body: bytes | None = body
        self.response = response
        self._start: Message | None = None
        self._complete = asyncio.Event()
        self._sending = asyncio.Lock()

    async def run(self, app: App) -> Fault | None:
        """Run the app to its end, and end the response.

        Returns:
            An error that the caller has to report, because the response has not begun.
        """
        try:
            await app(self._scope, self._receive, self._send)
            if not self._complete.is_set() and not self.response.gone.is_set():
                raise RuntimeFault("Runtime.IncompleteResponse", "The app returned without completing its response.")
        except asyncio.CancelledError:
            logger.warning("The app was stopped.")
            return self._fail(Fault("Runtime.AppStopped", "The app was stopped before its response was complete."))
        except Exception as error:
            if self.response.gone.is_set() and (isinstance(error, OSError) or _is_disconnect(error)):
                logger.info("The app stopped its response because the reader has gone.")
                return None
            logger.exception("The app failed.")
            return self._fail(Fault.of(error))
        finally:
            self._complete.set()
        return None

    def _fail(self, fault: Fault) -> Fault | None:
        if not self.response.begun:
            return None if self.response.gone.is_set() else fault
        if not self._complete.is_set():
            self.response.fail(fault)
        return None

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        ends = [asyncio.create_task(event.wait()) for event in (self._complete, self.response.gone)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        async with self._sending:
            if kind == "http.response.start" and self._start is None:
                self._start = message
            elif kind == "http.response.body" and self._start is not None and not self._complete.is_set():
                last = not message.get("more_body", False)
                if last:
                    self._complete.set()
                body = message.get("body", b"")
                if self.response.begun:
                    await self.response.write(body, last=last)
                else:
                    headers = self._start.get("headers", [])
                    await self.response.begin(self._start["status"], headers, body, last=last)
            else:
                raise RuntimeError(f"The app sent {kind!r}, which ASGI does not allow here.")


def _is_disconnect(error: BaseException) -> bool:
    """Return whether it is a framework's error for a reader that has gone."""
    if isinstance(error, BaseExceptionGroup):
        return all(isinstance(each, OSError) or _is_disconnect(each) for each in error.exceptions)
    return type(error).__name__ == "ClientDisconnect"
