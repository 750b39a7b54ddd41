"""The agent in ten lines in the README works as the README says."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.graph import END, START, MessagesState, StateGraph

from local.functions import specialists
from tailrace import AgentApp
from tailrace.config import Settings
from tests.support.events import message, metadata
from tests.support.http import serve
from tests.support.jsonrpc import rpc
from tests.support.orchestrated import orchestrated
from tests.support.processes import ROOT
from tests.support.shipped_agents import card_of

SHIPPED = [card_of("log_analyst"), card_of("metric_analyst")]


CODE, TEST = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def greeter() -> AgentApp:
    """Execute the code in the README; return its app."""
    module = types.ModuleType("greeter.handler")
    exec(CODE, module.__dict__)
    app: AgentApp = module.app
    return app


async def test_the_agent_in_the_readme_runs_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_DATA_DIR", str(tmp_path))
    async with serve(greeter()) as url, httpx.AsyncClient(headers={"A2A-Version": "1.0"}) as http:
        call = rpc("SendMessage", {"message": message("Ada")})
        task = (await http.post(url, json=call)).json()["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["artifacts"][0]["parts"] == [{"text": "Hello, Ada!"}]


async def test_the_test_in_the_readme_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = types.ModuleType("greeter.handler")
    exec(CODE, handler.__dict__)
    monkeypatch.setitem(sys.modules, "greeter", types.ModuleType("greeter"))
    monkeypatch.setitem(sys.modules, "greeter.handler", handler)
    names: dict[str, Any] = {}
    exec(TEST, names)
    await names["test_ada_is_greeted"]()


async def test_the_agent_in_the_readme_answers_a_greeting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The analysts beside it are not asked, and its answer is the answer."""
    monkeypatch.setenv("TAILRACE_DATA_DIR", str(tmp_path))
    settings = Settings(data_dir=str(tmp_path))
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(MessagesState).add_edge(START, END)
    analysts = [AgentApp(graph, card, settings=settings) for card in SHIPPED]
    async with orchestrated(tmp_path, monkeypatch, *analysts, greeter()) as sut:
        task_id = await sut.post({"text": "say hello"})
        seen = await sut.read(task_id)
        artifacts = (await sut.http.get(f"/api/tasks/{task_id}")).json()["artifacts"]
    assert seen.state == "TASK_STATE_COMPLETED"
    [response] = [artifact["parts"] for artifact in artifacts if artifact["name"] == "response"]
    assert response == [{"text": "Hello, say hello!"}]
    [route] = [metadata(event) for event in seen.events if metadata(event)["kind"] == "route"]
    assert route["targets"] == [{"agent": "greeter", "reason": "the request mentions hello"}]


def test_a_new_agent_needs_only_a_folder() -> None:
    assert specialists() == ["log_analyst", "metric_analyst"]
