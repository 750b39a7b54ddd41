"""A cancel at the gateway of a task whose worker is dead, and whose agent cannot be reached or does not answer."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.app import create_app
from orchestrator import graph as orchestrator
from tailrace import AgentApp, AgentCard, Skill
from tailrace.a2a.errors import RpcError
from tailrace.agent.service import Tasks
from tailrace.config import Settings
from tailrace.log.memory import MemoryLog
from tailrace.log.sqlite import SQLiteLog
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.conditions import eventually
from tests.support.gateway import ALICE, header_owner, post_task, read_stream
from tests.support.http import serve
from tests.support.in_process import system

LOGS = {"text": "2026-01-01T00:00:00Z ERROR disk full\n" * 5, "filename": "app.log"}


def agent_card(name: str) -> AgentCard:
    skill = Skill(id="s", name="Logs", description="Reads logs.", tags=["logs"])
    return AgentCard(name=name, description="For tests.", version="1", skills=[skill])


@pytest.mark.parametrize("lease_s", [0, 0.5], ids=["its lease is released", "its lease has to expire"])
async def test_a_cancel_without_the_agent_reaches_the_specialists_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lease_s: float
) -> None:
    gates = {"one": Gate(), "two": Gate()}
    log = SQLiteLog(tmp_path / "log.sqlite3")
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as serving:
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
                settings=replace(Settings.load(), data_dir=str(tmp_path)),
            )
            url = await worker.enter_async_context(serve(asks))
            settings = Settings(data_dir=str(tmp_path), orchestrator_url=f"{url}/", agent_urls=",".join(urls))
            app = create_app(settings, log=log, decide_owner=header_owner)
            gateway = await serving.enter_async_context(serve(app))
            http = await serving.enter_async_context(httpx.AsyncClient(base_url=gateway, headers=ALICE, timeout=60))
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
    await log.close()


@pytest.mark.parametrize("lease_s", [0, 0.5], ids=["nobody holds its lease", "its worker hangs too"])
async def test_a_cancel_ends_the_task_although_its_agent_does_not_answer(lease_s: float) -> None:
    continues = asyncio.Event()

    async def hang(_: Request) -> Response:
        await continues.wait()
        return Response(status_code=503)

    log = MemoryLog()
    async with asyncio.timeout(60), serve(Starlette(routes=[Route("/", hang, methods=["POST"])])) as url:
        settings = Settings(orchestrator_url=f"{url}/", lease_s=1, renew_s=0.2)
        async with (
            serve(create_app(settings, log=log, decide_owner=header_owner)) as gateway,
            httpx.AsyncClient(base_url=gateway, headers=ALICE, timeout=60) as http,
        ):
            task_id = await post_task(http, {"text": "what happened?"})
            if lease_s:
                await log.claim(task_id, "a worker that hangs", lease_s)
            reading = asyncio.create_task(read_stream(http, task_id))
            assert (await http.post(f"/api/tasks/{task_id}/cancel")).status_code == 202
            assert (await reading).state == "TASK_STATE_CANCELED"
            assert (await http.get(f"/api/tasks/{task_id}")).json()["status"]["state"] == "TASK_STATE_CANCELED"
            assert (await http.post(f"/api/tasks/{task_id}/cancel")).status_code == 409
            continues.set()


async def test_a_cancel_is_accepted_although_the_worker_sees_it_before_its_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel = Tasks.cancel

    async def cancel_late(self: Tasks, task_id: str, owner: str) -> None:
        async def is_canceled() -> bool:
            return (await self.log.head(task_id)).state == "TASK_STATE_CANCELED"

        await eventually(is_canceled)
        with pytest.raises(RpcError, match="TASK_STATE_CANCELED") as refused:
            await cancel(self, task_id, owner)
        raise refused.value

    monkeypatch.setattr(Tasks, "cancel", cancel_late)
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path, lease_s=2, renew_s=0.1) as sut:
        task_id = await sut.post({"text": "hello"})
        await gate.reached.wait()
        assert (await sut.http.post(f"/api/tasks/{task_id}/cancel")).status_code == 202
        assert (await sut.read(task_id)).state == "TASK_STATE_CANCELED"
