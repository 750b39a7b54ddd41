"""An agent on a2a-sdk 0.3's server: `python server.py`. It prints its URL, and repeats messages or asks first.

Runs in an environment of its own: 0.3 and 1.0 of the SDK have the same name.
"""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.apps import A2AStarletteApplication
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentSkill, DataPart, Part, TextPart
from a2a.utils import new_task


class Talker(AgentExecutor):
    async def execute(self, context: RequestContext, queue: EventQueue) -> None:
        task = context.current_task
        if task is None:
            task = new_task(context.message)
            await queue.enqueue_event(task)
        talk = TaskUpdater(queue, task.id, task.context_id)
        await talk.start_work(talk.new_agent_message([Part(root=TextPart(text="On it."))]))
        text = context.get_user_input()
        if text == "ask":
            await talk.requires_input(talk.new_agent_message([Part(root=TextPart(text="What?"))]), final=True)
            return
        while text == "wait":
            await asyncio.sleep(0.01)
        for place, word in enumerate(("You said ", text, ".")):
            await talk.add_artifact(
                [Part(root=TextPart(text=word))], artifact_id="response", name="response", append=place > 0
            )
        await talk.add_artifact([Part(root=DataPart(data={"findings": []}))], artifact_id="findings", name="findings")
        await talk.complete()

    async def cancel(self, context: RequestContext, queue: EventQueue) -> None:
        task = context.current_task
        assert task is not None
        await TaskUpdater(queue, task.id, task.context_id).cancel()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    card = AgentCard(
        name="old-talker",
        description="Speaks 0.3.",
        version="1",
        url=url,
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="talk", name="Talk", description="Talks.", tags=[])],
    )
    app = A2AStarletteApplication(card, DefaultRequestHandler(Talker(), InMemoryTaskStore())).build()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    print(url, flush=True)
    asyncio.run(server.serve(sockets=[listener]))


main()
