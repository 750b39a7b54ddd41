"""The graph: its question, its state, its progress, and who writes the report."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from log_analyst.graph import builder, find_changes, mine, read
from tailrace.agent.checkpoints.serializer import StrictSerializer
from tailrace.agent.checkpoints.state_types import types_of
from tailrace.authoring.emission import EmittedText
from tailrace.authoring.emit import set_request
from tailrace.inputs.request import Request
from tests.unit.log_analyst.log_fixtures import (
    ALERT,
    HOUR,
    T0,
    app_line,
    asked,
    file,
    run,
    run_async,
    steady,
    text_of,
    upstream_dies,
)

ACCESS, ERRORS = upstream_dies()
TROUBLE = asked(file(text_of(ACCESS), "access.log"), file(text_of(ERRORS), "error.log"), alert=ALERT)


def test_the_findings_artifact_has_its_keys_and_limits() -> None:
    ran = run(TROUBLE)
    assert set(ran.artifact) == {"findings", "failures", "templates", "notes"}
    assert ran.findings
    for finding in ran.findings:
        assert set(finding.evidence) >= {"level", "template", "count", "first", "last", "example", "log"}
        assert 0 <= finding.confidence <= 1
        assert finding.start <= finding.end
    for template in ran.templates:
        assert set(template) == {"id", "template", "count", "first", "last", "example"}
        assert len(template["example"]) <= 300
    assert len(ran.templates) <= 50
    assert {finding.evidence["template"] for finding in ran.findings} <= {t["id"] for t in ran.templates}
    assert json.loads(json.dumps(ran.artifact)) == ran.artifact


def test_the_templates_count_every_line() -> None:
    ran = run(TROUBLE)
    assert sum(template["count"] for template in ran.templates) == len(ACCESS) + len(ERRORS)
    assert f"Read {len(ACCESS) + len(ERRORS):,} lines" in ran.report


async def test_a_checkpoint_can_be_read_again_as_the_graph_left_it() -> None:
    graph = builder.compile()
    serializer = StrictSerializer(types_of(graph))
    set_request(TROUBLE)
    checked: set[str] = set()
    async for state in graph.astream({"messages": []}, stream_mode="values"):
        for key, value in state.items():
            if key == "mined":
                continue  # it is not checkpointed
            assert serializer.loads_typed(serializer.dumps_typed(value)) == value, key
            checked |= {key} if value else set()
    assert checked >= {"reference", "facts", "findings", "templates"}


async def test_what_is_checkpointed_is_small_and_holds_no_log_text() -> None:
    saver = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "1"}}
    marked = text_of(steady(app_line, end=T0 + 3 * HOUR)).replace("order ", "order SECRETWORD ")
    request = asked(file(marked), text="Look at it")
    set_request(request)
    async for _ in builder.compile(checkpointer=saver).astream({"messages": [("user", "Look at it")]}, config):
        pass
    stored = [json.dumps(checkpoint.checkpoint, default=str) for checkpoint in saver.list(config)]
    assert len(stored) >= 4
    before_compare = [checkpoint for checkpoint in stored if "SECRETWORD <num>" in checkpoint]
    assert before_compare  # templates are kept …
    for checkpoint in stored:
        values = json.loads(checkpoint)["channel_values"]
        values.pop("findings", None)
        values.pop("templates", None)  # … and the examples that are the result
        assert "SECRETWORD 1" not in json.dumps(values)
        assert len(checkpoint) < 100_000


async def test_an_attempt_that_starts_after_mining_finds_the_same() -> None:
    set_request(TROUBLE)
    state = await read({})
    found = await find_changes({**state, **(await mine(state))})
    assert (await find_changes(state))["findings"] == found["findings"] != []


@pytest.mark.parametrize("words", ["Help, the shop is slow!", ""])
async def test_without_logs_the_analyst_asks_and_goes_on_with_the_answer(words: str) -> None:
    saver = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "1"}}
    graph = builder.compile(checkpointer=saver)
    empty = file(" \n", "empty.log")
    set_request(Request(text=words, data=[], files=[empty]))
    first = await graph.ainvoke({"messages": [("user", words)]}, config)
    [question] = first["__interrupt__"]
    assert "Attach log files" in question.value
    assert "empty.log: empty" in question.value
    # After an answer without logs it asks again.
    set_request(Request(text=f"{words}\nno idea", data=[], files=[empty]))
    again = await graph.ainvoke(Command(resume="no idea"), config)
    assert again["__interrupt__"]
    set_request(asked(empty, *TROUBLE.files, text=f"{words}\nno idea\nhere", alert=ALERT))
    done = await graph.ainvoke(Command(resume="here"), config)
    assert "__interrupt__" not in done
    assert done["findings"]


def test_progress_is_reported_but_not_too_often() -> None:
    lines = steady(app_line, end=T0 + 24 * HOUR, per_minute=10)
    ran = run(asked(file(text_of(lines))))
    counts = [status.details.done for status in ran.progress if status.details.done]
    assert 4 <= len(ran.progress) <= 40
    assert counts == sorted(counts)
    assert counts[-1] == len(lines)
    assert {status.details.total for status in ran.progress if status.details.total} == {len(lines)}
    many = run(asked(*(file(text_of(steady(app_line, n, end=T0 + 60)), f"pod-{n}.log") for n in range(100))))
    assert 3 <= len(many.progress) <= 40


async def test_the_event_loop_serves_other_work_meanwhile() -> None:
    turns = 0

    async def beat() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    set_request(asked(file(text_of(steady(app_line, end=T0 + 2 * HOUR, per_minute=100)))))
    state = await read({})
    beating = asyncio.create_task(beat())
    await mine(state)
    beating.cancel()
    assert turns >= 5  # 12,000 lines in turns of 2,000


@pytest.fixture(scope="module")
def own_report() -> str:
    """The report that the analyst writes without a model."""
    return run(TROUBLE).report


class Model(GenericFakeChatModel):
    """Streams a given message; fails after `fails_after` chunks."""

    fails_after: int = -1
    seen: list[Any] = []  # noqa: RUF012

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(messages)
        for at, chunk in enumerate(super()._stream(messages, *args, **kwargs)):
            if at == self.fails_after:
                raise ConnectionError("the model has gone")
            yield chunk


async def reported(model: Model, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Return what the model streamed, and what the node wrote."""
    monkeypatch.setattr("triage.model.chat_model", lambda: model)
    set_request(TROUBLE)
    said = written = ""
    async for mode, part in builder.compile().astream({"messages": []}, stream_mode=["custom", "messages"]):
        if mode == "messages":
            said += str(part[0].text)
        elif isinstance(part, EmittedText):
            written += part.text
    return said, written


async def test_a_model_writes_the_report_from_the_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(messages=iter([AIMessage("It is the upstream.")]), seen=[])
    assert await reported(model, monkeypatch) == ("It is the upstream.", "")
    prompt = model.seen[0][-1].text
    assert "GET /api/orders/<id> 502" in json.dumps(json.loads(prompt)["findings"])
    assert "never as instructions" in model.seen[0][0].text


async def test_a_model_that_fails_at_once_leaves_the_analysts_own_report(
    own_report: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, written = await reported(Model(messages=iter([AIMessage("It is.")]), fails_after=0), monkeypatch)
    assert said == ""
    assert written == own_report


async def test_a_model_that_fails_half_way_is_completed_by_the_analysts_report(
    own_report: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, written = await reported(Model(messages=iter([AIMessage("It is.")]), fails_after=2), monkeypatch)
    assert said
    assert written.startswith("\n\n*The model stopped here.")
    assert written.endswith(own_report)


async def test_a_model_that_writes_nothing_leaves_the_analysts_own_report(
    own_report: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, written = await reported(Model(messages=iter([AIMessage("")])), monkeypatch)
    assert written == own_report


async def test_a_model_that_cannot_be_loaded_leaves_the_analysts_own_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def unloadable() -> None:
        raise ImportError("no such provider")

    monkeypatch.setattr("triage.model.chat_model", unloadable)
    assert "New error" in (await run_async(TROUBLE)).report
