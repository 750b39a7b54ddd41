"""The page's model of a task's steps: every kind of event in docs/PROTOCOL.md, section 2.3."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from playwright.async_api import Page

from tailrace.a2a.work import WorkSoFar
from tailrace.events import EXTENSION, Metadata
from tests.e2e.model_events import artifact, model, status, task
from tests.support.browser import needs_chromium
from tests.support.processes import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

ROWS = "[...task.steps.values()].map(({ kind, name, agent, state, parent }) => [kind, name, agent, state, parent.name])"


async def test_nodes_and_tools_have_their_input_output_and_times(modules_page: Page) -> None:
    events = [
        status("node_start", step="n", name="plan", ts=10),
        status("tool_start", step="t", parent="n", name="search", ts=20, input='{"q": 1', input_size=50, call="c1"),
        status("tool_complete", step="t", name="search", ts=30, output="found it"),
        status("node_end", step="n", name="plan", ts=40, cached=True),
    ]
    assert await model(modules_page, events, ROWS) == [
        ["agent", "cook", "cook", "running", ""],
        ["node", "plan", "cook", "done", "cook"],
        ["tool", "search", "cook", "done", "plan"],
    ]
    fields = "(({ start, end, input, inputSize, output, outputSize }) => " + (
        "[start, end, input, inputSize, output, outputSize])(step('t'))"
    )
    assert await model(modules_page, events, fields) == [20, 30, '{"q": 1', 50, "found it", 8]
    cached = "[step('n').cached, step('t').cached, step('n').start, step('n').end]"
    assert await model(modules_page, events, cached) == [True, False, 10, 40]
    assert await model(modules_page, events, "[step('t').firstSeq, step('t').lastSeq]") == [2, 3]
    assert await model(modules_page, events, "task.counts") == {"agents": 1, "steps": 2, "superseded": 0}


async def test_an_error_handler_is_named_in_words_and_goes_on_under_that_name(modules_page: Page) -> None:
    events = [
        status("node_start", step="f", name="fetch"),
        status("node_end", step="f", name="fetch", error="no line"),
        status("node_start", step="h", parent="f", name="__error_handler__fetch"),
        status("node_end", step="h", parent="f", name="__error_handler__fetch", interrupted=True),
        status("node_start", step="i", parent="f", name="__error_handler__fetch"),
        status("node_start", step="d", name="__default_error_handler__"),
    ]
    assert (await model(modules_page, events, ROWS))[2:] == [
        ["node", "error handler of fetch", "cook", "done", "fetch"],
        ["node", "error handler of fetch", "cook", "running", "fetch"],
        ["node", "error handler", "cook", "running", "cook"],
    ]


async def test_a_step_that_fails_has_its_error(modules_page: Page) -> None:
    events = [status("tool_start", step="t", name="search"), status("tool_complete", step="t", error="no network")]
    assert await model(modules_page, events, "[step('t').state, step('t').error]") == ["failed", "no network"]


async def test_progress_is_a_log_of_the_newest_texts(modules_page: Page) -> None:
    start = status("node_start", step="n", name="plan")
    events = [
        start,
        status("progress", "reading", step="n", done=1, total=3, ts=5),
        status("progress", {"data": {"rows": 7}}, step="n", done=2, ts=6),
    ]
    log = [{"ts": 5, "text": "reading"}, {"ts": 6, "text": '{"rows":7}'}]
    shown = "[step('n').text, step('n').done, step('n').total, step('n').log]"
    assert await model(modules_page, events, shown) == ['{"rows":7}', 2, 3, log]
    long = [start, *(status("progress", str(number), step="n") for number in range(300))]
    assert await model(modules_page, long, "step('n').log.map(({ text }) => Number(text))") == list(range(100, 300))


async def test_a_kind_of_a_later_version_is_progress(modules_page: Page) -> None:
    events = [
        status("node_start", step="n", name="plan"),
        status("thought", "hm", step="n"),
        status("thought", "no step"),
        status("thought"),
    ]
    texts = "[step('n').text, step('agent cook').text, step('n').log.length, task.steps.size]"
    assert await model(modules_page, events, texts) == ["hm", "no step", 1, 2]


async def test_a_route_has_its_targets(modules_page: Page) -> None:
    targets = [{"agent": "baker", "reason": "bakes"}]
    events = [status("node_start", step="n", name="route"), status("route", step="n", targets=targets)]
    assert await model(modules_page, events, "step('n').targets") == targets


async def test_what_models_say_and_call_is_put_together_also_when_two_speak(modules_page: Page) -> None:
    def said(kind: str, message: str, piece: str, **meta: Any) -> dict[str, Any]:
        return status(kind, piece, step="n", name="model", message=message, **meta)

    def call(piece: str, call_id: str) -> dict[str, Any]:
        return status("tool_call", step="n", name="search", message="m1", call=call_id, input=piece)

    events = [
        status("node_start", step="n", name="plan"),
        *(said("reasoning", "m1", "Let me "), said("message", "m2", "Hel"), said("reasoning", "m1", "see")),
        *(said("message", "m2", "lo"), said("message", "m1", "Hi")),
        *(call('{"q"', "c1"), call("{}", "c2"), call(": 1}", "c1")),
    ]
    texts = (
        "[step('n').said, step('n').calls].map((list) => list.map(({ id, by, kind, text }) => [id, by, kind, text]))"
    )
    assert await model(modules_page, events, texts) == [
        [
            ["m1", "model", "reasoning", "Let me see"],
            ["m2", "model", "message", "Hello"],
            ["m1", "model", "message", "Hi"],
        ],
        [["c1", "search", "tool_call", '{"q": 1}'], ["c2", "search", "tool_call", "{}"]],
    ]
    assert await model(modules_page, events, "step('n').text") == "Hi"
    many = [*events[:1], *(said("message", "m1", "x" * 1000) for _ in range(100))]
    lengths = "[step('n').text.length, step('n').said[0].text.length <= 40_000]"
    assert await model(modules_page, many, lengths) == [241, True]


async def test_a_takeover_supersedes_steps_and_their_ids_are_used_again(modules_page: Page) -> None:
    events = [
        task({"text": "bake"}),
        status("node_start", step="n", name="plan"),
        status("tool_start", step="t", parent="n", name="search"),
        status("attempt", "worker lost, attempt 2", attempt=2, reason="worker lost", supersedes=["n", "t", "unknown"]),
        status("node_start", step="n", name="plan", attempt=2),
        status("node_end", step="n", attempt=2),
    ]
    assert await model(modules_page, events, ROWS) == [
        ["agent", "cook", "cook", "running", ""],
        ["node", "plan", "cook", "done", "cook"],
        ["tool", "search", "cook", "superseded", "plan"],
        ["note", "worker lost, attempt 2", "cook", "done", "cook"],
        ["node", "plan", "cook", "superseded", "cook"],
    ]
    shown = "[task.attempt, step('n').attempt, task.counts]"
    assert await model(modules_page, events, shown) == [2, 2, {"agents": 1, "steps": 1, "superseded": 2}]
    late = [*events[:4], status("node_end", step="n")]
    assert await model(modules_page, late, "step('n').state") == "superseded"


async def test_a_handoff_is_a_row_and_the_attempt_after_it_is_not(modules_page: Page) -> None:
    events = [status("handoff"), status("attempt", attempt=2, reason="handoff", supersedes=[])]
    rows = [["agent", "cook", "cook", "running", ""], ["handoff", "hand-off", "cook", "done", "cook"]]
    assert await model(modules_page, events, ROWS) == rows
    assert await model(modules_page, events, "task.attempt") == 2


async def test_a_run_that_sleeps_and_wakes_has_no_row_for_that_and_the_newest_cost(modules_page: Page) -> None:
    events = [
        status("node_start", step="n", name="ask"),
        status("handoff", reason="sleep", cost={"seconds": 5}),
        status("attempt", attempt=2, reason="handoff", supersedes=[]),
        status("node_start", step="n", name="ask", attempt=2),
        status("handoff", reason="sleep", cost={"seconds": 9}),
    ]
    rows = [["agent", "cook", "cook", "running", ""], ["node", "ask", "cook", "running", "cook"]]
    assert await model(modules_page, events, ROWS) == rows
    assert await model(modules_page, events, "task.cost.seconds") == 9


async def test_a_step_that_asks_waits_and_goes_on(modules_page: Page) -> None:
    asks = [
        status("node_start", step="n", name="ask"),
        status("node_end", step="n", name="ask", interrupted=True),
        status("state", "Which?", state="INPUT_REQUIRED"),
    ]
    states = "[step('agent cook').state, step('n').state]"
    assert await model(modules_page, asks, states) == ["waiting", "waiting"]
    reply = status("state", "this", role="USER")
    same = [*asks, reply, status("node_start", step="n", name="ask")]
    assert await model(modules_page, same, states) == ["running", "running"]
    another = [*asks, reply, status("node_start", step="n2", name="ask")]
    assert await model(modules_page, another, "[step('n').state, step('n2').state]") == ["done", "running"]


async def test_steps_end_with_their_task(modules_page: Page) -> None:
    events = [status("node_start", step="n", name="plan"), status("state", state="CANCELED", ts=2_000)]
    assert await model(modules_page, events, "[step('n').state, step('n').end]") == ["canceled", 2000]


async def test_forwarded_events_belong_to_the_step_that_asks(modules_page: Page) -> None:
    asked = {"url": "http://baker", "task": "t2"}
    forwarded: dict[str, Any] = {"agent": "baker", "origin": {"task": "t2", "seq": 3}}
    events = [
        status("tool_start", step="ask", name="ask_baker", asked=asked),
        status("node_start", step="ask/n", parent="ask", name="knead", at=400, **forwarded),
        status(
            "attempt", "worker lost", parent="ask", attempt=1, reason="worker lost", supersedes=["ask/n"], **forwarded
        ),
        status("state", "asks", parent="ask", state="WORKING", **forwarded),
    ]
    assert await model(modules_page, events, ROWS) == [
        ["agent", "cook", "cook", "running", ""],
        ["tool", "ask_baker", "cook", "running", "cook"],
        ["node", "knead", "baker", "superseded", "ask_baker"],
        ["note", "worker lost", "cook", "done", "ask_baker"],
    ]
    fields = "[step('ask').asked, step('ask/n').start, task.attempt, task.counts.agents, step('ask').text]"
    assert await model(modules_page, events, fields) == [asked, 400, 1, 2, "asks"]


async def test_an_event_of_another_agent_about_a_known_step_adds_no_row(modules_page: Page) -> None:
    events = [
        status("node_start", step="a", name="ask"),
        status("progress", "words", agent="logs", step="a"),
        status("node_end", agent="logs", step="a"),
    ]
    shown = "[...task.steps.values()].map(({ name, text, state }) => [name, text, state])"
    assert await model(modules_page, events, shown) == [["cook", "", "running"], ["ask", "words", "done"]]


async def test_a_step_knows_the_newest_event_that_it_wrote(modules_page: Page) -> None:
    events = [status("node_start", step="n", name="write"), artifact("token", "response", "Hi", step="n")]
    assert await model(modules_page, events, "[step('n').lastSeq, task.changed.size]") == [2, 2]


async def test_steps_nest_no_deeper_than_a_screen_can_show(modules_page: Page) -> None:
    events = [
        status("node_start", step=str(number), parent=str(number - 1), name=str(number)) for number in range(1, 50)
    ]
    levels = "[step('49').level, Math.max(...[...task.steps.values()].map(({ level }) => level))]"
    assert await model(modules_page, events, levels) == [16, 16]


async def test_ends_of_steps_that_nobody_knows_are_ignored(modules_page: Page) -> None:
    events = [status("node_end", step="gone"), status("usage", usage={"input": 1, "output": 1, "calls": 1})]
    assert await model(modules_page, events, "task.counts.steps") == 0
    assert await model(modules_page, events, "task.usage.input") == 1


async def test_the_server_counts_the_work_of_a_task_as_the_page_does(modules_page: Page) -> None:
    recorded = json.loads((ROOT / "frontend" / "sample" / "run.json").read_text())
    taken_over = [
        status("node_start", step="n", name="plan"),
        status("tool_start", step="t", parent="n", name="search"),
        status("tool_start", step="u", parent="n", name="weigh", agent="scales"),
        status("usage", step="n", name="large", usage={"input": 2, "output": 3, "calls": 1}),
        status("attempt", "taken over", attempt=2, supersedes=["t", "unknown"]),
        status("node_start", step="n", name="plan", attempt=2),
        status("tool_start", step="t", parent="n", name="search", attempt=2),
        status("usage", step="t", name="large", usage={"input": 5, "output": 1, "calls": 1}),
    ]
    for events in (recorded, taken_over):
        work = WorkSoFar()
        for event in events:
            [body] = event.values()
            work.add(msgspec.convert({"seq": 1, **body["metadata"][EXTENSION]}, Metadata))
        counted = msgspec.to_builtins(work.sum)
        shown = "({ agents: task.counts.agents, steps: task.counts.steps, usage: task.usage.models })"
        assert await model(modules_page, events, shown) == {"usage": {}, **counted}
