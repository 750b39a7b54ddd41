"""A cancel at the gateway of a task whose worker is dead and whose agent cannot be reached."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from orchestrator import graph as orchestrator
from tailrace import AgentApp, AgentCard, Skill
from tailrace.config import Settings
from tailrace.log.sqlite import SQLiteLog
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.gateway import ALICE, header_owner
from tests.support.http import serve

LOGS = {"text": "2026-01-01T00:00:00Z ERROR disk full\n" * 5, "filename": "app.log"}


def agent_card(name: str) -> AgentCard:
    skill = Skill(id="s", name="Logs", description="Reads logs.", tags=["logs"])
    return AgentCard(name=name, description="For tests.", version="1", skills=[skill])


@pytest.mark.parametrize("lease_s", [0, 0.5], ids=["its lease is released", "its lease has to expire"])
async def test_a_cancel_without_the_agent_reaches_the_specialists_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lease_s: float
) -> None:
    orchestrator.http.cache_clear()  # Its connections belong to the event loop of another test.
    gates = {"one": Gate(), "two": Gate()}
    log = SQLiteLog(tmp_path / "log.sqlite3")
    async with asyncio.timeout(30), contextlib.AsyncExitStack() as serving:
        specialists = [
            AgentApp(waits_at_gate(gate), agent_card(name), settings=Settings(data_dir=str(tmp_path)))
            for name, gate in gates.items()
        ]
        urls = [await serving.enter_async_context(serve(app)) for app in specialists]
        monkeypatch.setenv("TAILRACE_SPECIALIST_URLS", ",".join(urls))
        monkeypatch.setenv("TAILRACE_AGENT_URLS", ",".join(urls))
        async with contextlib.AsyncExitStack() as worker:
            asks = AgentApp(
                orchestrator.builder,
                agent_card("orchestrator"),
                settings=Settings.load({"TAILRACE_DATA_DIR": str(tmp_path)}),
            )
            url = await worker.enter_async_context(serve(asks))
            settings = Settings(data_dir=str(tmp_path), orchestrator_url=f"{url}/", agent_urls=",".join(urls))
            app = create_app(settings, log=log, decide_owner=header_owner)
            gateway = await serving.enter_async_context(serve(app))
            http = await serving.enter_async_context(httpx.AsyncClient(base_url=gateway, headers=ALICE, timeout=20))
            created = await http.post("/api/tasks", json={"message": {"parts": [{"text": "what happened?"}, LOGS]}})
            task_id = created.json()["id"]
            await asyncio.gather(*(gate.reached.wait() for gate in gates.values()))
        heads = (await log.list(f"alice/{task_id}")).heads
        assert {head.agent: head.state for head in heads} == dict.fromkeys(gates, "TASK_STATE_WORKING")

        if lease_s:
            await log.claim(task_id, "a worker that was killed", lease_s)
        assert (await http.post(f"/api/tasks/{task_id}/cancel")).status_code == 202

        assert (await log.head(task_id)).state == "TASK_STATE_CANCELED"
        heads = (await log.list(f"alice/{task_id}")).heads
        assert {head.agent: head.state for head in heads} == dict.fromkeys(gates, "TASK_STATE_CANCELED")
        assert all(gate.cancelled for gate in gates.values())
    await orchestrator.http().aclose()
    orchestrator.http.cache_clear()
    await log.close()
