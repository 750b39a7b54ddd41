"""`make run` starts an agent anew when its author saves a file: at the same address, and its runs go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.checkout import ANALYSTS, LocalRun, checkout, running
from tests.support.conditions import eventually

AGENT = """
import asyncio, pathlib
from langgraph.graph import START, MessagesState, StateGraph
from tailrace import AgentApp, AgentCard, write
FOLDER = pathlib.Path(__file__).parent

async def first(state: MessagesState) -> None:
    with (FOLDER / "firsts.log").open("a") as runs:
        runs.write("x")

async def wait(state: MessagesState) -> None:
    (FOLDER / "waiting.log").touch()
    while state["messages"][-1].text == "wait" and not (FOLDER / "gate.log").exists():
        await asyncio.sleep(0.01)

async def last(state: MessagesState) -> None:
    write((FOLDER / "prompt.md").read_text() + " by version 1")

graph = StateGraph(MessagesState).add_sequence([first, wait, last]).add_edge(START, "first")
app = AgentApp(graph, AgentCard(name="watched", description="For tests.", version="1", skills=[]))
"""
SECOND = (1_700_000_000, 1_700_000_000)
pytestmark = pytest.mark.slow


async def begin(http: httpx.AsyncClient, text: str) -> str:
    created = await http.post("/api/tasks", json={"message": {"parts": [{"text": text}]}})
    return str(created.json()["id"])


async def answer(http: httpx.AsyncClient, task_id: str) -> str:
    await http.get(f"/api/stream/{task_id}")  # ends with the task
    task: dict[str, Any] = (await http.get(f"/api/tasks/{task_id}")).json()
    assert task["status"]["state"] == "TASK_STATE_COMPLETED", task
    return str(task["artifacts"][0]["parts"][0]["text"])


async def save(run: LocalRun, path: Path, text: str) -> None:
    """Save a file as editors do, and wait until the agent answers again. All its versions are of the same second."""
    new = path.with_name(f"{path.name}~")
    new.write_text(text)
    os.utime(new, SECOND)
    new.replace(path)
    run.printed.clear()
    await run.until("watched has changed and is started anew.")
    await run.until("watched answers now.")


async def test_a_saved_file_reaches_the_next_run_and_the_run_that_is_under_way(tmp_path: Path) -> None:
    folder = checkout(tmp_path, ANALYSTS, watched=AGENT)
    agent = folder / "functions" / "watched"
    (agent / "prompt.md").write_text("Hello")
    os.utime(agent / "handler.py", SECOND)
    # The new process is asked to go on by the sweeper.
    variables = {"TAILRACE_ORCHESTRATOR": "watched", "TAILRACE_SWEEP_S": "0.2"}
    async with running(folder, **variables) as run, run.client() as http:
        before = (await http.get("/api/agents")).json()["agents"]
        assert await answer(http, await begin(http, "go")) == "Hello by version 1"
        (agent / "waiting.log").unlink()
        under_way = await begin(http, "wait")
        await eventually((agent / "waiting.log").exists)

        await save(run, agent / "handler.py", AGENT.replace("version 1", "version 2"))
        (agent / "gate.log").touch()
        assert await answer(http, under_way) == "Hello by version 2"
        # The new process went on from the checkpoint: `first` did not run again.
        assert (agent / "firsts.log").read_text() == "xx"

        await save(run, agent / "prompt.md", "Good day")
        assert await answer(http, await begin(http, "go")) == "Good day by version 2"
        after = (await http.get("/api/agents")).json()["agents"]
        assert [each.get("url") for each in after] == [each.get("url") for each in before]


async def test_an_error_is_shown_at_each_save_until_a_save_heals_it(tmp_path: Path) -> None:
    folder = checkout(tmp_path, ANALYSTS, watched=AGENT)
    handler = folder / "functions" / "watched" / "handler.py"
    (handler.parent / "prompt.md").write_text("Hello")
    async with running(folder, TAILRACE_ORCHESTRATOR="watched") as run, run.client() as http:
        for _ in range(2):
            run.printed.clear()
            handler.write_text("def answer(:\n")
            await run.until("SyntaxError")
        refused = await http.post("/api/tasks", json={"message": {"parts": [{"text": "go"}]}})
        handler.write_text(AGENT)
        await run.until("watched answers now.")
        assert await answer(http, await begin(http, "go")) == "Hello by version 1"
        if refused.status_code == 201:  # it was accepted, and waited for its agent
            assert await answer(http, refused.json()["id"]) == "Hello by version 1"


async def test_output_of_an_agent_does_not_restart_it(tmp_path: Path) -> None:
    folder = checkout(tmp_path, ANALYSTS, watched=AGENT)
    agent = folder / "functions" / "watched"
    (agent / "prompt.md").write_text("Hello")
    async with running(folder, TAILRACE_ORCHESTRATOR="watched") as run, run.client() as http:
        await answer(http, await begin(http, "go"))  # writes into its folder
        (agent / "__pycache__").mkdir(exist_ok=True)
        (agent / "__pycache__" / "cached.py").touch()
        await save(run, agent / "handler.py", AGENT)
        run.process.send_signal(signal.SIGINT)
        with pytest.raises(AssertionError):
            await run.until("never printed")
        assert run.text.count("is started anew") == 1


async def test_who_adds_an_agent_is_told_to_start_again(tmp_path: Path) -> None:
    folder = checkout(tmp_path, ANALYSTS, watched=AGENT)
    async with running(folder, TAILRACE_ORCHESTRATOR="watched") as run:
        await run.until("http://")
        for name in ("a_package", "newcomer"):
            (folder / "functions" / name).mkdir()
            (folder / "functions" / name / "prompt.md").touch()
        (folder / "functions" / "newcomer" / "handler.py").touch()
        await run.until("functions/newcomer is new. It starts with the next `make run`: end this one with Ctrl-C.")
        assert "a_package" not in run.text
