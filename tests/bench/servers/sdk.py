"""The peer: an agent on the official SDK's server (a2a-sdk), in its usual set-up.

Its message is a number: so many status updates with the message "tick" it sends, as our agent's `progress` does.
`BENCH_SDK_STORE` is `memory` (InMemoryTaskStore) or `sql` (the cluster store and its event stream, on SQLite).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from a2a.helpers import new_task_from_user_message, new_text_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.cluster import DatabaseTaskEventStream, VersionedDatabaseTaskStore
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, TaskState
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette


class Ticker(AgentExecutor):
    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message is not None
        task = new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        for number in range(int(context.get_user_input())):
            tick = new_text_message("tick", context_id=task.context_id, task_id=task.id)
            await updater.update_status(TaskState.TASK_STATE_WORKING, tick, metadata={"done": number})
            await asyncio.sleep(0)
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


def _app() -> Starlette:
    card = AgentCard(
        name="sdk",
        description="Ticks, on the SDK.",
        version="1",
        supported_interfaces=[
            AgentInterface(url="http://127.0.0.1/", protocol_binding="JSONRPC", protocol_version="1.0")
        ],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
    )
    store: Any = InMemoryTaskStore()
    stream = None
    if os.environ.get("BENCH_SDK_STORE") == "sql":
        path = Path(os.environ["TAILRACE_DATA_DIR"]) / "sdk.sqlite3"
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        store, stream = VersionedDatabaseTaskStore(engine), DatabaseTaskEventStream(engine)
    handler = DefaultRequestHandler(Ticker(), store, card, event_stream=stream)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if stream is not None:
            await store.initialize()
            await stream.initialize()
        yield

    routes = [*create_agent_card_routes(card), *create_jsonrpc_routes(handler, rpc_url="/")]
    return Starlette(routes=routes, lifespan=lifespan)


app = _app()
