"""A poller: asks for an invocation, sees it through, and asks for the next."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from typing import Any

from tailrace_runtime.api import RuntimeAPI, judge
from tailrace_runtime.asgi import App, Cycle, Scope, body_of, is_function_url, scope_of
from tailrace_runtime.context import Context
from tailrace_runtime.faults import Fault
from tailrace_runtime.handler import Call, Handler, HandlerResult, app_of
from tailrace_runtime.invocation import Invocation
from tailrace_runtime.logs import belonging_to
from tailrace_runtime.pending import settled
from tailrace_runtime.worker import Worker

logger = logging.getLogger("tailrace.runtime")

# Between the tries of a poller among others to get an invocation, as awslambdaric has them.
_BACKOFF_S = (0.1, 0.2, 0.4, 0.8)


class Poller:
    """One invocation at a time, each seen through before the next is asked for."""

    def __init__(self, api: RuntimeAPI, handler: Handler, state: dict[str, Any]) -> None:
        self._api = api
        self._handler = handler
        self._app = app_of(handler)
        self._state = state

    def serve_alone(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve in the main thread, whose loop stands still while an ordinary handler runs. Never returns.

        Raises:
            ContainerError, OSError: the Runtime API has no more to give.
        """
        while True:
            call = loop.run_until_complete(self._next_call(alone=True))
            # `asyncio.run` in a handler leaves no current loop behind, and Mangum needs one.
            asyncio.set_event_loop(loop)
            with belonging_to(call.context):
                _set_trace(call.context)
                answer = call.make(loop.run_until_complete)
                loop.run_until_complete(self._answer(call, answer))
                loop.run_until_complete(settled(call.context))
                _set_trace(None)

    async def serve_among_others(self) -> None:
        """Serve beside other pollers on this loop. An ordinary handler gets a thread with a loop of its own, a
        coroutine function this one. Never returns.

        Raises:
            ContainerError, OSError: the Runtime API has no more to give.
        """
        worker = Worker()
        awaited = inspect.iscoroutinefunction(self._handler)
        while True:
            call = await self._next_call(alone=False)
            with belonging_to(call.context):
                answer = await (call.wait() if awaited else worker.make(call))
                await self._answer(call, answer)
                await (settled(call.context) if awaited else worker.settle(call))

    async def _next_call(self, *, alone: bool) -> Call:
        """The next invocation that is the ordinary handler's. Those for the app are served meanwhile."""
        while True:
            invocation = await (self._api.next() if alone else self._next_patiently())
            try:
                context, event = Context(invocation), invocation.event()
                if self._app is None or not is_function_url(event):
                    return Call(invocation, event, context, self._handler)
                scope, body = scope_of(event, context, self._state), body_of(event)
            except Exception as error:
                # An event that is not what it should be must not end the process.
                logger.exception("The invocation %s cannot be read.", invocation.request_id)
                await self._api.fail(invocation, Fault.of(error))
                continue
            with belonging_to(context):
                if alone:
                    _set_trace(context)
                await self._stream(self._app, invocation, scope, body, context)
                if alone:
                    _set_trace(None)

    async def _next_patiently(self) -> Invocation:
        """As `next`. What goes wrong there must not at once end the invocations of the other pollers."""
        for pause_s in _BACKOFF_S:
            try:
                return await self._api.next()
            except OSError as error:
                logger.warning("No invocation: %s", error)
            await asyncio.sleep(pause_s)
        return await self._api.next()

    async def _stream(self, app: App, invocation: Invocation, scope: Scope, body: bytes, context: Context) -> None:
        response = self._api.stream(invocation)
        cycle = Cycle(scope, body, response)
        running = asyncio.create_task(cycle.run(app), name=f"app {invocation.request_id}")
        context.pending.add(running)
        settling = asyncio.create_task(settled(context), name=f"pending {invocation.request_id}")
        # The client has its answer as soon as the app is done, whatever is still pending.
        if fault := await running:
            await self._api.fail(invocation, fault)
        elif response.begun:
            if reply := await response.reply():
                judge(reply, "The response")
            else:
                logger.info("The Runtime API hung up on the response.")
        await settling

    async def _answer(self, call: Call, answer: HandlerResult | Fault) -> None:
        if isinstance(answer, Fault):
            await self._api.fail(call.invocation, answer)
        else:
            await self._api.respond(call.invocation, answer.body, answer.content_type)


def _set_trace(context: Context | None) -> None:
    """Where X-Ray's SDK looks (AWS: "Defined runtime environment variables"). A process that runs several invocations
    at once cannot have it; `Context.trace_id` is there in any case."""
    if context is not None and context.trace_id is not None:
        os.environ["_X_AMZN_TRACE_ID"] = context.trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
