"""The suite's agent does what the suite's scenarios expect, so that the suite tests the server and not the agent."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tailrace.config import Settings
from tailrace.log.memory import MemoryLog
from tests.support.events import message, state_of
from tests.support.http import serve
from tests.support.jsonrpc import Agent
from tests.tck import agent as suite_agent

pytestmark = pytest.mark.asyncio(loop_scope="module")
DONE, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Agent]:
    app = suite_agent.tck_app(Settings(log="memory"))
    async with serve(app) as url, httpx.AsyncClient(timeout=60) as http:
        yield Agent(http, url, MemoryLog())


async def send(served: Agent, beginning: str, **fields: Any) -> dict[str, Any]:
    sent = message("TCK", messageId=f"{beginning}-abc", **fields)
    return dict(await served.result("SendMessage", {"message": sent}))


@pytest.mark.parametrize(
    ("beginning", "part"),
    [
        ("tck-complete-task", {"text": "Hello from TCK"}),
        ("tck-artifact-text", {"text": "Generated text content"}),
        ("tck-artifact-data", {"data": {"key": "value", "count": 42}}),
        ("tck-stream-001", {"text": "Stream hello from TCK"}),
        ("tck-stream-003", {"text": "Stream task lifecycle"}),
        ("tck-stream-ordering-001", {"text": "Ordered output"}),
        ("tck-stream-artifact-text", {"text": "Streamed text content"}),
        ("tck-stream-artifact-chunked", {"text": "chunk-1 chunk-2"}),
    ],
)
async def test_a_task_completes_with_the_content_that_its_message_id_selects(
    served: Agent, beginning: str, part: dict[str, Any]
) -> None:
    task = (await send(served, beginning))["task"]
    assert task["status"]["state"] == DONE
    assert [each["parts"] for each in task["artifacts"]] == [[part]]


@pytest.mark.parametrize("beginning", ["tck-artifact-file", "tck-artifact-file-url", "tck-stream-artifact-file"])
async def test_a_task_completes_with_a_file(served: Agent, beginning: str) -> None:
    ((part,),) = [each["parts"] for each in (await send(served, beginning))["task"]["artifacts"]]
    assert (part["filename"], part["mediaType"]) == ("output.txt", "text/plain")
    assert part.keys() - {"filename", "mediaType"} == {"url" if beginning.endswith("url") else "raw"}


async def test_a_message_id_selects_an_answer_a_rejection_or_a_question(served: Agent) -> None:
    assert (await send(served, "tck-message-response"))["message"]["parts"] == [{"text": "Direct message response"}]
    rejected = (await send(served, "tck-reject-task"))["task"]
    assert (state_of({"task": rejected}), rejected["status"]["message"]["parts"]) == (
        "TASK_STATE_REJECTED",
        [{"text": "rejected"}],
    )
    waiting = (await send(served, "tck-input-required"))["task"]
    for _ in range(2):
        again = (await send(served, "tck-input-required", taskId=waiting["id"]))["task"]
        assert (again["id"], again["status"]["state"]) == (waiting["id"], ASKED)
    done = (await send(served, "tck-complete-task", taskId=waiting["id"]))["task"]
    assert (done["id"], done["status"]["state"]) == (waiting["id"], DONE)


async def test_only_message_ids_of_the_suite_may_start_several_tasks(served: Agent) -> None:
    assert (await send(served, "tck-complete-task"))["task"]["id"] != (await send(served, "tck-complete-task"))["task"][
        "id"
    ]
    assert (await send(served, "mine"))["task"]["id"] == (await send(served, "mine"))["task"]["id"]


async def test_the_documented_command_starts_the_agent(tmp_path: Path, unused_tcp_port: int) -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "CONFORMANCE.md").read_text()
    (command,) = [line.split(": ", 1)[1] for line in page.splitlines() if line.startswith("tck-agent: ")]
    assert command == ".venv/bin/python -m tests.tck.agent"
    environ = {"PATH": "/usr/bin:/bin", "PORT": str(unused_tcp_port), "TAILRACE_DATA_DIR": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command.split()[1:]), cwd=root, env=environ, stderr=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60), httpx.AsyncClient() as http:
            while True:
                try:
                    card = await http.get(f"http://127.0.0.1:{unused_tcp_port}/.well-known/agent-card.json")
                    break
                except httpx.TransportError:
                    assert process.returncode is None
                    await asyncio.sleep(0.1)
    finally:
        process.terminate()
        await process.wait()
    assert card.json()["name"] == "tck"
