"""The official clients ask an agent at the gateway, with a machine's token, as they ask it at its own address."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers import get_artifact_text, new_text_message
from a2a.types.a2a_pb2 import GetTaskRequest, ListTasksRequest, Role, SendMessageRequest, TaskState

from tests.interop.cached import HERE, node_with, python_with
from tests.interop.steps import Steps, steps_of
from tests.sample_agents.hello_world import TEXT, hello_world
from tests.support.front_door import front_door


def assert_all_was_done(steps: Steps) -> None:
    assert steps["send"] == {"state": "completed", "artifacts": ["response", "findings"]}
    assert (steps["stream"]["states"][-1], steps["stream"]["report"]) == ("completed", TEXT)
    assert (steps["asked"]["states"][-1], steps["replied"]["states"][-1]) == ("input-required", "completed")
    assert steps["watched"]["states"][-1] == "completed"


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_the_python_client_of_1_0(binding: str) -> None:
    async with front_door(hello_world()) as door, httpx.AsyncClient(timeout=60) as http:
        card = await A2ACardResolver(http, door.url).get_agent_card()
        assert card.security_schemes["token"].http_auth_security_scheme.scheme.lower() == "bearer"
        http.headers.update(await door.bearer())
        client = ClientFactory(ClientConfig(httpx_client=http, supported_protocol_bindings=[binding])).create(card)
        message = new_text_message("hello", role=Role.ROLE_USER)
        events = [event async for event in client.send_message(SendMessageRequest(message=message))]
        assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
        task = await client.get_task(GetTaskRequest(id=events[-1].status_update.task_id))
        assert get_artifact_text(task.artifacts[0]) == TEXT
        assert [each.id for each in (await client.list_tasks(ListTasksRequest())).tasks] == [task.id]


async def test_the_python_client_of_0_3() -> None:
    python, gate = await asyncio.to_thread(python_with, HERE / "a2a-sdk-0.3.txt"), asyncio.Event()

    def watching(steps: Steps) -> None:
        if "watching" in steps and steps.get("begun", {}).get("id") not in (None, steps["replied"]["id"]):
            gate.set()

    async with front_door(hello_world(gate)) as door:
        client = Path(HERE / "sdk03" / "client.py")
        steps = await steps_of(python, client, door.url, on_step=watching, token=await door.token())
    assert (steps["card"]["url"], steps["schemes"]) == (f"{door.url}/", {"token": "http"})
    assert_all_was_done(steps)


@pytest.mark.parametrize("transport", ["HTTP+JSON", "0.3"])
async def test_the_javascript_client(transport: str) -> None:
    (node, folder), gate = await asyncio.to_thread(node_with, HERE / "js"), asyncio.Event()

    def watching(steps: Steps) -> None:
        if "watching" in steps:
            gate.set()

    async with front_door(hello_world(gate)) as door:
        token = await door.token()
        steps = await steps_of(node, "client.mjs", f"{door.url}/", transport, on_step=watching, cwd=folder, token=token)
    assert_all_was_done(steps)
