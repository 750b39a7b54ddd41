"""A cancel of a task reaches its delegated tasks, also at agents that do not answer."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator import graph as orchestrator
from tailrace import AgentApp, AgentCard, Skill
from tailrace.a2a.client import AgentClient, new_http
from tailrace.agent import delegated_tasks
from tailrace.agent.delegated_tasks import cancel_delegated_tasks
from tailrace.agent.service import Tasks
from tailrace.config import Settings
from tailrace.events import DelegatedTask, submitted
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
    continues, cancel = asyncio.Event(), Tasks.cancel
    requested_before_asking: list[bool] = []

    async def cancel_unless_specialist(self: Tasks, task_id: str, owner: str) -> None:
        if "/" not in owner:
            return await cancel(self, task_id, owner)
        requested_before_asking.extend(head.cancel_requested for head in (await self.log.list(owner)).heads)
        await continues.wait()
        return None

    monkeypatch.setattr(Tasks, "cancel", cancel_unless_specialist)
    gates = {"one": Gate(), "two": Gate()}
    log = SQLiteLog(tmp_path / "log.sqlite3")
    settings = Settings(data_dir=str(tmp_path), lease_s=2, renew_s=0.2)
    async with asyncio.timeout(30), contextlib.AsyncExitStack() as serving:
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

        await client.cancel(sent.task.id)

        assert (await log.head(sent.task.id)).state == "TASK_STATE_CANCELED"
        assert requested_before_asking == [True] * 4, "both requests are in the log before the first agent is asked"
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
