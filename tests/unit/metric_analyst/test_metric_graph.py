"""The graph: its events, its two artifacts, its question, the model."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.types import Command

from metric_analyst.graph import alert_in
from metric_analyst.readers.reached import FEWEST_LINES, PROGRESS_EVENTS
from metric_analyst.readers.reader import RequestMetrics
from tailrace.agent.checkpoints.serializer import StrictSerializer
from tailrace.agent.checkpoints.state_types import types_of
from tailrace.inputs.request import Request
from tests.unit.metric_analyst.graph_run import GraphRun, request_with
from tests.unit.metric_analyst.planted import MONDAY, poisson, short_cpu, white


def incident_csv(columns: int = 0) -> str:
    rng, cpu = random.Random(1), short_cpu(2, 360)
    rows = ["time,http_502_rate,cpu %" + "".join(f",m{i}" for i in range(columns))]
    quiet = [white(i, 360) for i in range(columns)]
    for i in range(360):
        errors = poisson(rng, 40) if 180 <= i < 240 else 0
        rows.append(f"{MONDAY + i},{errors},{cpu[i]:.2f}" + "".join(f",{q[i]:.2f}" for q in quiet))
    return "\n".join(rows)


async def test_a_run_gives_progress_findings_and_a_report() -> None:
    run = await GraphRun().go(request_with(("m.csv", incident_csv())))
    (finding,) = run.results["findings"]["findings"]
    assert (finding["subject"], finding["type"], finding["start"]) == (
        "http_502_rate", "level_shift", "2026-01-05T00:03:00Z",
    )  # fmt: skip
    assert 12 <= len(finding["evidence"]["series"]) <= 60
    assert "http_502_rate" in run.report
    assert run.progress[0].text == "2 series with 720 samples from 1 file"
    assert (run.progress[-1].details.done, run.progress[-1].details.total) == (2, 2)


async def test_the_state_holds_no_samples() -> None:
    run = await GraphRun().go(request_with(("m.csv", incident_csv(30))))
    kept = msgspec.json.encode(await run.state()).decode()
    assert len(kept) < 5_000
    assert "excerpt" not in kept
    assert all("series" not in finding.evidence for finding in (await run.state())["findings"])
    assert run.results["findings"]["findings"][0]["evidence"]["series"]


async def test_a_checkpoint_can_be_read_again_as_the_graph_left_it() -> None:
    run = await GraphRun().go(request_with(("m.csv", incident_csv())))
    serializer = StrictSerializer(types_of(run.graph))
    state = await run.state()
    assert state.keys() >= {"facts", "findings"}
    for key, value in state.items():
        assert serializer.loads_typed(serializer.dumps_typed(value)) == value, key


async def test_progress_is_bounded_however_many_series_there_are() -> None:
    rows = ["time," + ",".join(f"m{i}" for i in range(300))]
    rows += [f"{MONDAY + i}," + ",".join("5" for _ in range(300)) for i in range(20)]
    run = await GraphRun().go(request_with(("m.csv", "\n".join(rows))))
    assert 10 <= len(run.progress) <= PROGRESS_EVENTS + 2
    assert run.results["findings"] == {"findings": [], "notes": []}
    assert "Nothing changed" in run.report


async def test_the_reading_of_long_files_says_how_far_it_is() -> None:
    rows = ["time,cpu", *(f"{MONDAY + i},5" for i in range(FEWEST_LINES * 3 // 2 - 1))]
    document = {"memory": [[MONDAY + i, 5] for i in range(50)]}
    lines = 2 * len(rows) + FEWEST_LINES
    files = (
        ("a.csv", "\n".join(rows)),
        ("b.json", json.dumps(document) + "\n" * FEWEST_LINES),
        ("c.csv", "\n".join(rows)),
    )
    run = await GraphRun().go(request_with(*files))
    told = [(each.details.done, each.details.total) for each in run.progress if "lines" in (each.text or "")]
    assert [total for _, total in told] == [lines] * len(told)
    assert [done for done, _ in told] == [FEWEST_LINES, 2.5 * FEWEST_LINES, 3.5 * FEWEST_LINES]


async def test_progress_is_bounded_however_long_a_file_is() -> None:
    rows = ["time,cpu", *(f"{MONDAY + i},5" for i in range(FEWEST_LINES * (PROGRESS_EVENTS + 10)))]
    run = await GraphRun().go(request_with(("m.csv", "\n".join(rows))))
    assert PROGRESS_EVENTS - 1 <= sum("lines" in (each.text or "") for each in run.progress) <= PROGRESS_EVENTS + 1


async def test_steady_numbers_beside_a_column_that_was_not_read_are_not_called_unchanged() -> None:
    rows = ["time,cpu,build", *(f"{MONDAY + i},5,v{i}-rc" for i in range(40))]
    run = await GraphRun().go(request_with(("m.csv", "\n".join(rows))))
    assert "Nothing changed in the columns of numbers; 1 column could not be read" in run.report
    assert "'build' (like 'v0-rc')" in run.results["findings"]["notes"][0]


async def test_without_metrics_the_analyst_asks_and_goes_on_when_they_come() -> None:
    run = await GraphRun().go(request_with(("access.log", "it broke at 10:00:00\nand again at 10:00:01\n")))
    assert run.question is not None
    assert "no metrics" in run.question
    assert "access.log" in run.question
    assert not run.results
    both = request_with(("access.log", "it broke at 10:00:00\nand again at 10:00:01\n"), ("m.csv", incident_csv()))
    await run.go(both, Command(resume="here they are"))
    assert run.question is None
    assert len(run.results["findings"]["findings"]) == 1


async def test_the_analyst_asks_again_if_the_answer_has_no_metrics() -> None:
    run = await GraphRun().go(request_with())
    await run.go(request_with(text="which metrics?"), Command(resume="which metrics?"))
    assert run.question is not None
    await run.go(request_with(("m.csv", incident_csv())), Command(resume="these"))
    assert len(run.results["findings"]["findings"]) == 1


async def test_the_event_loop_runs_while_the_analyst_works() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    await GraphRun().go(request_with(("m.csv", incident_csv(20))))
    other.cancel()
    assert turns > 20


async def test_an_alerts_window_is_used() -> None:
    window = {"alert": {"title": "502", "start": "2026-01-05T00:03:10Z", "end": "2026-01-05T00:04:00Z"}}
    run = await GraphRun().go(request_with(("m.csv", incident_csv()), data=[window]))
    assert run.results["findings"]["findings"][0]["evidence"]["alert"] == "before"
    assert "before the alert's window" in run.report or "| before |" in run.report


def test_times_in_pasted_metrics_and_impossible_times_are_not_the_alerts() -> None:
    pasted = Request(text="time,cpu\n2026-01-01 00:00:00,1\n", data=[], files=[])
    assert alert_in(pasted, RequestMetrics([], [], 1, pasted=True)).start is None
    odd = Request(text="", data=[{"alert": {"start": float("nan"), "end": 1_767_225_600_000}}], files=[])
    alert = alert_in(odd, RequestMetrics([], [], 1))
    assert (alert.start, alert.end) == (None, 1_767_225_600.0)


class BreakingModel(GenericFakeChatModel):
    """A model that fails, at once or after its first words."""

    words: str = ""

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        if self.words:
            yield ChatGenerationChunk(message=AIMessageChunk(content=self.words))
        raise ConnectionError("gone")


async def with_model(monkeypatch: pytest.MonkeyPatch, model: Callable[[], BaseChatModel | None]) -> GraphRun:
    monkeypatch.setattr("triage.model.chat_model", model)
    return await GraphRun().go(request_with(("m.csv", incident_csv())))


async def test_with_a_model_the_report_is_its_tokens_only(monkeypatch: pytest.MonkeyPatch) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("The upstream died at 00:03.")]))
    run = await with_model(monkeypatch, lambda: model)
    assert run.tokens == "The upstream died at 00:03."
    assert run.report == ""


async def test_a_model_that_fails_at_once_leaves_the_analysts_report(monkeypatch: pytest.MonkeyPatch) -> None:
    run = await with_model(monkeypatch, lambda: BreakingModel(messages=iter([])))
    assert run.report.startswith("# Metrics")
    assert any("model failed" in (status.text or "") for status in run.progress)


async def test_a_model_that_fails_half_way_is_finished_by_the_analyst(monkeypatch: pytest.MonkeyPatch) -> None:
    run = await with_model(monkeypatch, lambda: BreakingModel(messages=iter([]), words="The upstream "))
    assert run.tokens == "The upstream "
    assert "The model stopped here" in run.report
    assert "# Metrics" in run.report


async def test_a_model_that_cannot_be_made_leaves_the_analysts_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> BaseChatModel | None:
        raise ImportError("no such provider")

    assert (await with_model(monkeypatch, broken)).report.startswith("# Metrics")
