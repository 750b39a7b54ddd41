"""The vocabulary of the scenarios on the official SDK's server (a2a-sdk): `python -m tests.resume.sdk_server PORT`.

It shows what `python -m tailrace.conformance` says of a server without the extension.
"""

from __future__ import annotations

import argparse
import asyncio

import uvicorn
from a2a.helpers import new_data_part, new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, TaskState
from starlette.applications import Starlette


class Vocabulary(AgentExecutor):
    """Does what the text of a request says. Gates are in memory, as there is one process."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}
        self._done: dict[str, int] = {}
        self._speaking: set[str] = set()

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message is not None
        task, reply = context.current_task, context.get_user_input()
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        text = "".join(part.text for part in task.history[0].parts)
        commands = [each.strip() for each in text.replace("&", ";").split(";")]
        at = self._done.get(task.id, 0)
        if at:
            await self._say(updater, f"<{reply}>")
        for number, command in enumerate(commands[at:], at):
            word, _, rest = command.partition(" ")
            self._done[task.id] = number + 1
            if word.isdigit():
                for count in range(int(word)):
                    await updater.update_status(
                        TaskState.TASK_STATE_WORKING, new_text_message(f"event {count + 1}", context_id=task.context_id)
                    )
            elif word == "say":
                await self._say(updater, rest)
            elif word == "result":
                await updater.add_artifact([new_data_part({"findings": []})], artifact_id="findings", name="findings")
            elif word == "rest":
                await asyncio.sleep(int(rest) / 1000)
            elif word == "hold":
                await self._gate(rest).wait()
            elif word == "open":
                self._gate(rest).set()
            elif word == "ask":
                return await updater.requires_input(new_text_message(rest, context_id=task.context_id))
            elif word == "fail":
                return await updater.failed()
            else:
                return await updater.reject()
        return await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None
        assert context.context_id is not None
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    def _gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    async def _say(self, updater: TaskUpdater, text: str) -> None:
        begun = updater.task_id in self._speaking
        self._speaking.add(updater.task_id)
        await updater.add_artifact([new_text_part(text)], artifact_id="response", name="response", append=begun)


def app(url: str) -> Starlette:
    """The server at `url`."""
    card = AgentCard(
        name="vocabulary",
        description="Does what the scenarios say, on the SDK.",
        version="1",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="say", name="Say", description="Says it.", tags=["test"])],
    )
    handler = DefaultRequestHandler(agent_executor=Vocabulary(), task_store=InMemoryTaskStore(), agent_card=card)
    return Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, rpc_url="/")])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.resume.sdk_server", description=__doc__)
    parser.add_argument("port", type=int)
    port = parser.parse_args().port
    uvicorn.run(app(f"http://127.0.0.1:{port}/"), host="127.0.0.1", port=port, log_level="warning")
