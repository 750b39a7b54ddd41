"""A context is a conversation: its tasks share LangGraph's thread, one after the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from tailrace import Rejected, write
from tailrace.a2a.identity import task_id_of
from tailrace.errors import TaskUnknown
from tailrace.log.memory import MemoryLog
from tailrace.owner import LOCAL_OWNER
from tests.sample_agents.recall import RECALL
from tests.support.events import artifact_text, message, metadata, of_kind, said, state_of
from tests.support.in_process import CARD, agent
from tests.support.jsonrpc import Agent
from tests.support.meeting import create_in_order

DONE, FAILED, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_INPUT_REQUIRED"
REJECTED, CANCELED = "TASK_STATE_REJECTED", "TASK_STATE_CANCELED"
EXTENSION = "urn:tailrace:a2a:conversation:1"


async def send(served: Agent, text: str, **fields: Any) -> dict[str, Any]:
    """Send a message and wait for the task's end or question; return the task."""
    return dict((await served.result("SendMessage", {"message": message(text, **fields)}))["task"])


async def recalled(served: Agent, text: str, **fields: Any) -> str:
    """What the thread's user has said, at the end of a task that is completed."""
    task = await send(served, text, **fields)
    assert task["status"]["state"] == DONE, task
    return artifact_text(await served.events(task["id"]))


def after(task_id: str | None) -> dict[str, Any]:
    return {"metadata": {EXTENSION: {"after": task_id}}}


# The thread


async def test_a_task_goes_on_from_its_contexts_last_one() -> None:
    async with agent(RECALL) as served:
        assert await recalled(served, "one", contextId="c") == "one"
        assert await recalled(served, "two", contextId="c") == "one, two"
        assert await recalled(served, "three", contextId="c") == "one, two, three"
        assert await recalled(served, "elsewhere", contextId="d") == "elsewhere"


async def test_a_context_that_the_agent_named_goes_on() -> None:
    async with agent(RECALL) as served:
        first = await send(served, "one")
        assert await recalled(served, "two", contextId=first["contextId"]) == "one, two"


@pytest.mark.parametrize("how", ["fail", "reject", "cancel"])
async def test_a_task_that_is_not_completed_leaves_the_thread_as_it_was(how: str) -> None:
    async with agent(RECALL) as served:
        await send(served, "one", contextId="c")
        task = await send(served, "ask" if how == "cancel" else how, contextId="c")
        if how == "cancel":
            task = await served.result("CancelTask", {"id": task["id"]})
        assert task["status"]["state"] == {"fail": FAILED, "reject": REJECTED, "cancel": CANCELED}[how]
        assert await recalled(served, "two", contextId="c") == "one, two"


async def test_a_context_whose_first_task_failed_begins_with_the_next_one() -> None:
    async with agent(RECALL) as served:
        await send(served, "fail", contextId="c")
        assert await recalled(served, "one", contextId="c") == "one"


async def test_owners_never_share_a_thread() -> None:
    options = {"decide_owner": lambda request: request.headers.get("x-owner")}
    async with agent(RECALL, options=options) as served:
        for owner in ("alice", "bob"):
            params = {"message": message(owner, contextId="c")}
            task = (await served.result("SendMessage", params, **{"x-owner": owner}))["task"]
            assert artifact_text(await served.events(task["id"])) == owner


async def test_a_question_and_its_answer_are_one_task_of_the_thread() -> None:
    async with agent(RECALL) as served:
        asked = await send(served, "ask", contextId="c")
        assert asked["status"]["state"] == ASKED
        answered = await send(served, "this", taskId=asked["id"])
        assert artifact_text(await served.events(answered["id"])) == "ask (this)"
        assert await recalled(served, "two", contextId="c") == "ask, two"


# One task at a time


async def test_a_second_task_in_a_context_is_refused_while_the_first_one_waits() -> None:
    async with agent(RECALL) as served:
        asked = await send(served, "ask", contextId="c")
        error = await served.error("SendMessage", {"message": message("two", contextId="c")})
        assert error["code"] == -32004
        assert asked["id"] in error["message"]
        await send(served, "this", taskId=asked["id"])
        assert await recalled(served, "two", contextId="c") == "ask, two"


async def test_a_second_task_in_a_context_is_refused_while_the_first_one_works() -> None:
    gate = asyncio.Event()

    async def wait(state: MessagesState) -> dict[str, Any]:
        await gate.wait()
        return {}

    async with agent(StateGraph(MessagesState).add_node(wait).add_edge(START, "wait")) as served:
        params = {"message": message("one", contextId="c"), "configuration": {"returnImmediately": True}}
        first = (await served.result("SendMessage", params))["task"]["id"]
        refused = message("two", contextId="c")
        error = await served.error("SendMessage", {"message": refused})
        assert (error["code"], first in error["message"]) == (-32004, True)
        gate.set()
        await served.finished(first)
        # Its last event frees the context, and not the head's state, which follows.
        assert (await served.result("SendMessage", {"message": refused}))["task"]["status"]["state"] == DONE


async def test_of_two_first_messages_at_once_one_begins_a_task_and_the_other_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both have read that the context is idle before one of them begins its task."""
    async with agent(RECALL) as served:
        sent = [message("ask", contextId="c") for _ in range(2)]
        tasks = [task_id_of(LOCAL_OWNER, CARD.name, each["messageId"]) for each in sent]
        create_in_order(monkeypatch, served.log, tasks)
        begun, refused = await asyncio.gather(*(served.call("SendMessage", {"message": each}) for each in sent))
        task = begun["result"]["task"]
        assert (task["id"], task["status"]["state"]) == (tasks[0], ASKED)
        assert (refused["error"]["code"], tasks[0] in refused["error"]["message"]) == (-32004, True)
        assert [each["id"] for each in (await served.result("ListTasks", {}))["tasks"]] == [tasks[0]]


async def test_messages_that_are_sent_at_once_are_one_task_after_the_other_or_refused() -> None:
    async with agent(RECALL) as served:
        sent = [{"message": message(f"m{n}", contextId="c")} for n in range(8)]
        answers = await asyncio.gather(*(served.call("SendMessage", params) for params in sent))
        codes = {answer["error"]["code"] for answer in answers if "error" in answer}
        states = [answer["result"]["task"]["status"]["state"] for answer in answers if "result" in answer]
        assert codes <= {-32004}
        assert set(states) == {DONE}
        last = await recalled(served, "last", contextId="c")
        assert len(last.split(", ")) == states.count(DONE) + 1


async def test_a_repeated_message_gets_its_task_whatever_came_since() -> None:
    async with agent(RECALL) as served:
        one = message("one", contextId="c")
        first = (await served.result("SendMessage", {"message": one}))["task"]
        await send(served, "two", contextId="c")
        asked = await send(served, "ask", contextId="c")
        again = (await served.result("SendMessage", {"message": one}))["task"]
        assert again == first
        await send(served, "this", taskId=asked["id"])
        again = (await served.result("SendMessage", {"message": one}))["task"]
        assert again == first
        assert await recalled(served, "three", contextId="c") == "one, two, ask, three"


async def test_an_expired_task_frees_its_context() -> None:
    now = [1_700_000_000.0]
    log = MemoryLog(clock=lambda: now[0], ttl_s=100)
    async with agent(RECALL, log=log) as served:
        asked = await send(served, "ask", contextId="c")
        now[0] += 101
        with pytest.raises(TaskUnknown):
            await log.head(asked["id"])
        assert await recalled(served, "new", contextId="c") == "new"


async def test_a_task_keeps_its_context_however_long_it_lives() -> None:
    now = [1_700_000_000.0]

    def ask(state: MessagesState) -> dict[str, Any]:
        for n in range(4):
            interrupt(f"{n}?")
        return {}

    log = MemoryLog(clock=lambda: now[0], ttl_s=100)
    async with agent(StateGraph(MessagesState).add_node(ask).add_edge(START, "ask"), log=log) as served:
        task = await send(served, "one", contextId="c")
        for _ in range(3):
            now[0] += 90
            error = await served.error("SendMessage", {"message": message("two", contextId="c")})
            assert (error["code"], task["id"] in error["message"]) == (-32004, True)
            assert (await send(served, "yes", taskId=task["id"]))["status"]["state"] == ASKED


# After an earlier task


async def test_a_message_names_the_task_that_it_begins_after() -> None:
    async with agent(RECALL) as served:
        one = await send(served, "one", contextId="c")
        two = await send(served, "two", contextId="c")
        assert await recalled(served, "2nd", contextId="c", **after(one["id"])) == "one, 2nd"
        assert await recalled(served, "three", contextId="c") == "one, 2nd, three"
        assert await recalled(served, "anew", contextId="c", **after(None)) == "anew"
        assert await recalled(served, "back", contextId="c", **after(two["id"])) == "one, two, back"


async def test_a_failed_regeneration_leaves_the_thread_as_it_was() -> None:
    async with agent(RECALL) as served:
        one = await send(served, "one", contextId="c")
        await send(served, "two", contextId="c")
        await send(served, "fail", contextId="c", **after(one["id"]))
        assert await recalled(served, "three", contextId="c") == "one, two, three"


@pytest.mark.parametrize("what", ["unknown", "another context", "not completed", 7, {}])
async def test_what_no_task_can_begin_after_is_refused(what: Any) -> None:
    async with agent(RECALL) as served:
        await send(served, "one", contextId="c")
        failed = await send(served, "fail", contextId="c")
        other = await send(served, "one", contextId="d")
        named = {"another context": other["id"], "not completed": failed["id"]}.get(what, what) if what != {} else what
        error = await served.error("SendMessage", {"message": message("two", contextId="c", **after(named))})
        assert error["code"] == -32602
        assert "COMPLETED task of the same conversation" in error["message"]
        assert await recalled(served, "two", contextId="c") == "one, two"


# Whose thread


async def test_tasks_with_threads_of_their_own_begin_empty_and_may_overlap() -> None:
    async with agent(RECALL, options={"thread": "task"}) as served:
        asked = await send(served, "ask", contextId="c")
        assert await recalled(served, "two", contextId="c") == "two"
        card = (await served.http.get(f"{served.url}/.well-known/agent-card.json")).json()
        assert EXTENSION not in [each["uri"] for each in card["capabilities"]["extensions"]]
        assert (await send(served, "this", taskId=asked["id"]))["status"]["state"] == DONE


async def test_the_card_says_that_contexts_take_one_task_at_a_time() -> None:
    for thread, exclusive in (("context", True), (lambda request: "x", False)):
        async with agent(RECALL, options={"thread": thread}) as served:
            card = (await served.http.get(f"{served.url}/.well-known/agent-card.json")).json()
            extensions = {each["uri"]: each for each in card["capabilities"]["extensions"]}
            assert extensions[EXTENSION]["params"] == {"exclusive": exclusive}


async def test_an_authors_function_names_the_thread() -> None:
    async with agent(RECALL, options={"thread": lambda request: request.text[0]}) as served:
        await send(served, "a1", contextId="c")
        assert await recalled(served, "b1", contextId="c") == "b1"
        assert await recalled(served, "a2", contextId="d") == "a1, a2"


async def test_a_task_in_a_thread_that_is_taken_is_rejected() -> None:
    async with agent(RECALL, options={"thread": lambda request: "mine"}) as served:
        asked = await send(served, "ask")
        second = await send(served, "two")
        assert second["status"]["state"] == REJECTED
        assert asked["id"] in said((await served.events(second["id"]))[-1])


def refuse(request: Any) -> str:
    raise Rejected("Not today.")


@pytest.mark.parametrize(
    ("thread", "state", "text"),
    [
        (lambda request: 7, FAILED, "it returned 7"),
        (lambda request: request.nothing, FAILED, "it raised AttributeError"),
        (refuse, REJECTED, "Not today."),
    ],
)
async def test_a_function_that_names_no_thread_ends_the_task(thread: Any, state: str, text: str) -> None:
    async with agent(RECALL, options={"thread": thread}) as served:
        task = await send(served, "one")
        events = await served.events(task["id"])
        assert (state_of(events[-1]), len(events)) == (state, 2)
        assert text in said(events[-1])


# What the thread keeps


async def test_a_checkpointer_of_the_authors_keeps_the_thread(tmp_path: Path) -> None:
    graph = RECALL.compile(checkpointer=InMemorySaver())
    async with agent(graph) as served:
        await send(served, "one", contextId="c")
        assert await recalled(served, "two", contextId="c") == "one, two"
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "own.sqlite3")) as saver:
        for n in range(2):  # the second time in another app, as after a restart
            async with agent(RECALL.compile(checkpointer=saver)) as served:
                await send(served, "one", contextId="c")
                assert await recalled(served, f"two {n}", contextId="c") == f"one, two {n}"


async def test_a_task_whose_checkpoint_is_gone_fails_with_words() -> None:
    saver = InMemorySaver()
    async with agent(RECALL.compile(checkpointer=saver)) as served:
        await send(served, "one", contextId="c")
        saver.storage.clear()
        task = await send(served, "two", contextId="c")
        assert task["status"]["state"] == FAILED
        assert "its checkpoint" in said((await served.events(task["id"]))[-1])
        assert await recalled(served, "new", contextId="c", **after(None)) == "new"


async def test_an_entrypoint_gets_what_it_returned_in_the_task_before() -> None:
    @entrypoint()
    async def count(text: Any, *, previous: Any = None) -> Any:
        total = (previous or 0) + 1
        write(str(total))
        return entrypoint.final(value=total, save=total)

    async with agent(count, options={"input": lambda request: request.text}) as served:
        assert [await recalled(served, "x", contextId="c") for _ in range(3)] == ["1", "2", "3"]


class Counted(TypedDict, total=False):
    calls: int
    text: str


async def test_a_subgraph_that_keeps_its_state_keeps_it_through_the_tasks_of_a_context() -> None:
    def count(state: Counted) -> Counted:
        calls = state.get("calls", 0) + 1
        write(f"{state.get('text')} {calls}")
        return {"calls": calls}

    inner = StateGraph(Counted).add_node(count).add_edge(START, "count").compile(checkpointer=True)

    async def call(state: MessagesState) -> dict[str, Any]:
        await inner.ainvoke({"text": state["messages"][-1].text})
        return {}

    graph = StateGraph(MessagesState).add_node(call).add_edge(START, "call")
    async with agent(graph) as served:
        assert [await recalled(served, f"t{n}", contextId="c") for n in range(3)] == ["t0 1", "t1 2", "t2 3"]
        assert await recalled(served, "t", contextId="d") == "t 1"
        await send(served, "x", contextId="c", **after(None))
        assert await recalled(served, "t", contextId="c") == "t 2"


async def test_a_subgraph_that_keeps_its_state_asks_in_each_task() -> None:
    def count(state: Counted) -> Counted:
        return {"calls": state.get("calls", 0) + 1}

    def ask(state: Counted) -> Counted:
        write(f"{interrupt('Which?')} {state.get('calls')}")
        return {}

    counting = StateGraph(Counted).add_sequence([count, ask]).add_edge(START, "count")
    inner = counting.compile(checkpointer=True)

    async def call(state: MessagesState) -> dict[str, Any]:
        await inner.ainvoke({"text": state["messages"][-1].text})
        return {}

    graph = StateGraph(MessagesState).add_node(call).add_edge(START, "call")
    async with agent(graph) as served:
        for n in range(1, 4):
            asked = await send(served, "go", contextId="c")
            assert asked["status"]["state"] == ASKED
            answered = await send(served, f"answer {n}", taskId=asked["id"])
            assert answered["status"]["state"] == DONE, answered
            assert artifact_text(await served.events(asked["id"])) == f"answer {n} {n}"


class Team(MessagesState):
    active_agent: str


async def test_the_agent_that_a_team_has_handed_over_to_answers_the_next_task() -> None:
    """A swarm keeps its active agent in the state, as here."""

    def alice(state: Team) -> Command[str]:
        return Command(goto="bob", update={"active_agent": "bob"})

    def bob(state: Team) -> None:
        write(f"bob heard {len(state['messages'])}")

    graph = StateGraph(Team).add_node(alice, destinations=("bob",)).add_node(bob)
    graph.add_conditional_edges(START, lambda state: state.get("active_agent", "alice"), ["alice", "bob"])
    async with agent(graph) as served:
        for n, nodes in ((1, ["alice", "bob"]), (2, ["bob"])):
            task = await send(served, "hello", contextId="c")
            events = await served.events(task["id"])
            assert [metadata(event)["name"] for event in of_kind(events, "node_start")] == nodes
            assert artifact_text(events) == f"bob heard {n}"
