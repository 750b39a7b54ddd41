"""A cancel of a task reaches its delegated tasks, also at agents that do not answer."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, MessagesState, StateGraph

from orchestrator import graph as orchestrator
from tailrace import AgentApp, AgentCard, Skill
from tailrace.a2a.client import AgentClient, new_http
from tailrace.agent import attempt, delegated_tasks
from tailrace.agent.delegated_tasks import cancel_delegated_tasks
from tailrace.agent.service import Tasks
from tailrace.config import Settings
from tailrace.errors import LogUnavailable
from tailrace.events import TERMINAL, DelegatedTask, State, submitted
from tailrace.log import Head
from tailrace.log.memory import MemoryLog
from tailrace.log.sqlite import SQLiteLog
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.events import message_of
from tests.support.http import serve

_LOGS = {"text": "2026-01-01T00:00:00Z ERROR disk full\n" * 5, "filename": "app.log"}
_UNREACHABLE = "http://127.0.0.1:9/"


def agent_card(name: str) -> AgentCard:
    skill = Skill(id="s", name="Logs", description="Reads logs.", tags=["logs"])
    return AgentCard(name=name, description="For tests.", version="1", skills=[skill])


async def test_specialists_that_do_not_answer_the_cancel_stop_when_they_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delegated_tasks, "_CANCEL_S", 0.1)
    continues, cancel, ask = asyncio.Event(), Tasks.cancel, AgentClient.cancel
    requested_before_asking: list[tuple[int]] = []

    async def cancel_unless_specialist(self: Tasks, task_id: str, owner: str) -> None:
        if "/" not in owner:
            return await cancel(self, task_id, owner)
        await continues.wait()
        return None

    async def look_and_ask(self: AgentClient, task_id: str, **options: Any) -> None:
        # Without an await: under load, 0.1 s may be over before a request arrives.
        with contextlib.closing(sqlite3.connect(tmp_path / "log.sqlite3")) as connection:
            find = "SELECT cancel_requested FROM heads WHERE owner LIKE 'alice/%'"
            requested_before_asking.extend(connection.execute(find).fetchall())
        await ask(self, task_id, **options)

    monkeypatch.setattr(Tasks, "cancel", cancel_unless_specialist)
    gates = {"one": Gate(), "two": Gate()}
    log = SQLiteLog(tmp_path / "log.sqlite3")
    settings = Settings(data_dir=str(tmp_path), lease_s=2, renew_s=0.2)
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as serving:
        apps = [AgentApp(waits_at_gate(gate), agent_card(name), settings=settings) for name, gate in gates.items()]
        urls = ",".join([await serving.enter_async_context(serve(app)) for app in apps])
        monkeypatch.setenv("TAILRACE_SPECIALIST_URLS", urls)
        monkeypatch.setenv("TAILRACE_AGENT_URLS", urls)
        asks = AgentApp(
            orchestrator.builder,
            agent_card("orchestrator"),
            settings=replace(settings, specialist_urls=urls, agent_urls=urls),
        )
        url = await serving.enter_async_context(serve(asks))
        http = await serving.enter_async_context(new_http())
        client = AgentClient(http, url, owner="alice", settings=Settings(agent_urls=url))
        sent = await client.send(message_of({"text": "what happened?"}, _LOGS))
        assert sent.task is not None
        await asyncio.gather(*(gate.reached.wait() for gate in gates.values()))

        monkeypatch.setattr(AgentClient, "cancel", look_and_ask)
        await ask(client, sent.task.id)

        assert (await log.head(sent.task.id)).state == "TASK_STATE_CANCELED"
        assert requested_before_asking == [(1,)] * 4, "both requests are in the log before the first agent is asked"
        while states(await delegated_heads(log, sent.task.id)) != dict.fromkeys(gates, "TASK_STATE_CANCELED"):
            await asyncio.sleep(0.02)
        assert all(gate.cancelled for gate in gates.values())
        continues.set()
    await log.close()


async def delegated_heads(log: SQLiteLog, task_id: str) -> list[Head]:
    return (await log.list(f"alice/{task_id}")).heads


def states(heads: list[Head]) -> dict[str, Any]:
    return {head.agent: head.state for head in heads}


@pytest.mark.parametrize(
    ("owner", "own_agents", "requested"),
    [("alice/t", _UNREACHABLE, True), ("bob/t", _UNREACHABLE, False), ("alice/t", "", False)],
    ids=["the caller's task", "another owner's task", "the task of an agent that is not our own"],
)
async def test_a_cancel_is_requested_in_the_log_for_the_callers_tasks_at_own_agents_only(
    owner: str, own_agents: str, requested: bool
) -> None:
    log = MemoryLog()
    caller = Head(task_id="t", owner="alice", context_id="c", agent="orchestrator")
    delegated = Head(task_id="delegated", owner=owner, context_id="c", agent="one")
    for head in (caller, delegated):
        await log.create(head, submitted(head.source, message_of({"text": "hello"})))
    async with new_http() as http:
        asked = [DelegatedTask(url=_UNREACHABLE, task="delegated")]
        await cancel_delegated_tasks(log, http, caller, asked, Settings(agent_urls=own_agents))
    assert (await log.head("delegated")).cancel_requested is requested


async def test_a_cancel_reaches_tasks_whose_ids_a_lost_attempt_had_not_noted() -> None:
    log, settings = MemoryLog(), Settings(log="memory")
    asks = Head(task_id="asks", owner="alice", context_id="c", agent="a")
    for owner, task_id in (("alice/asks", "begun"), ("alice/asks", "ended"), ("alice/other", "others")):
        head = Head(task_id=task_id, owner=owner, context_id="c", agent="b")
        await log.create(head, submitted(head.source, message_of({"text": "go"})))
    await log.claim("ended", "b", 10)
    await log.update_state("ended", 1, "TASK_STATE_COMPLETED", release=True)
    async with new_http() as http:
        await cancel_delegated_tasks(log, http, asks, [], settings)
    requested = {task_id: (await log.head(task_id)).cancel_requested for task_id in ("begun", "ended", "others")}
    assert requested == {"begun": True, "ended": False, "others": False}


_ASKS = "0a0a0a0a-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("state", "cancel", "ends_as"),
    [
        ("TASK_STATE_WORKING", True, "TASK_STATE_CANCELED"),
        ("TASK_STATE_CANCELED", False, "TASK_STATE_CANCELED"),
        ("TASK_STATE_FAILED", False, "TASK_STATE_CANCELED"),
        ("TASK_STATE_WORKING", False, "TASK_STATE_COMPLETED"),
        ("TASK_STATE_COMPLETED", False, "TASK_STATE_COMPLETED"),
        (None, False, "TASK_STATE_COMPLETED"),
    ],
)
async def test_a_task_that_is_created_after_the_cancel_of_the_task_that_asks_is_cancelled(
    state: State | None, cancel: bool, ends_as: State
) -> None:
    log = MemoryLog()
    if state is not None:
        asks = Head(task_id=_ASKS, owner="alice", context_id="c", agent="asks")
        await log.create(asks, submitted(asks.source, message_of({"text": "go"})))
        await log.claim(_ASKS, "a process", 60)
        if cancel:
            await log.request_cancel(_ASKS)
        await log.update_state(_ASKS, 1, state, release=state in TERMINAL)
    gate = Gate()
    gate.open.set()
    app = AgentApp(waits_at_gate(gate), agent_card("one"), settings=Settings(log="memory"), log=log)
    async with asyncio.timeout(60), serve(app) as url, new_http() as http:
        client = AgentClient(http, url, owner=f"alice/{_ASKS}", settings=Settings(agent_urls=url))
        sent = await client.send(message_of({"text": "hello"}), wait_s=20)
        assert sent.task is not None
        while (await log.head(sent.task.id)).state not in TERMINAL:
            await asyncio.sleep(0.01)
        assert (await log.head(sent.task.id)).state == ends_as
    assert gate.reached.is_set() == (ends_as == "TASK_STATE_COMPLETED"), "a cancelled task does no work"


@pytest.mark.parametrize("cancel", [True, False])
async def test_a_log_that_is_unavailable_for_a_moment_costs_a_delegated_task_no_attempt(
    monkeypatch: pytest.MonkeyPatch, cancel: bool
) -> None:
    """Neither when it is asked for the task that asks, nor when it notes that the attempt works."""
    log = MemoryLog()
    asks = Head(task_id=_ASKS, owner="alice", context_id="c", agent="asks")
    await log.create(asks, submitted(asks.source, message_of({"text": "go"})))
    if cancel:
        await log.request_cancel(_ASKS)
    outages = Counter(head=2, update_state=2)

    async def head_of(task_id: str) -> Head:
        if task_id == _ASKS and outages["head"]:
            outages["head"] -= 1
            raise LogUnavailable("The log is away.")
        return await MemoryLog.head(log, task_id)

    async def update_state(*changes: Any, **release: bool) -> Head:
        if outages["update_state"]:
            outages["update_state"] -= 1
            raise LogUnavailable("The log is away.")
        return await MemoryLog.update_state(log, *changes, **release)

    monkeypatch.setattr(log, "head", head_of)
    monkeypatch.setattr(log, "update_state", update_state)
    gate = Gate()
    gate.open.set()
    app = AgentApp(waits_at_gate(gate), agent_card("one"), settings=Settings(log="memory", lease_s=600), log=log)
    async with asyncio.timeout(60), serve(app) as url, new_http() as http:
        client = AgentClient(http, url, owner=f"alice/{_ASKS}", settings=Settings(agent_urls=url))
        sent = await client.send(message_of({"text": "hello"}), wait_s=50)
        assert sent.task is not None
        while (head := await log.head(sent.task.id)).state not in TERMINAL:
            await asyncio.sleep(0.01)
    assert (head.state, head.attempt) == (f"TASK_STATE_{'CANCELED' if cancel else 'COMPLETED'}", 1)
    assert not outages.total()


@pytest.mark.parametrize("ending", ["FAILED", "CANCELED"])
async def test_a_task_that_is_created_while_the_task_that_asks_is_ending_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """A cancel may not find it either: the list of a store lacks a new task for a moment."""
    log, created = MemoryLog(), asyncio.Event()

    async def cancel_and_create(log: Any, http: Any, head: Head, delegations: Any, settings: Any) -> None:
        await cancel_delegated_tasks(log, http, head, delegations, settings)
        late = Head(task_id="late", owner=f"alice/{head.task_id}", context_id="c", agent="b")
        await log.create(late, submitted(late.source, message_of({"text": "go"})))
        created.set()

    monkeypatch.setattr(attempt, "cancel_delegated_tasks", cancel_and_create)

    reached = asyncio.Event()

    async def ends(state: MessagesState) -> None:
        reached.set()
        if ending == "FAILED":
            raise ValueError("broken")
        await asyncio.Event().wait()

    graph = StateGraph(MessagesState).add_node(ends).add_edge(START, "ends")
    app = AgentApp(graph, agent_card("asks"), settings=Settings(log="memory"), log=log)
    async with asyncio.timeout(60), serve(app) as url, new_http() as http:
        client = AgentClient(http, url, owner="alice", settings=Settings(agent_urls=url))
        sent = await client.send(message_of({"text": "hello"}), wait_s=20)
        assert sent.task is not None
        await reached.wait()
        if ending == "CANCELED":
            await client.cancel(sent.task.id)
        await created.wait()
        while not (await log.head("late")).cancel_requested:
            await asyncio.sleep(0.01)
        assert (await log.head(sent.task.id)).state == f"TASK_STATE_{ending}"
