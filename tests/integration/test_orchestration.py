"""The orchestrator and its specialists over A2A."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from tailrace import AgentApp, AgentCard, Skill, file, result, write
from tailrace.config import Settings
from tailrace.log.sqlite import SQLiteLog
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.events import metadata
from tests.support.orchestrated import orchestrated, specialist

LOGS = {"text": "2026-01-01T00:00:00Z ERROR disk full\n" * 5, "filename": "app.log"}

FINDING = {
    "type": "new_template", "subject": "pool", "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:10:00Z",
    "magnitude": 5, "unit": "lines", "confidence": 0.9, "summary": "The pool is exhausted",
}  # fmt: skip


class State(TypedDict, total=False):
    messages: list[Any]


async def states(folder: Path, task_id: str) -> dict[str, str]:
    """Return the states of the delegated tasks in the log, by agent."""
    log = SQLiteLog(folder / "log.sqlite3")
    heads = (await log.list(f"alice/{task_id}")).heads
    own = (await log.list("alice")).heads
    await log.close()
    assert [head.task_id for head in own] == [task_id], "the user's list has other tasks too"
    assert len({head.agent for head in heads}) == len(heads), "a specialist was asked twice"
    return {head.agent: head.state for head in heads}


async def test_a_cancel_reaches_the_specialists_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Gate(), Gate()
    apps = [specialist(waits_at_gate(gate), tmp_path, f"analyst_{n}") for n, gate in enumerate((one, two))]
    async with orchestrated(tmp_path, monkeypatch, *apps) as sut:
        task_id = await sut.post({"text": "what happened?"}, LOGS)
        async with asyncio.timeout(60):
            await asyncio.gather(one.reached.wait(), two.reached.wait())
        assert (await sut.http.post(f"/api/tasks/{task_id}/cancel")).status_code == 202
        assert (await sut.read(task_id)).state == "TASK_STATE_CANCELED"
    assert one.cancelled
    assert two.cancelled
    canceled = "TASK_STATE_CANCELED"
    assert await states(tmp_path, task_id) == {"analyst_0": canceled, "analyst_1": canceled}


async def test_progress_is_forwarded_as_it_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress of a specialist is shown while it is still running."""
    gate = Gate()
    async with orchestrated(tmp_path, monkeypatch, specialist(waits_at_gate(gate), tmp_path, "analyst")) as sut:
        task_id = await sut.post({"text": "what happened?"}, LOGS)
        reached: Callable[[Any], bool] = lambda seen: "before the gate" in str(seen.events[-1:])  # noqa: E731
        seen = await sut.read(task_id, until=reached)
        forwarded = metadata(seen.events[-1])
        assert forwarded["agent"] == "analyst"
        assert forwarded["at"] <= forwarded["ts"]
        assert not gate.open.is_set()
        gate.open.set()
        assert (await sut.read(task_id)).state == "TASK_STATE_COMPLETED"


async def test_the_report_names_a_failed_specialist_and_covers_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(state: State) -> State:
        raise RuntimeError("no disk to read from")

    gate = Gate()
    gate.open.set()
    broken = StateGraph(State).add_node("fail", fail).add_edge(START, "fail")
    apps = [specialist(broken, tmp_path, "broken"), specialist(waits_at_gate(gate), tmp_path, "sound")]
    async with orchestrated(tmp_path, monkeypatch, *apps) as sut:
        task_id = await sut.post({"text": "what happened?"}, LOGS)
        seen = await sut.read(task_id)
        artifacts = (await sut.http.get(f"/api/tasks/{task_id}")).json()["artifacts"]
    assert seen.state == "TASK_STATE_COMPLETED"
    report = next(artifact for artifact in artifacts if artifact["name"] == "report")["parts"][0]["text"]
    assert "`broken`: its task ended as failed" in report
    assert "no disk to read from" in report
    assert "`sound`" in report


async def test_a_run_asks_each_specialist_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    gate.open.set()
    async with orchestrated(tmp_path, monkeypatch, specialist(waits_at_gate(gate), tmp_path, "analyst")) as sut:
        task_id = await sut.post({"text": "what happened?"}, LOGS)
        await sut.read(task_id)
    assert await states(tmp_path, task_id) == {"analyst": "TASK_STATE_COMPLETED"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"findings": [1]}, "1 of 1 finding could not be read: it is 1, but must be an object."),
        ({"findings": [{}]}, "1 of 1 finding could not be read: type is missing, but must be a text"),
        ({"findings": [{**FINDING, "start": "soon"}]}, "start has value 'soon', but must be a time in ISO 8601"),
        (
            {"findings": [{**FINDING, "confidence": "high"}, FINDING]},
            "1 of 2 findings could not be read: confidence has",
        ),
        ({"findings": [{**FINDING, "type": "disk_full"}]}, "| disk full | `pool` |"),
        ({"findings": [{**FINDING, "evidence": {"a": 10**30, "count": "many"}}]}, "| new | `pool` | 5 lines |"),
        ({"findings": [], "notes": "the times are guessed"}, "the times are guessed"),
        ({"findings": [], "notes": [1, 2]}, "2 of 2 notes could not be read"),
        ({"disks": ["sdb"]}, '"sdb"'),
    ],
)
async def test_no_specialists_answer_can_fail_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Any, words: str
) -> None:
    async def answer(state: State) -> State:
        result("findings", data)
        return {}

    graph = StateGraph(State).add_node("answer", answer).add_edge(START, "answer")
    async with orchestrated(tmp_path, monkeypatch, specialist(graph, tmp_path, "peer")) as sut:
        task_id = await sut.post({"text": "what happened?"}, LOGS)
        seen = await sut.read(task_id)
        artifacts = (await sut.http.get(f"/api/tasks/{task_id}")).json()["artifacts"]
    assert seen.state == "TASK_STATE_COMPLETED"
    [report] = [artifact["parts"][0]["text"] for artifact in artifacts if artifact["name"] in ("report", "response")]
    assert words in report
    assert "found nothing" not in report or data["findings"] == []


async def test_one_agents_answer_is_the_answer_with_its_text_data_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def paint(state: State) -> State:
        write("Here is ")
        write("a cat.")
        result("size", {"width": 1})
        file("picture", b"\x89PNG", filename="cat.png", media_type="image/png")
        return {}

    graph = StateGraph(State).add_node("paint", paint).add_edge(START, "paint")
    skill = Skill(id="s", name="Paint", description="Paints animals.", tags=["paint"])
    card = AgentCard(name="painter", description="", version="1", skills=[skill])
    painter = AgentApp(graph, card, settings=Settings(data_dir=str(tmp_path)))
    async with orchestrated(tmp_path, monkeypatch, painter) as sut:
        task_id = await sut.post({"text": "paint a cat"})
        seen = await sut.read(task_id)
        artifacts = (await sut.http.get(f"/api/tasks/{task_id}")).json()["artifacts"]
    assert seen.state == "TASK_STATE_COMPLETED"
    assert {each["name"]: each["parts"] for each in artifacts} == {
        "response": [{"text": "Here is a cat."}],
        "size": [{"data": {"width": 1}}],
        "picture": [{"raw": "iVBORw==", "filename": "cat.png", "mediaType": "image/png"}],
    }
