"""The gateway's pipe to an agent: how long it is open."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.app import create_app
from tailrace.config import Settings
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.conditions import eventually
from tests.support.gateway import Seen, header_owner
from tests.support.http import serve
from tests.support.in_process import system


def pipes_of(task_id: str) -> int:
    """Count the gateway's open pipes to a task, which it names after the task."""
    return sum(task.get_name() == f"pipe {task_id}" for task in asyncio.all_tasks())


async def test_on_lambda_a_pipe_closes_with_its_viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda freezes the process after the response: no pipe may stay open, and the run continues."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "gateway")
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path) as sut:
        task_id = await sut.post({"text": "hello"})
        pipes_while_viewed: list[int] = []

        def three_events(seen: Seen) -> bool:
            pipes_while_viewed.append(pipes_of(task_id))
            return len(seen.seqs) >= 3

        await sut.read(task_id, until=three_events)
        assert max(pipes_while_viewed) == 1
        await eventually(lambda: pipes_of(task_id) == 0, timeout_s=60)
        gate.open.set()
        assert (await sut.read(task_id)).state == "TASK_STATE_COMPLETED"


async def test_a_pipe_that_the_agent_closes_is_reopened_while_nobody_runs_the_task(
    tmp_path: Path,
) -> None:
    """An agent that shuts down closes its streams. Only a new pipe can make another process run the task."""
    subscribed = asyncio.Semaphore(0)

    async def shutting_down(_: Request) -> Response:
        subscribed.release()
        return Response(b"retry: 250\n\n", media_type="text/event-stream")

    agent = Starlette(routes=[Route("/", shutting_down, methods=["POST"])])
    async with serve(agent) as agent_url:
        settings = Settings(data_dir=str(tmp_path), orchestrator_url=f"{agent_url}/")
        app = create_app(settings, decide_owner=header_owner)
        async with serve(app) as url, httpx.AsyncClient(base_url=url, headers={"x-test-owner": "alice"}) as http:
            created = await http.post("/api/tasks", json={"message": {"parts": [{"text": "hello"}]}})
            assert created.status_code == 201
            async with asyncio.timeout(60):
                await subscribed.acquire()
                await subscribed.acquire()
