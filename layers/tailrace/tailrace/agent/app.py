"""`AgentApp(graph, card)`: an ASGI app that serves A2A for a LangGraph graph. All an author writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from tailrace import running
from tailrace.a2a.card import CARD_PATH, AgentCard
from tailrace.a2a.client import new_http
from tailrace.a2a.server import A2AServer
from tailrace.agent.checkpoints import open_checkpointer
from tailrace.agent.tasks import Tasks
from tailrace.aws import on_lambda
from tailrace.config import Settings
from tailrace.dispatch import Dispatch
from tailrace.log import EventLog, open_log


class AgentApp:
    """Serves `graph`, compiled or not, as the agent that `card` describes.

    The graph gets `{"messages": [the user's text]}`; nodes find the rest with `tailrace.request()`. Its
    streamed text becomes the artifact `report`, `tailrace.result` makes other artifacts, and an
    `interrupt` asks the user. A graph compiled with a checkpointer of its own keeps it.

    The log and the checkpointer are opened at the first request, on the event loop that serves it.
    """

    def __init__(
        self,
        graph: StateGraph[Any, Any, Any, Any] | Pregel[Any, Any, Any, Any],
        card: AgentCard,
        *,
        settings: Settings | None = None,
        log: EventLog | None = None,
    ) -> None:
        self._graph = graph
        self._card = card
        self._settings = settings or Settings.load()
        self._given_log = log
        self._tasks: Tasks | None = None
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        server = A2AServer(card, self._settings, self._open)
        routes = [
            Route("/", server.rpc, methods=["POST"]),
            Route("/message/stream", server.rpc, methods=["POST"]),
            Route(f"/{CARD_PATH}", server.card, methods=["GET"]),
        ]
        # The second is where an agent is found behind one address for all, as `sam local` has it.
        self._app = Starlette(routes=[*routes, Mount(f"/agents/{card.name}", routes=routes)], lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if context := scope.get("aws.context"):
            left_s = context.get_remaining_time_in_millis() / 1000
            running.deadline.set(asyncio.get_running_loop().time() + left_s)
        await self._app(scope, receive, send)
        if self._tasks is not None and on_lambda():
            # The process freezes when this returns: not before the runs are done that were begun here.
            await self._tasks.settled()

    async def _open(self) -> Tasks:
        async with self._opening:
            if self._tasks is None:
                log = self._given_log or open_log(self._settings)
                if self._given_log is None:
                    self._stack.push_async_callback(log.close)
                graph = await self._compiled()
                http = await self._stack.enter_async_context(new_http())
                dispatch = Dispatch(self._settings, http)
                self._stack.push_async_callback(dispatch.close)
                self._tasks = Tasks(log, self._settings, graph, self._card.name, http, dispatch)
                self._stack.push_async_callback(self._tasks.close)
        return self._tasks

    async def _compiled(self) -> Pregel[Any, Any, Any, Any]:
        if isinstance(self._graph, Pregel) and self._graph.checkpointer is not None:
            return self._graph
        saver = await open_checkpointer(self._settings, self._card.name, self._stack)
        if isinstance(self._graph, Pregel):
            return self._graph.copy({"checkpointer": saver})
        return self._graph.compile(checkpointer=saver, name=self._card.name)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self._open()
        yield
        await self._stack.aclose()
