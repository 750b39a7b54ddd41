"""A server that starts in a process in which a signal has stopped another one, for example in a notebook."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from sse_starlette.sse import AppStatus

from gateway.app import create_app
from tailrace import AgentApp
from tailrace.config import Settings
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.events import message, state_of
from tests.support.gateway import ALICE, header_owner, post_task, read_stream
from tests.support.http import serve
from tests.support.in_process import CARD, agent


def stop_by_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what a server leaves behind that a signal has stopped."""
    monkeypatch.setattr(AppStatus, "should_exit", True)


async def test_the_streams_of_a_later_agent_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_by_signal(monkeypatch)
    gate = Gate()
    async with agent(waits_at_gate(gate)) as later:
        reading = asyncio.create_task(later.frames("SendStreamingMessage", {"message": message("hello")}))
        await gate.reached.wait()
        gate.open.set()
        assert state_of((await reading)[-1].result) == "TASK_STATE_COMPLETED"


async def test_the_streams_of_a_later_gateway_flow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gate, settings = Gate(), Settings(data_dir=str(tmp_path))
    async with asyncio.timeout(60), serve(AgentApp(waits_at_gate(gate), CARD, settings=settings)) as agent_url:
        stop_by_signal(monkeypatch)
        later = create_app(
            Settings(data_dir=str(tmp_path), orchestrator=CARD.name, orchestrator_url=f"{agent_url}/"),
            decide_owner=header_owner,
        )
        async with serve(later) as url, httpx.AsyncClient(base_url=url, headers=ALICE, timeout=60) as http:
            task_id = await post_task(http, {"text": "hello"})
            reading = asyncio.create_task(read_stream(http, task_id))
            await gate.reached.wait()
            gate.open.set()
            assert (await reading).state == "TASK_STATE_COMPLETED"
