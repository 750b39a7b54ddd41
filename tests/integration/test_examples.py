"""Each agent in examples/ runs as a process of its own, and an A2A client sees what its docstring promises."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailrace.log.memory import MemoryLog
from tests.support.checkout import ANALYSTS, checkout, running
from tests.support.events import artifact_text, message, metadata, of_kind, said, state_of
from tests.support.jsonrpc import Agent
from tests.support.processes import ROOT, example

EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/handler.py"))
STORY = "A river drove a mill, and no water was lost."


@contextlib.asynccontextmanager
async def client(url: str) -> AsyncIterator[Agent]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield Agent(http, url.rstrip("/"), MemoryLog())


async def events_of(agent: Agent, text: str, **fields: Any) -> list[dict[str, Any]]:
    frames = await agent.frames("SendStreamingMessage", {"message": message(text, **fields)})
    return [frame.result for frame in frames]


def progress_of(events: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    updates = of_kind([event for event in events if "statusUpdate" in event], "progress")
    return [(said(event), metadata(event)["done"], metadata(event)["total"]) for event in updates]


async def test_a_tool_reports_its_progress(tmp_path: Path) -> None:
    async with example(tmp_path, "1_progress") as url, client(url) as agent:
        events = await events_of(agent, "to be")
    assert progress_of(events) == [("read 'to'", 1, 2), ("read 'be'", 2, 2)]
    kinds = [metadata(event)["kind"] for event in events]
    assert kinds.index("tool_start") < kinds.index("progress") < kinds.index("tool_complete")
    assert artifact_text(events) == "Your text has 2 words."
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED"


async def test_a_models_tokens_are_streamed_as_they_come(tmp_path: Path) -> None:
    # The model makes a token every 30 ms, and tokens that come within the interval share an event.
    async with example(tmp_path, "2_streaming", TAILRACE_EMIT_INTERVAL_MS="10") as url, client(url) as agent:
        for _ in range(2):  # the fake model has an answer to every request
            events = await events_of(agent, "Tell me a story.")
            updates = [event for event in events if "artifactUpdate" in event]
            assert len(updates) > 1
            assert artifact_text(events) == STORY
            assert state_of(events[-1]) == "TASK_STATE_COMPLETED"


async def test_a_question_waits_for_its_answer(tmp_path: Path) -> None:
    async with example(tmp_path, "3_question") as url, client(url) as agent:
        question = await events_of(agent, "I am hungry.")
        assert state_of(question[-1]) == "TASK_STATE_INPUT_REQUIRED"
        assert said(question[-1]) == "For how many people?"
        task_id = question[-1]["statusUpdate"]["taskId"]
        refused = await agent.error("SendMessage", {"message": message("none", taskId=task_id)})
        assert "'none' is not of type 'integer'. The task still waits." in refused["message"]
        answered = await events_of(agent, "4", taskId=task_id)
    assert artifact_text(answered) == "A table for 4 is booked."
    assert state_of(answered[-1]) == "TASK_STATE_COMPLETED"


async def test_another_agents_events_are_forwarded(tmp_path: Path) -> None:
    async with example(tmp_path, "1_progress") as other:
        places = {"TAILRACE_SPECIALIST_URLS": other, "TAILRACE_AGENT_URLS": other}
        async with example(tmp_path, "4_delegation", **places) as url, client(url) as agent:
            events = await events_of(agent, "to be")
    assert progress_of(events) == [("read 'to'", 1, 2), ("read 'be'", 2, 2)]
    forwarded = [metadata(event) for event in of_kind(events, "progress")]
    assert [each["agent"] for each in forwarded] == ["1_progress", "1_progress"]
    assert len({each["origin"]["task"] for each in forwarded}) == 1
    assert artifact_text(events) == "The other agent says: Your text has 2 words."
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED"


async def test_a_missing_agent_is_named(tmp_path: Path) -> None:
    async with example(tmp_path, "4_delegation") as url, client(url) as agent:
        events = await events_of(agent, "to be")
    assert state_of(events[-1]) == "TASK_STATE_REJECTED"
    assert said(events[-1]) == (
        "The agent '1_progress' gave no answer: no agent of this bundle or of TAILRACE_SPECIALIST_URLS has this name; "
        "there are none. Copy examples/1_progress to functions/."
    )


def command_of(name: str) -> tuple[str, str]:
    """The two halves of the command in an example's docstring: what it copies, and which agent it starts."""
    docstring = ast.get_docstring(ast.parse((ROOT / "examples" / name / "handler.py").read_text()))
    command = re.search(r"^    (cp -r .+) && make run AGENT=(\w+)$", docstring or "", re.MULTILINE)
    assert command is not None, f"examples/{name} has no command to run it with"
    return command[1], command[2]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short_and_linked_from_the_readme(name: str) -> None:
    lines = (ROOT / "examples" / name / "handler.py").read_text().splitlines()
    assert 10 <= len(lines) <= 40
    assert f"(examples/{name}/handler.py)" in (ROOT / "README.md").read_text()


async def test_the_page_runs_the_examples_by_their_commands(tmp_path: Path) -> None:
    """Every example is copied by its own command; requests of the page go to the one with the question."""
    folder = checkout(tmp_path, ANALYSTS)
    (folder / "examples").symlink_to(ROOT / "examples")
    commands = [command_of(name) for name in EXAMPLES]
    assert [entry for _, entry in commands] == EXAMPLES
    for copy, _ in commands:
        await asyncio.to_thread(subprocess.run, ["sh", "-c", copy], cwd=folder, check=True)
    async with running(folder, TAILRACE_ORCHESTRATOR="3_question") as run, run.client() as http:
        agents = (await http.get("/api/agents")).json()["agents"]
        assert set(EXAMPLES) <= {agent.get("name") for agent in agents}
        created = await http.post("/api/tasks", json={"message": {"parts": [{"text": "I am hungry."}]}})
        task = f"/api/tasks/{created.json()['id']}"
        await http.get(f"/api/stream/{created.json()['id']}")  # ends at the question
        assert (await http.get(task)).json()["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        await http.post(f"{task}/messages", json={"message": {"parts": [{"text": "4"}]}})
        await http.get(f"/api/stream/{created.json()['id']}")
        done = (await http.get(task)).json()
    assert done["status"]["state"] == "TASK_STATE_COMPLETED"
    assert done["artifacts"][0]["parts"] == [{"text": "A table for 4 is booked."}]
