"""A poller: gets an invocation, handles it to its end, and gets the next."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from typing import Any

from tailrace_runtime.api import RuntimeAPI, check_reply
from tailrace_runtime.asgi import App, Cycle
from tailrace_runtime.context import Context
from tailrace_runtime.faults import Fault
from tailrace_runtime.handler import Call, Handler, HandlerResult, app_of
from tailrace_runtime.http_events import body_of, response_mode, scope_of
from tailrace_runtime.invocation import Invocation
from tailrace_runtime.logs import belonging_to
from tailrace_runtime.pending import wait_for_pending
from tailrace_runtime.worker import Worker

logger = logging.getLogger("tailrace.runtime")

# Pauses between attempts to get an invocation, if there are several pollers; as in awslambdaric.
_BACKOFF_S = (0.1, 0.2, 0.4, 0.8)


class Poller:
    """Handles one invocation at a time. `state` is the lifespan's."""

    def __init__(self, api: RuntimeAPI, handler: Handler, state: dict[str, Any]) -> None:
        self._api = api
        self._handler = handler
        self._app = app_of(handler)
        self._state = state

    def serve_alone(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve in the main thread; its loop does not run while an ordinary handler does. Never returns.

        Raises:
            ContainerError, OSError: there are no more invocations.
        """
        while True:
            call = loop.run_until_complete(self._next_call(alone=True))
            # `asyncio.run` in a handler leaves no current loop, and Mangum needs one.
            asyncio.set_event_loop(loop)
            with belonging_to(call.context):
                _set_trace(call.context)
                result = call.call(loop.run_until_complete)
                loop.run_until_complete(self._respond(call, result))
                loop.run_until_complete(wait_for_pending(call.context))
                _set_trace(None)

    async def serve_among_others(self) -> None:
        """Serve beside other pollers on this loop. Never returns.

        An ordinary handler runs in its own thread with its own loop, a coroutine function on this loop.

        Raises:
            ContainerError, OSError: there are no more invocations.
        """
        worker = Worker()
        awaited = inspect.iscoroutinefunction(self._handler)
        while True:
            call = await self._next_call(alone=False)
            with belonging_to(call.context):
                result = await (call.call_async() if awaited else worker.call(call))
                await self._respond(call, result)
                await (wait_for_pending(call.context) if awaited else worker.wait_for_pending(call))

    async def _next_call(self, *, alone: bool) -> Call:
        """Return the next invocation for the ordinary handler. Those for the app are handled here."""
        while True:
            invocation = await (self._api.next() if alone else self._next_with_retries())
            try:
                context, event = Context(invocation), invocation.event()
                mode = response_mode(event)
                if self._app is None or mode is None:
                    return Call(invocation, event, context, self._handler)
                scope, body = scope_of(event, context, self._state), body_of(event)
            except Exception as error:
                # A malformed event must not end the process.
                logger.exception("The invocation %s cannot be read.", invocation.request_id)
                await self._api.fail(invocation, Fault.of(error))
                continue
            with belonging_to(context):
                if alone:
                    _set_trace(context)
                response = (self._api.stream if mode == "streamed" else self._api.answer_whole)(invocation)
                await self._run(self._app, invocation, Cycle(scope, body, response), context)
                if alone:
                    _set_trace(None)

    async def _next_with_retries(self) -> Invocation:
        """Return the next invocation. An error is retried, because it would end the other pollers' invocations too."""
        for pause_s in _BACKOFF_S:
            try:
                return await self._api.next()
            except OSError as error:
                logger.warning("No invocation: %s", error)
            await asyncio.sleep(pause_s)
        return await self._api.next()

    async def _run(self, app: App, invocation: Invocation, cycle: Cycle, context: Context) -> None:
        response = cycle.response
        running = asyncio.create_task(cycle.run(app), name=f"app {invocation.request_id}")
        context.pending.add(running)
        waiting = asyncio.create_task(wait_for_pending(context), name=f"pending {invocation.request_id}")
        # The response ends as soon as the app is done, even if something is still pending.
        if fault := await running:
            await self._api.fail(invocation, fault)
        elif response.begun:
            if reply := await response.reply():
                check_reply(reply, "The response")
            else:
                logger.info("The Runtime API closed the connection during the response.")
        await waiting

    async def _respond(self, call: Call, result: HandlerResult | Fault) -> None:
        if isinstance(result, Fault):
            await self._api.fail(call.invocation, result)
        else:
            await self._api.respond(call.invocation, result.body, result.content_type)


def _set_trace(context: Context | None) -> None:
    """Set the variable that X-Ray's SDK reads (AWS: "Defined runtime environment variables").

    A process with several invocations at once cannot have it; `Context.trace_id` is always set.
    """
    if context is not None and context.trace_id is not None:
        os.environ["_X_AMZN_TRACE_ID"] = context.trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
