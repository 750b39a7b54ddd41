"""LangGraph's own server (langgraph-api) as an agent that our client asks, and as a specialist of our orchestrator.

It speaks A2A 1.0 without SubscribeToTask, and has one card per assistant, which the query selects.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from orchestrator import graph as orchestrator
from tailrace.a2a.client import AgentClient, new_http
from tailrace.a2a.discovery import discover, interface_of
from tailrace.a2a.remote_task import RemoteTask
from tailrace.client import AsyncClient
from tailrace.config import Settings
from tailrace.events import EXTENSION
from tests.interop.cached import HERE, python_with
from tests.support.events import message
from tests.support.in_process import system
from tests.support.processes import reserved_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

_READY_S = 300
LOGS = {"text": "2026-01-01T00:00:00Z ERROR disk full\n" * 5, "filename": "app.log"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def card_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of the card of the server's assistant."""
    python, folder = python_with(HERE / "langgraph-api.txt"), tmp_path_factory.mktemp("langgraph-api")
    with reserved_port() as port:
        process = await asyncio.create_subprocess_exec(
            *(python, HERE / "langgraph" / "server.py", str(port)),
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            async with asyncio.timeout(_READY_S), httpx.AsyncClient(base_url=url) as http:
                while True:
                    assert process.returncode is None, "the server ended"
                    with contextlib.suppress(httpx.TransportError):
                        search = await http.post("/assistants/search", json={})
                        if search.status_code == 200 and search.json():
                            break
                    await asyncio.sleep(0.1)
            yield f"{url}/.well-known/agent-card.json?assistant_id={search.json()[0]['assistant_id']}"
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def test_our_client_gets_the_complete_answer(card_url: str) -> None:
    async with new_http() as http:
        settings = Settings(specialist_urls=card_url)
        place = interface_of(await discover(http, card_url, settings), settings)
        client = AgentClient(http, place, owner="me", settings=settings)
        remote_task = RemoteTask(client, message("hello"))
        async with asyncio.timeout(60):
            events = [item async for item in remote_task.events()]
            async with AsyncClient(card_url) as talking:
                told = [event async for event in talking.stream(await talking.send("hello"))]
    assert events
    assert told[-1].ended
    assert "You said hello." in [event.text for event in told] + [event.task.text for event in told if event.task]
    assert remote_task.task is not None
    assert remote_task.task.status.state == "TASK_STATE_COMPLETED"
    (artifact,) = remote_task.task.artifacts
    assert "".join(part.text or "" for part in artifact.parts) == "You said hello."


async def test_our_orchestrator_uses_it_as_a_specialist(
    card_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_SPECIALIST_URLS", card_url)
    async with system(orchestrator.builder, tmp_path) as sut:
        task_id = await sut.post({"text": "what happened?"}, LOGS)
        seen = await sut.read(task_id)
    assert seen.state == "TASK_STATE_COMPLETED"
    details = [next(iter(event.values()))["metadata"][EXTENSION] for event in seen.events]
    calls = [each for each in details if each.get("name") == "ask logs_talker"]
    assert [each["kind"] for each in calls] == ["tool_start", "tool_complete"]
    assert "error" not in calls[-1]
