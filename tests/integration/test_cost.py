"""What a run has taken is in the last event of each attempt, and in the task."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langgraph.graph import MessagesState
from langgraph.types import interrupt

from tailrace import events, write
from tailrace.agent.recovery.history import history_of
from tailrace.config import Settings
from tailrace.events import Cost, Details
from tailrace.log import Batch, Head, open_log
from tailrace.log.memory import MemoryLog
from tests.contract.checkpoint_stores import checkpoint_table
from tests.contract.dynamodb_table import empty_table, use
from tests.sample_agents.waits_at_gate import Gate
from tests.support.bundle import asking, bundle, graph
from tests.support.events import message, message_of, metadata, of_kind, state_of
from tests.support.fast_moto import moto_server
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent
from tests.support.models import says

DONE, FAILED, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_INPUT_REQUIRED"
PRICES = json.dumps({"speaker-1": {"input": 1000, "output": 100_000}})


async def hello(state: MessagesState) -> None:
    write("hello")


async def talk(state: MessagesState) -> MessagesState:
    return {"messages": [await says("Hello there").ainvoke(state["messages"])]}


async def finished(served: Agent) -> list[dict[str, Any]]:
    sent = (await served.result("SendMessage", {"message": message("go")}))["task"]
    return await served.events(sent["id"])


def costs(all_events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [metadata(event)["cost"] for event in all_events if "cost" in metadata(event)]


async def test_the_end_says_how_long_the_run_took_and_so_does_the_task() -> None:
    async with agent(graph(hello)) as served:
        done = await finished(served)
        [cost] = costs(done)
        assert metadata(done[-1])["cost"] == cost
        assert cost.keys() == {"seconds"}, "without DynamoDB and models there is nothing else"
        assert 0 < cost["seconds"] < 30
        task_id = done[0]["task"]["id"]
        task = await served.result("GetTask", {"id": task_id})
        assert task["metadata"]["urn:tailrace:a2a:resume:1"]["work"]["cost"] == cost


@pytest.mark.parametrize(
    ("prices", "dollars"),
    [(PRICES, (11 * 1000 + 7 * 100_000) / 1e6), ("", None), ('{"another": {"input": 1, "output": 1}}', None)],
)
async def test_the_tokens_have_a_price_if_that_of_each_model_is_configured(prices: str, dollars: float | None) -> None:
    async with agent(graph(talk), model_prices=prices) as served:
        [cost] = costs(await finished(served))
        assert cost.get("model_dollars") == pytest.approx(dollars)


async def test_a_run_that_fails_has_the_tokens_of_its_last_attempt_too() -> None:
    async def fails(state: MessagesState) -> None:
        raise ValueError("no disk")

    async with agent(graph(talk, fails), model_prices=PRICES) as served:
        done = await finished(served)
        assert state_of(done[-1]) == FAILED
        assert metadata(done[-1])["usage"] == {"input": 11, "output": 7, "calls": 1}
        assert metadata(done[-1])["cost"]["model_dollars"] > 0


async def test_the_time_of_a_sleep_is_not_counted() -> None:
    gate = Gate()

    async def work(state: MessagesState) -> None:
        await gate.pass_through()
        write("done")

    async with bundle(front=asking("back"), back=graph(work)) as agents:
        began = agents.log.now()
        task = await agents.front.begin("go")
        slept = await agents.asleep(task["id"])
        while agents.log.now() < slept.updated + 1000:
            await asyncio.sleep(0.05)
        gate.open.set()
        done = await agents.events(task["id"])
        took_s = (agents.log.now() - began) / 1000
        seconds = [cost["seconds"] for cost in costs(done)]
        assert seconds == sorted(seconds), "each attempt adds to it"
        assert len(seconds) == len(of_kind(done, "attempt")) + 1
        assert 0 < seconds[-1] <= took_s - 1


async def test_what_dynamodb_has_used_is_counted_over_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(state: MessagesState) -> None:
        write(interrupt("Which?"))

    with moto_server() as endpoint:
        use(endpoint, monkeypatch)
        names = {"table": empty_table(), "checkpoint_table": checkpoint_table()}
        log = open_log(Settings(log="dynamodb", **names))
        async with agent(graph(ask), log=log, store="dynamodb", **names) as served:
            task = (await served.result("SendMessage", {"message": message("go")}))["task"]
            answer = message("", taskId=task["id"], parts=[{"text": "this"}])
            await served.result("SendMessage", {"message": answer})
            done = await served.events(task["id"])
    assert [state_of(event) for event in done if "cost" in metadata(event)] == [ASKED, DONE]
    first, last = costs(done)
    assert first["requests"] > 5
    for key in ("seconds", "requests", "write_units"):
        assert 0 < first[key] < last[key]
    assert first.get("read_units", 0) < last["read_units"], "a creator's first attempt has nothing to read"


async def test_an_attempt_that_was_lost_has_taken_the_time_of_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    log, now = MemoryLog(), 0
    monkeypatch.setattr(events.event, "now_ms", lambda: now)
    head = Head(task_id="t", owner="me", context_id="c", agent="a")
    await log.create(head, events.submitted(head.source, message_of({"text": "go"})))

    async def write_event(attempt: int, at: int, kind: Any, details: Details) -> None:
        nonlocal now
        now = at
        source, seq = (
            Head(task_id="t", owner="me", context_id="c", agent="a", attempt=attempt).source,
            await log.last("t"),
        )
        await log.append("t", Batch(seq + 1, attempt, [events.status_update(source, seq + 1, kind, details)]))

    await write_event(1, 1000, "state", Details())
    await write_event(1, 3000, "progress", Details())
    await write_event(2, 60_000, "attempt", Details(reason="worker lost", supersedes=[]))
    assert (await history_of(log, head)).cost == Cost(seconds=2.0)
    await write_event(2, 61_000, "handoff", Details(cost=Cost(seconds=3.5, requests=7)))
    await write_event(3, 90_000, "attempt", Details(reason="handoff", supersedes=[]))
    assert (await history_of(log, head)).cost == Cost(seconds=3.5, requests=7)
