"""Every task that the gateway creates is in a conversation, also at an agent whose tasks share no thread."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from langgraph.graph import START, MessagesState, StateGraph

from gateway.app import create_app
from gateway.contexts import Contexts
from tailrace import AgentApp, AgentCard, delegate
from tailrace.a2a.identity import conversation_id_of
from tailrace.config import Settings
from tailrace.errors import AgentError, ContextBusy, TaskUnknown
from tailrace.events import Message, Part
from tailrace.log import Head
from tailrace.log.memory import MemoryLog
from tailrace.log.sqlite import SQLiteLog
from tests.contract.test_conversation_claims import Death, Killed, Watched
from tests.integration.test_gateway_contexts import ASKED, DONE, post, say
from tests.integration.test_gateway_conversations import contexts, delete, get, in_state
from tests.sample_agents.recall import RECALL
from tests.support.gateway import ALICE, System, header_owner
from tests.support.http import serve
from tests.support.in_process import system

# Agents that do not take one task of a context at a time.
SHARING_NO_THREAD = [{"thread": "task"}, {"thread": lambda request: "one for all"}]


@pytest.mark.parametrize("options", SHARING_NO_THREAD, ids=["a thread for each task", "threads of the author's"])
async def test_a_task_is_found_at_an_agent_of_any_kind(tmp_path: Path, options: dict[str, Any]) -> None:
    async with system(RECALL, tmp_path, options=options) as sut:
        first, _, _ = await say(sut, "one  and\nmore")
        second, state, _ = await say(sut, "two", first["contextId"])
        assert state == DONE
        await in_state(sut, second["id"], DONE)
        (listed,) = (await get(sut))["conversations"]
        assert {key: listed[key] for key in ("contextId", "agent", "title", "task", "state")} == {
            "contextId": first["contextId"],
            "agent": "orchestrator",
            "title": "one and more",
            "task": second["id"],
            "state": DONE,
        }
        whole = await get(sut, f"/{first['contextId']}")
        assert [task["id"] for task in whole["tasks"]] == [second["id"], first["id"]]


async def test_a_repeated_request_changes_no_record(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path, options={"thread": "task"}) as sut:
        await say(sut, "one", "c", messageId="m1")
        second, _, _ = await say(sut, "two", "c")
        before = await sut.log.conversations.get(conversation_id_of("alice", "orchestrator", "c"))
        assert (await post(sut, "one", "c", messageId="m1")).status_code == 201
        assert await sut.log.conversations.get(conversation_id_of("alice", "orchestrator", "c")) == before
        assert before is not None
        assert before.task == second["id"]


async def test_a_conversation_of_tasks_with_threads_of_their_own_is_deleted_with_their_checkpoints(
    tmp_path: Path,
) -> None:
    def threads() -> int:
        with contextlib.closing(sqlite3.connect(tmp_path / "checkpoints-orchestrator.sqlite3")) as connection:
            return int(connection.execute("SELECT count(DISTINCT thread_id) FROM checkpoints").fetchone()[0])

    async with system(RECALL, tmp_path, options={"thread": "task"}) as sut:
        tasks = [(await say(sut, text, "c"))[0]["id"] for text in ("one", "ask")]
        await say(sut, "one", "kept")
        assert threads() == 3
        await in_state(sut, tasks[1], ASKED)
        refused = await delete(sut, "c")
        assert (refused.status_code, tasks[1] in refused.json()["detail"]) == (409, True)
        await sut.http.post(f"/api/tasks/{tasks[1]}/cancel")
        assert (await delete(sut, "c")).status_code == 204
        assert threads() == 1
        for task_id in tasks:
            assert (await sut.http.get(f"/api/tasks/{task_id}")).status_code == 404
            assert await sut.log.read(task_id) == []
        assert await contexts(sut) == ["kept"]
        assert (await say(sut, "three", "c"))[1:] == (DONE, "three")
        assert await contexts(sut) == ["c", "kept"]


@contextlib.asynccontextmanager
async def orchestrated(folder: Path) -> AsyncIterator[System]:
    """A gateway whose orchestrator delegates each task to a specialist, in a context of its own."""

    async def pass_on(state: MessagesState) -> None:
        await delegate("specialist", state["messages"][-1].text, write_to="response")

    settings, log = Settings(data_dir=str(folder)), SQLiteLog(folder / "log.sqlite3")
    card = AgentCard(name="specialist", description="", version="1", skills=[])
    async with serve(AgentApp(RECALL, card, settings=settings)) as specialist:
        settings = replace(settings, agent_urls=specialist)
        graph = StateGraph(MessagesState).add_node(pass_on).add_edge(START, "pass_on")
        app = AgentApp(graph, msgspec.structs.replace(card, name="orchestrator"), settings=settings, log=log)
        async with serve(app) as default:
            gateway = create_app(replace(settings, orchestrator_url=default), log=log, decide_owner=header_owner)
            async with serve(gateway) as url, httpx.AsyncClient(base_url=url, headers=ALICE, timeout=60) as http:
                yield System(url, log, http)
    await log.close()


async def test_delegated_tasks_are_not_among_the_users_conversations(tmp_path: Path) -> None:
    async with orchestrated(tmp_path) as sut:
        task, state, text = await say(sut, "hello", "c")
        assert (state, text) == (DONE, "hello")
        assert await contexts(sut) == ["c"]
        assert [each["id"] for each in (await sut.http.get("/api/tasks")).json()["tasks"]] == [task["id"]]


class Away:
    """Agents of which none can be reached."""

    async def card(self, name: str) -> None:
        raise AgentError(f"{name} is away")


@pytest.mark.parametrize("late", [False, True], ids=["before the request", "after the request"])
async def test_a_request_that_is_repeated_after_a_kill_is_found(late: bool) -> None:
    message = Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])
    for n in range(1, 10):
        log, death = MemoryLog(), Death(n, late)
        head = Head(task_id="t", owner="alice", context_id="c", agent="a", fingerprint="f")
        ended = False
        try:
            await Contexts(Watched(log, death.before, death.after), Away()).create(head, message, new=True)  # type: ignore[arg-type]
            ended = True
        except Killed:
            await Contexts(log, Away()).create(head, message, new=True)  # type: ignore[arg-type]
        page = await log.conversations.list("alice")
        assert [(each.task, each.title) for each in page.conversations] == [("t", "hello")]
        assert (await log.head("t")).state == "TASK_STATE_SUBMITTED"
        await log.close()
        if ended:
            break
    assert ended
    assert n == 2, "a task takes one request"


async def test_no_task_begins_while_its_conversation_is_being_deleted() -> None:
    log = MemoryLog()
    creator = Contexts(log, Away())  # type: ignore[arg-type]
    message = Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])
    first, second = (
        Head(task_id=task_id, owner="alice", context_id="c", agent="a", fingerprint="f") for task_id in ("t1", "t2")
    )
    await creator.create(first, message, new=True)
    record = await log.conversations.get(conversation_id_of("alice", "a", "c"))
    assert record is not None
    assert await log.conversations.begin_delete(record, ["t1"])
    with pytest.raises(ContextBusy, match="being deleted"):
        await creator.create(second, message, new=False)
    with pytest.raises(TaskUnknown):
        await log.head("t2")
    assert await log.read("t2") == []
    await log.close()
