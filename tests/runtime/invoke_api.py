"""Lambda's Invoke API for asynchronous invocations, for `boto3.client("lambda").invoke`.

Written from AWS's pages "Invoke" and "Invoking Lambda functions asynchronously": an event is queued and answered 202 at
once. A failed event is tried twice more and then becomes a dead letter. Lambda pauses for one minute and for two
between tries; here `pause` is awaited.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.runtime.emulator import Emulator
from tests.runtime.exchange import End, Invocation

_TRIES = 3


@dataclass
class Sent:
    """An event for a function, and its attempts."""

    function: str
    qualifier: str
    event: dict[str, Any]
    sender: Invocation | None
    """The trace id of the invocation that sent it, which boto3 adds on Lambda."""
    at_s: float = field(default_factory=time.monotonic)
    """When it came, by the monotonic clock."""
    tries: list[Invocation] = field(default_factory=list)
    error: dict[str, Any] | None = None
    """The error of the last attempt."""


class InvokeApi:
    """Invokes `functions` by their names."""

    def __init__(self) -> None:
        self.functions: dict[str, Emulator] = {}
        self.sent: list[Sent] = []
        self.dead_letters: list[Sent] = []
        self.deleted: set[str] = set()
        """The versions that do not exist any more."""
        self.pause: Callable[[], Awaitable[object]] = _at_once
        """Awaited before a second or third attempt."""
        self.accepting = asyncio.Event()
        """No request is answered while this is not set."""
        self.accepting.set()
        self.changed = asyncio.Condition()
        self.app = Starlette(
            routes=[Route("/2015-03-31/functions/{name}/invocations", self._invoke, methods=["POST"])],
        )
        self._working: set[asyncio.Task[None]] = set()

    async def until(self, condition: Callable[[InvokeApi], bool]) -> None:
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(lambda: condition(self))

    async def close(self) -> None:
        self.accepting.set()
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _invoke(self, request: Request) -> Response:
        # A name, a name with a qualifier, or an ARN with either.
        name, _, qualifier = request.path_params["name"].rpartition(":function:")[2].partition(":")
        if name not in self.functions or qualifier in self.deleted:
            return JSONResponse({"Type": "User", "Message": f"Function not found: {name}"}, 404)
        if request.headers.get("x-amz-invocation-type") != "Event":
            return JSONResponse({"Message": "This emulator invokes asynchronously only."}, 501)
        trace = request.headers.get("x-amzn-trace-id")
        invocations = [each for function in self.functions.values() for each in function.invocations]
        sender = next((each for each in invocations if trace and each.trace == trace), None)
        sent = Sent(name, qualifier, await request.json(), sender)
        self.sent.append(sent)
        await self._notify()
        await self.accepting.wait()
        task = asyncio.create_task(self._work(sent))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return Response(status_code=202)

    async def _work(self, sent: Sent) -> None:
        function = self.functions[sent.function]
        for left in reversed(range(_TRIES)):
            # The response is dropped, because nobody waits for it.
            invocation = Invocation(sent.event, streamed=False, timeout_s=function.timeout_s)
            sent.tries.append(invocation)
            function.submit(invocation)
            await self._notify()
            while not isinstance(part := await invocation.parts.get(), End):
                pass
            if invocation.state != "queued":  # otherwise no environment could be started
                await invocation.over.wait()
            sent.error = part.error or invocation.failed
            await self._notify()
            if sent.error is None:
                return
            if left:
                await self.pause()
        self.dead_letters.append(sent)
        await self._notify()

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()


async def _at_once() -> None:
    return
