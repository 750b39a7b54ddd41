"""`AgentApp(graph, card)`: an ASGI app that serves a LangGraph graph over A2A."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Self

import msgspec
from langchain_core.runnables import RunnableConfig
from langgraph.store.base import BaseStore
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from tailrace.a2a.card import CONVERSATION, AgentCard, Extension, check_card
from tailrace.a2a.client import new_http
from tailrace.a2a.server.operations import DirectAnswer, ExtendedCard
from tailrace.a2a.server.routes import A2AServer
from tailrace.a2a.server.services import Serving
from tailrace.agent import deadline
from tailrace.agent.answers import CheckAnswer
from tailrace.agent.checkpoints import open_checkpointer
from tailrace.agent.checkpoints.state_types import types_of
from tailrace.agent.dispatch import Dispatch
from tailrace.agent.graph import AgentGraph, Output, Stream, Thread
from tailrace.agent.graph_input import MakeInput
from tailrace.agent.graph_source import GraphSource, check_source, graph_of
from tailrace.agent.memory import Memory
from tailrace.agent.push_service import Push, notification
from tailrace.agent.service import Tasks
from tailrace.agent.structure import Graph
from tailrace.aws import invoked_as, on_lambda
from tailrace.config import Settings
from tailrace.errors import ConfigError, TailraceError
from tailrace.inputs.request import Request
from tailrace.log import EventLog, open_log
from tailrace.log.memory import MemoryLog
from tailrace.owner import DecideOwner, identify_by_header, identify_by_name
from tailrace.push import Deliveries, open_webhooks
from tailrace.registry import check_registered, read_registry, registered
from tailrace.stores.units import logged_units
from tailrace.stream.response import forget_earlier_shutdown
from tailrace.tracing.context import Tracing
from tailrace.tracing.setup import flush, set_up
from tailrace.uploads import UPLOADS, Uploads, open_uploads


class AgentApp:
    """Serves `graph` as the agent that `card` describes.

    `graph` is compiled or not, or a function that returns it: without arguments or with LangGraph's config, `async` or
    not, also an async context manager. The function is called once, when the app opens.

    The user's message becomes the graph's input by the graph's input schema: its text and files are one HumanMessage in
    `messages`, and a data part gives the other fields. Nodes get everything with `tailrace.request()` too. Text that a
    node or a chat model streams becomes the artifact `response`, `tailrace.result` makes other artifacts, and
    `interrupt` asks the user. If the graph was compiled with a checkpointer, it keeps that.

    - `config`: LangGraph's config for every run, like `{"recursion_limit": 200}`. Without a limit here or bound to the
      graph, a run fails after 50 steps.
    - `input`: a function that makes the graph's input from the `Request` that begins a task, in place of the above.
    - `context`: a function that makes LangGraph's runtime context from the task's `Request`. It is called in each
      attempt, before the graph goes on.
    - `thread`: which tasks share a thread of LangGraph, so that each begins with the state in which the one before has
      ended: those of one A2A context ("context"); no two ("task"); or those for whose `Request` a function returns the
      same text. Two owners never share one. A thread takes one task at a time: a second one is refused.
    - `output`: a function that makes the artifacts, by name, from the graph's result. A text is a text artifact, and
      `response` is the answer; anything else is data. By default the answer is the text of the last message that the
      model wrote, `structured_response` and the keys of an output schema are data, and a graph that has given nothing
      else gives its state.
    - `input`, `context`, `thread` and `output` run in a Python thread. All but `output` may raise `Rejected`.
    - `stream`: "live" shows a model's text as it comes, and takes back what the graph's state does not keep. "final"
      shows and logs nothing that a model says, and no tool's input and output, before the graph has ended: for
      guardrails whose redaction must not be kept.
    - `check_answer`: called with a `Question` and each answer to it before the answer is taken. If it returns a text,
      the answer is refused with it, and the task goes on waiting.
    - `store`: LangGraph's store for long-term memory, in place of the graph's own. By default a graph without one gets
      a durable store (`get_store()`, `runtime.store`), in which each owner has namespaces that no other owner sees. A
      store that is passed here, or that the graph was compiled with, gets the namespaces as the nodes write them.
    - `max_tasks`: how many tasks one process works on at once; by default any number. Beyond it a message that would
      begin a task is refused with -32603 (503), and a task that exists already waits its turn.
    - `settings`: by default those of the environment.
    - `log`: by default the log that the settings name. A log that is passed here is not closed with the app.
    - `answer`: called first with each message that would create a task. If it returns text, that is the whole answer,
      and no task is created.
    - `decide_owner`: returns the name of a request's owner, which may be any text, or None to refuse the request. By
      default the caller names the owner in a header. It has to know TAILRACE_RUN_SECRET then; without that secret,
      strangers must be kept out by other means, like IAM.
    - `extended_card`: returns the card for an owner (by name), or None if there is none for this owner. It needs
      `decide_owner`.
    - `idempotent`: says whether a `messageId` stands for one message only. By default it does: a message that is sent
      again is the same message and makes no second task.

    The log and the checkpointer are opened when the server starts the app, or at the first request.

    Raises:
        ConfigError: the graph or the card cannot be used, `extended_card` comes without `decide_owner`, `thread` or
            `stream` has another value, `max_tasks` is not a whole number from 1, or a function for `input`, `context`,
            `thread` or `output` is async.

    Example:
        async def greet(state: MessagesState) -> None:
            write(f"Hello, {state['messages'][-1].text}!")

        graph = StateGraph(MessagesState).add_node(greet).add_edge(START, "greet")
        app = AgentApp(graph, AgentCard(name="greeter", description="Greets.", version="1", skills=[]))
    """

    _again: partial[Self]

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Keep what the app is made of: `in_memory` makes it again."""
        app = super().__new__(cls)
        app._again = partial(cls, *args, **options)
        return app

    def __init__(
        self,
        graph: GraphSource,
        card: AgentCard,
        *,
        input: MakeInput | None = None,
        context: Callable[[Request], Any] | None = None,
        thread: Thread = "context",
        config: RunnableConfig | None = None,
        output: Output | None = None,
        stream: Stream = "live",
        check_answer: CheckAnswer | None = None,
        store: BaseStore | None = None,
        max_tasks: int | None = None,
        settings: Settings | None = None,
        log: EventLog | None = None,
        answer: DirectAnswer | None = None,
        decide_owner: DecideOwner | None = None,
        extended_card: ExtendedCard | None = None,
        idempotent: Callable[[str], bool] = lambda message_id: True,
    ) -> None:
        if extended_card is not None and decide_owner is None:
            # "The Get Extended Agent Card operation MUST require authentication" (specification, section 13.3).
            raise ConfigError("decide_owner", None, "set if extended_card is")
        for key, function in (("input", input), ("context", context), ("thread", thread), ("output", output)):
            if inspect.iscoroutinefunction(function):
                raise ConfigError(key, function, "a function that is not async: it runs in a thread")
        if thread not in ("context", "task") and not callable(thread):
            raise ConfigError("thread", thread, "'context', 'task' or a function of the request")
        if stream not in ("live", "final"):
            raise ConfigError("stream", stream, "'live' or 'final'")
        if store is not None and not isinstance(store, BaseStore):
            raise ConfigError("store", store, "a store of LangGraph, like AsyncPostgresStore; None for Tailrace's own")
        if max_tasks is not None and (type(max_tasks) is not int or max_tasks < 1):
            raise ConfigError("max_tasks", max_tasks, "a whole number from 1, or None for any number of tasks")
        check_card(card)
        self._idempotent = idempotent
        self._graph = check_source(graph, card.name)
        self._card = card
        self._config = config or RunnableConfig()
        self._store = store
        self._agent_graph = partial(
            AgentGraph,
            card.name,
            config=self._config,
            input_modes=card.input_modes,
            make_input=input,
            make_context=context,
            thread=thread,
            output=output,
            stream=stream,
            check_answer=check_answer,
            max_tasks=max_tasks,
        )
        self._settings = settings or Settings.load()
        set_up(card.name)
        check_registered(card.name, self._settings)
        ours = [_upload_extension(open_uploads(self._settings))]
        if thread != "task":
            ours.append(_conversation_extension(exclusive=thread == "context"))
        card = msgspec.structs.replace(card, extensions=[*card.extensions, *ours])
        self._given_log = log
        self._serving: Serving | None = None
        self._start_error: TailraceError | None = None
        self._until_idle: tuple[Callable[[], Awaitable[None]], ...] = ()
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        serve = partial(
            A2AServer, settings=self._settings, serving=self._open, answer=answer, extended_card=extended_card
        )
        if decide_owner is not None:
            own = serve(card, identify=identify_by_name(decide_owner))
        else:
            secured = msgspec.structs.replace(card, **_SECURED) if self._settings.run_secret else card
            own = serve(secured, identify=identify_by_header(self._settings.run_secret))
        # The second place is for an address that all agents are behind. It calls the agent by a name of its own.
        behind_others = Mount("/agents/{name}", routes=own.routes())
        self._app = Tracing(Starlette(routes=[*own.routes(), behind_others], lifespan=lambda _: self.opened()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with logged_units():
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if context := scope.get("aws.context"):
            now, left_s = asyncio.get_running_loop().time(), context.get_remaining_time_in_millis() / 1000
            deadline.of_process.set(deadline.process_deadline(self._settings, now, left_s))
            invoked_as.set(getattr(context, "invoked_function_arn", None) or None)
        await self._app(scope, receive, self._with_plain_failure(send) if scope["type"] == "lifespan" else send)
        if on_lambda():
            # The process freezes when this returns. So the runs and deliveries of this process have to end first.
            for until_idle in self._until_idle:
                await until_idle()
            await flush()

    def _with_plain_failure(self, send: Send) -> Send:
        """Replace the stack trace of a failed start with our error's text."""

        async def send_plainly(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and self._start_error is not None:
                message = {**message, "message": str(self._start_error)}
            await send(message)

        return send_plainly

    def in_memory(self, log: MemoryLog, owner: str) -> Self:
        """The same agent with `log`, with everything else but uploads in memory, and with all requests `owner`'s.

        `tailrace.testing` runs it.
        """
        return self._again(settings=replace(self._settings, log="memory"), log=log, decide_owner=lambda request: owner)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open what the app needs, and close it after the block. A server does this by the ASGI lifespan.

        Raises:
            TailraceError: the graph cannot be used, or a store cannot be opened.
        """
        forget_earlier_shutdown()
        try:
            await self._open()
        except TailraceError as error:
            self._start_error = error
            raise
        try:
            yield
        finally:
            await self._stack.aclose()
            await flush(last=True)

    async def _open(self) -> Serving:
        async with self._opening:
            if self._serving is None:
                registered(self._settings)  # begins to read it, while the stores are opened
                log = self._given_log or open_log(self._settings)
                if self._given_log is None:
                    self._stack.push_async_callback(log.close)
                graph = await self._compiled()
                memory = None if graph.store is not None else Memory(self._settings, self._card.name, self._stack)
                agent = self._agent_graph(graph, memory=memory)
                http = await self._stack.enter_async_context(new_http())
                dispatch = Dispatch(self._settings, http, self._card.name)
                self._stack.push_async_callback(dispatch.close)
                tasks = Tasks(log, self._settings, agent, http, dispatch, idempotent=self._idempotent)
                self._stack.push_async_callback(tasks.close)
                webhooks = open_webhooks(self._settings)
                deliveries = Deliveries(log, tasks.feeds, webhooks, self._settings, notification)
                self._stack.push_async_callback(deliveries.close)
                await read_registry(self._settings)
                self._until_idle = (tasks.until_idle, deliveries.until_idle)
                self._serving = Serving(tasks, Push(deliveries))
        return self._serving

    async def _compiled(self) -> Graph:
        graph = await graph_of(self._graph, self._card.name, self._config, self._stack)
        if self._store is not None:
            graph = graph.copy({"store": self._store})
        if graph.checkpointer is not None:
            return graph
        saver = await open_checkpointer(self._settings, self._card.name, self._stack, types_of(graph))
        return graph.copy({"checkpointer": saver})


# A card's fields that demand the run's secret (A2A specification, section 4.5).
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


def _upload_extension(uploads: Uploads) -> Extension:
    return Extension(
        uri=UPLOADS,
        description="A file part may refer to an upload in the store of this id instead of holding the content.",
        params={"store": uploads.id},
    )


def _conversation_extension(*, exclusive: bool) -> Extension:
    return Extension(
        uri=CONVERSATION,
        description="A task goes on from the state of its context's last completed task, or of the one that it names.",
        params={"exclusive": exclusive},
    )
