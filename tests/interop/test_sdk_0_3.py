"""a2a-sdk 0.3.26: its client drives our agent, and our client drives an agent on its server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tailrace.a2a import client as our_client
from tailrace.a2a.client import AgentClient, new_http
from tailrace.a2a.discovery import discover, interface_of
from tailrace.a2a.remote_task import RemoteTask
from tailrace.a2a.types import to_json
from tailrace.config import Settings
from tests.interop.cached import HERE, python_with
from tests.interop.steps import Steps, steps_of
from tests.sample_agents.hello_world import TEXT, hello_world
from tests.support.events import message
from tests.support.in_process import agent


@pytest.fixture(scope="session")
def python() -> Path:
    return python_with(HERE / "a2a-sdk-0.3.txt")


async def test_the_0_3_client_drives_our_agent(python: Path) -> None:
    gate = asyncio.Event()

    def watching(steps: Steps) -> None:
        if "watching" in steps and steps.get("begun", {}).get("id") not in (None, steps["replied"]["id"]):
            gate.set()

    async with agent(hello_world(gate)) as served:
        steps = await steps_of(python, HERE / "sdk03" / "client.py", served.url, on_step=watching)
        assert steps["card"] == {"name": "hello_world", "version": "0.3.0", "url": served.url + "/"}
    assert steps["send"] == {"state": "completed", "artifacts": ["response", "findings"]}
    assert (steps["stream"]["states"][-1], steps["stream"]["report"]) == ("completed", TEXT)
    assert steps["asked"]["states"][-1] == "input-required"
    assert steps["replied"]["states"][-1] == "completed"
    assert steps["replied"]["id"] == steps["asked"]["id"]
    assert steps["polled"]["state"] in ("submitted", "working")
    assert steps["watched"]["states"][-1] == "completed"
    assert steps["canceled"]["state"] == "canceled"
    assert steps["push"]["same"]
    assert (steps["unknown"]["code"], steps["finished"]["code"]) == (-32001, -32002)


@contextlib.asynccontextmanager
async def agent_v0_3(python: Path) -> AsyncIterator[str]:
    """Run an agent that speaks only 0.3; yield its URL."""
    process = await asyncio.create_subprocess_exec(
        *(python, HERE / "sdk03" / "server.py"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def test_our_client_speaks_0_3_to_its_agent_and_yields_1_0_events(python: Path) -> None:
    async with agent_v0_3(python) as url, new_http() as http:
        settings = Settings(specialist_urls=url)
        assert interface_of(await discover(http, url, settings), settings) == url
        client = AgentClient(http, url, owner="me", settings=settings)
        remote_task = RemoteTask(client, message("hello"))
        events = [to_json(item.event) async for item in remote_task.events()]
        assert url in our_client.v0_3_urls
        assert [next(iter(event)) for event in events[:2]] == ["task", "statusUpdate"]
        assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
        report, findings = to_json(remote_task.task)["artifacts"]
        assert "".join(part["text"] for part in report["parts"]) == "You said hello."
        assert findings["parts"] == [{"data": {"findings": []}}]

        question = RemoteTask(client, message("ask"))
        asking = [to_json(item.event) async for item in question.events()]
        assert asking[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        assert asking[-1]["statusUpdate"]["status"]["message"]["parts"] == [{"text": "What?"}]
        reply = RemoteTask(client, message("logs", taskId=question.task_id, contextId=question.task.context_id))
        assert [item async for item in reply.events()]
        assert reply.task.status.state == "TASK_STATE_COMPLETED"


async def test_our_client_cancels_a_task_of_its_agent(python: Path) -> None:
    async with agent_v0_3(python) as url, new_http() as http:
        client = AgentClient(http, url, owner="me", settings=Settings(specialist_urls=url))
        remote_task = RemoteTask(client, message("wait"))
        async with contextlib.aclosing(remote_task.events()) as events:
            await anext(events)
            canceled = await client.call("CancelTask", {"id": remote_task.task_id})
            assert canceled["status"]["state"] == "TASK_STATE_CANCELED"
            # Its stream stays open without an event, so GetTask is called.
            assert (await client.call("GetTask", {"id": remote_task.task_id}))["status"] == canceled["status"]
