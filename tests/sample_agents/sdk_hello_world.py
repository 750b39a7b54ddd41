"""The agent of hello_world.py on the server of the official SDK (a2a-sdk).

Words in the message change what it does: with `slow` it waits for the gate in the middle, with `ask` it asks a
question, with `fail` the task fails, with `refuse` it refuses the message, with `message` it replies without a task.
"""

from __future__ import annotations

import asyncio
from typing import Any

from a2a.helpers import new_data_part, new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, TaskState
from a2a.utils.errors import UnsupportedOperationError
from starlette.applications import Starlette


class HelloWorldExecutor(AgentExecutor):
    def __init__(self, gate: asyncio.Event) -> None:
        self._gate = gate
        self.executions = 0

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.executions += 1
        words = context.get_user_input().split()
        assert context.message is not None
        if "refuse" in words:
            raise UnsupportedOperationError(message="This agent does not do that.")
        if "message" in words:
            return await event_queue.enqueue_event(new_text_message("Just this.", context_id=context.context_id))
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        if context.current_task is None:
            await updater.start_work(new_text_message("Half of it."))
            await updater.add_artifact([new_text_part("Hello, ")], artifact_id="response", name="response")
        if "slow" in words:
            await self._gate.wait()
        if "ask" in words:
            return await updater.requires_input(new_text_message("Which service?"))
        if "fail" in words:
            return await updater.failed(new_text_message("It broke."))
        await updater.add_artifact([new_text_part("world.")], artifact_id="response", name="response", append=True)
        await updater.add_artifact([new_data_part({"findings": []})], artifact_id="findings", name="findings")
        return await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None
        assert context.context_id is not None
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.update_status(TaskState.TASK_STATE_CANCELED)


def sdk_hello_world(executor: HelloWorldExecutor, url: str = "http://127.0.0.1/") -> Any:
    """Build the ASGI app."""
    skill = AgentSkill(id="talk", name="Talk", description="Says hello.", tags=["test"])
    card = AgentCard(
        name="sdk-hello-world",
        description="Says hello, on the SDK.",
        version="1",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[skill],
    )
    handler = DefaultRequestHandler(agent_executor=executor, task_store=InMemoryTaskStore(), agent_card=card)
    return Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, rpc_url="/")])
