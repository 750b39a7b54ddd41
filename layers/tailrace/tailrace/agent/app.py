"""`AgentApp(graph, card)`: an ASGI app that serves A2A for a LangGraph graph. All an author writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from tailrace.a2a.card import AgentCard, Extension
from tailrace.a2a.client import new_http
from tailrace.a2a.server.operations import DirectAnswer, ExtendedCard
from tailrace.a2a.server.routes import A2AServer
from tailrace.a2a.server.services import Serving
from tailrace.agent.checkpoints import open_checkpointer
from tailrace.agent.checkpoints.state_types import types_of
from tailrace.agent.dispatch import Dispatch
from tailrace.agent.push_service import Push, notification
from tailrace.agent.service import Tasks
from tailrace.authoring import run_context
from tailrace.aws import invoked_as, on_lambda
from tailrace.config import Settings
from tailrace.errors import ConfigError, TailraceError
from tailrace.log import EventLog, open_log
from tailrace.naming import check_agent_name, plain_name
from tailrace.owner import DecideOwner, identify_by_header, identify_by_name
from tailrace.push import Deliveries, open_webhooks
from tailrace.uploads import UPLOADS, Uploads, open_uploads


class AgentApp:
    """Serves `graph`, compiled or not, as the agent that `card` describes.

    The graph gets `{"messages": [the user's text]}`; nodes find the rest with `tailrace.inputs.request()`. Its
    streamed text becomes the artifact `report`, `tailrace.result` makes other artifacts, and an
    `interrupt` asks the user. A graph compiled with a checkpointer of its own keeps it.

    `answer` is asked first when a message begins something new: text that it returns is the whole answer, and no
    task is begun. `decide_owner` names the owner of a request, by any text, or gives None for one it does not know,
    which is refused. By default a caller says it; it has to know TAILRACE_RUN_SECRET, or to be kept out by other means
    (IAM) where there is none. `extended_card` gives a known caller, by that name, the card it may see, None if there
    is none for it. A message sent again under its `messageId` is the same message, and one task, unless `idempotent`
    says that this id is not one message's alone.

    The log and the checkpointer are opened at the first request, on the event loop that serves it.

    Example:
        async def greet(state: MessagesState) -> None:
            write(f"Hello, {state['messages'][-1].text}!")

        graph = StateGraph(MessagesState).add_node(greet).add_edge(START, "greet")
        app = AgentApp(graph, AgentCard(name="greeter", description="Greets.", version="1", skills=[]))
    """

    def __init__(
        self,
        graph: StateGraph[Any, Any, Any, Any] | Pregel[Any, Any, Any, Any],
        card: AgentCard,
        *,
        settings: Settings | None = None,
        log: EventLog | None = None,
        answer: DirectAnswer | None = None,
        decide_owner: DecideOwner | None = None,
        extended_card: ExtendedCard | None = None,
        idempotent: Callable[[str], bool] = lambda message_id: True,
    ) -> None:
        if extended_card is not None and decide_owner is None:
            # "The Get Extended Agent Card operation MUST require authentication" (specification, section 13.3).
            raise ConfigError("decide_owner", None, "given where extended_card is")
        check_agent_name(card.name)
        self._idempotent = idempotent
        self._graph = graph
        self._card = card
        self._settings = settings or Settings.load()
        card = msgspec.structs.replace(card, extensions=[*card.extensions, _reading_of(open_uploads(self._settings))])
        if decide_owner is None and self._settings.run_secret:
            card = msgspec.structs.replace(card, **_SECURED)
        self._given_log = log
        self._serving: Serving | None = None
        self._start_error: TailraceError | None = None
        self._until_idle: tuple[Callable[[], Awaitable[None]], ...] = ()
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        server = A2AServer(
            card,
            self._settings,
            self._open,
            identify_by_name(decide_owner) if decide_owner else identify_by_header(self._settings.run_secret),
            answer=answer,
            extended_card=extended_card,
        )
        routes = server.routes()
        # The second is where an agent is found behind one address for all, as `sam local` has it.
        self._app = Starlette(
            routes=[*routes, Mount(f"/agents/{plain_name(card.name)}", routes=routes)], lifespan=self._lifespan
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if context := scope.get("aws.context"):
            left_s = context.get_remaining_time_in_millis() / 1000
            run_context.deadline.set(asyncio.get_running_loop().time() + left_s)
            invoked_as.set(getattr(context, "invoked_function_arn", None) or None)
        await self._app(scope, receive, self._with_plain_failure(send) if scope["type"] == "lifespan" else send)
        if on_lambda():
            # The process freezes when this returns: not before the runs are done that were begun here, and those who
            # want to be told have been.
            for until_idle in self._until_idle:
                await until_idle()

    def _with_plain_failure(self, send: Send) -> Send:
        """`send` for the lifespan: a failed start is told in the words of our own error, without a stack trace."""

        async def send_plainly(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and self._start_error is not None:
                message = {**message, "message": str(self._start_error)}
            await send(message)

        return send_plainly

    async def _open(self) -> Serving:
        async with self._opening:
            if self._serving is None:
                log = self._given_log or open_log(self._settings)
                if self._given_log is None:
                    self._stack.push_async_callback(log.close)
                graph = await self._compiled()
                http = await self._stack.enter_async_context(new_http())
                dispatch = Dispatch(self._settings, http)
                self._stack.push_async_callback(dispatch.close)
                tasks = Tasks(log, self._settings, graph, self._card.name, http, dispatch, idempotent=self._idempotent)
                self._stack.push_async_callback(tasks.close)
                webhooks = open_webhooks(self._settings)
                deliveries = Deliveries(log, tasks.feeds, webhooks, self._settings, notification)
                self._stack.push_async_callback(deliveries.close)
                self._until_idle = (tasks.until_idle, deliveries.until_idle)
                self._serving = Serving(tasks, Push(deliveries))
        return self._serving

    async def _compiled(self) -> Pregel[Any, Any, Any, Any]:
        if isinstance(self._graph, Pregel) and self._graph.checkpointer is not None:
            return self._graph
        graph = self._graph if isinstance(self._graph, Pregel) else self._graph.compile(name=self._card.name)
        saver = await open_checkpointer(self._settings, self._card.name, self._stack, types_of(graph))
        return graph.copy({"checkpointer": saver})

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        try:
            await self._open()
        except TailraceError as error:
            self._start_error = error
            raise
        yield
        await self._stack.aclose()


# How a card says that its agent wants the secret of its run (A2A specification, section 4.5).
_SECURED: dict[str, Any] = {
    "security_schemes": {
        "run": {
            "httpAuthSecurityScheme": {
                "scheme": "Bearer",
                "description": "The secret of this run, which is in the file `run-secret` of its data folder.",
            }
        }
    },
    "security_requirements": [{"schemes": {"run": {"list": []}}}],
}


def _reading_of(uploads: Uploads) -> Extension:
    return Extension(
        uri=UPLOADS,
        description="A file part may refer to an upload in the store of this id instead of holding the content.",
        params={"store": uploads.id},
    )
