"""a2a-sdk 0.3's client drives the agent at a URL: `python client.py URL`. Each step prints its result as JSON.

Runs in an environment of its own: 0.3 and 1.0 of the SDK have the same name.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientJSONRPCError
from a2a.types import GetTaskPushNotificationConfigParams as Named
from a2a.types import (
    Message,
    Part,
    PushNotificationAuthenticationInfo,
    PushNotificationConfig,
    Role,
    TaskIdParams,
    TaskPushNotificationConfig,
    TaskQueryParams,
    TextPart,
)


def tell(step: str, **what: Any) -> None:
    print(json.dumps({"step": step, **what}), flush=True)


def asking(text: str, **fields: Any) -> Message:
    return Message(role=Role.user, parts=[Part(root=TextPart(text=text))], message_id=str(uuid.uuid4()), **fields)


async def read(events: AsyncIterator[Any]) -> dict[str, Any]:
    summary: dict[str, Any] = {"events": 0, "states": [], "report": "", "id": ""}
    async for task, update in events:
        summary["events"] += 1
        summary["id"] = task.id
        summary["states"].append((update or task).status.state.value if hasattr(update or task, "status") else None)
        if update is not None and update.kind == "artifact-update" and update.artifact.name == "response":
            text = "".join(part.root.text for part in update.artifact.parts)
            summary["report"] = summary["report"] + text if update.append else text
        yield_now = summary["events"] == 1
        if yield_now:
            tell("begun", id=task.id)
    return summary


async def main(url: str) -> None:
    async with httpx.AsyncClient(timeout=60) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        schemes = {name: scheme.root.type for name, scheme in (card.security_schemes or {}).items()}
        tell("card", name=card.name, version=card.protocol_version, url=card.url)
        tell("schemes", **schemes)
        if token := os.environ.get("TOKEN"):  # cards need none
            http.headers["Authorization"] = f"Bearer {token}"
        client = ClientFactory(ClientConfig(httpx_client=http)).create(card)
        polling = ClientFactory(ClientConfig(httpx_client=http, streaming=False, polling=True)).create(card)
        waiting = ClientFactory(ClientConfig(httpx_client=http, streaming=False)).create(card)

        (task, _), *_ = [each async for each in waiting.send_message(asking("hello"))]
        tell("send", state=task.status.state.value, artifacts=[each.name for each in task.artifacts])
        tell("stream", **await read(client.send_message(asking("hello"))))
        question = await read(client.send_message(asking("ask")))
        tell("asked", **question)
        tell("replied", **await read(client.send_message(asking("payments", task_id=question["id"]))))

        (begun, _), *_ = [each async for each in polling.send_message(asking("slow"))]
        tell("polled", state=(await client.get_task(TaskQueryParams(id=begun.id))).status.state.value)
        tell("watching")
        tell("watched", **await read(client.resubscribe(TaskIdParams(id=begun.id))))

        (waits, _), *_ = [each async for each in waiting.send_message(asking("ask"))]
        tell("canceled", state=(await client.cancel_task(TaskIdParams(id=waits.id))).status.state.value)

        config = PushNotificationConfig(
            id="mine",
            url="https://example.com/",
            token="t",
            authentication=PushNotificationAuthenticationInfo(schemes=["Bearer"], credentials="c"),
        )
        made = TaskPushNotificationConfig(task_id=waits.id, push_notification_config=config)
        same = await client.set_task_callback(made) == made
        got = await client.get_task_callback(Named(id=waits.id, push_notification_config_id="mine"))
        tell("push", same=same and got == made)
        for step, act in (
            ("unknown", client.get_task(TaskQueryParams(id="no-such-task"))),
            ("finished", client.cancel_task(TaskIdParams(id=waits.id))),
        ):
            try:
                await act
                tell(step, code=None)
            except A2AClientJSONRPCError as error:
                tell(step, code=error.error.code)


asyncio.run(main(sys.argv[1]))
