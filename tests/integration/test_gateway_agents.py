"""A browser hands a task to any agent of the bundle, and sees the names of all."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from gateway.app import create_app
from local.functions import Function, listen
from local.stand_in import StandIn
from tailrace import AgentApp, AgentCard, write
from tailrace.config import Settings
from tailrace.log.sqlite import SQLiteLog
from tests.support.gateway import ALICE, System, header_owner
from tests.support.http import serve


def app(name: str, settings: Settings) -> AgentApp:
    """An agent that asks for a name, and says hello to it."""

    async def greet(state: MessagesState) -> None:
        write(f"{name} says hello to {interrupt('To whom?')}.")

    graph = StateGraph(MessagesState).add_node(greet).add_edge(START, "greet")
    return AgentApp(graph, AgentCard(name=name, description="", version="1", skills=[]), settings=settings)


@contextlib.asynccontextmanager
async def bundle(folder: Path) -> AsyncIterator[System]:
    """A gateway with the orchestrator and a greeter behind it."""
    settings, log = Settings(data_dir=str(folder)), SQLiteLog(folder / "log.sqlite3")
    async with contextlib.AsyncExitStack() as serving:
        default, greeter = [
            await serving.enter_async_context(serve(app(name, settings))) for name in ("orchestrator", "greeter")
        ]
        prices = '{"a model": {"input": 1.25, "output": 10}}'
        settings = replace(settings, orchestrator_url=default, agent_urls=greeter, model_prices=prices)
        url = await serving.enter_async_context(serve(create_app(settings, log=log, decide_owner=header_owner)))
        http = await serving.enter_async_context(httpx.AsyncClient(base_url=url, headers=ALICE, timeout=60))
        yield System(url, log, http)
    await log.close()


async def test_a_task_goes_to_the_agent_that_the_request_names(tmp_path: Path) -> None:
    async with bundle(tmp_path) as sut:
        listed = (await sut.http.get("/api/agents")).json()
        assert [agent["name"] for agent in listed["agents"]] == ["orchestrator", "greeter"]
        assert listed["prices"] == {"a model": {"input": 1.25, "output": 10}}
        for body, name in (({}, "orchestrator"), ({"agent": "greeter"}, "greeter"), ({"agent": None}, "orchestrator")):
            created = await sut.http.post("/api/tasks", json={"message": {"parts": [{"text": "hi"}]}, **body})
            assert created.status_code == 201, created.text
            task = created.json()["id"]
            assert (await sut.log.head(task)).agent == name
            assert (await sut.read(task)).state == "TASK_STATE_INPUT_REQUIRED"
            reply = {"message": {"parts": [{"text": "Ada"}]}}
            assert (await sut.http.post(f"/api/tasks/{task}/messages", json=reply)).status_code == 202
            assert (await sut.read(task)).state == "TASK_STATE_COMPLETED"
            [artifact] = (await sut.http.get(f"/api/tasks/{task}")).json()["artifacts"]
            assert artifact["parts"] == [{"text": f"{name} says hello to Ada."}]


async def test_a_task_of_a_named_agent_can_be_cancelled(tmp_path: Path) -> None:
    async with bundle(tmp_path) as sut:
        body = {"message": {"parts": [{"text": "hi"}]}, "agent": "greeter"}
        task = (await sut.http.post("/api/tasks", json=body)).json()["id"]
        await sut.read(task)
        assert (await sut.http.post(f"/api/tasks/{task}/cancel")).status_code == 202
        assert (await sut.read(task)).state == "TASK_STATE_CANCELED"


async def test_an_unknown_agent_is_refused_with_the_names(tmp_path: Path) -> None:
    async with bundle(tmp_path) as sut:
        body = {"message": {"parts": [{"text": "hi"}]}, "agent": "nobody"}
        refused = await sut.http.post("/api/tasks", json=body)
        assert refused.status_code == 400
        assert "agent has value 'nobody', but must be one of 'orchestrator', 'greeter'." in refused.text
        assert (await sut.http.get("/api/tasks")).json()["tasks"] == []


async def test_why_an_agent_of_this_machine_does_not_run_is_told_to_who_asks_for_it(tmp_path: Path) -> None:
    why = "slow installs functions/slow/requirements.txt. This may take some minutes."
    with listen(0) as listener:
        stand_in, url = StandIn(listener), Function("slow", listener).url
        settings = Settings(log="memory", specialist_urls=url, agent_urls=url, dispatch=f"slow={url}")
        await stand_in.begin(why)
        async with (
            serve(create_app(settings, decide_owner=header_owner)) as gateway,
            httpx.AsyncClient(base_url=gateway, headers=ALICE, timeout=60) as http,
        ):
            _, slow = (await http.get("/api/agents")).json()["agents"]
            refused = await http.post("/api/tasks", json={"message": {"parts": [{"text": "hi"}]}, "agent": "slow"})
        await stand_in.stop()
    assert slow == {"name": "slow", "error": why}
    assert (refused.status_code, refused.json()["detail"]) == (503, why)
