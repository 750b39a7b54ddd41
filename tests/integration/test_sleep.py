"""A run that only waits for silent agents of its bundle gives its process back, and one of them wakes it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from sweeper.sweep import sweep
from tailrace import AgentCard, DelegationFailed, delegate, progress, write
from tailrace.a2a.client import new_http
from tailrace.agent.dispatch import Dispatch
from tailrace.agent.sleep import Sleep
from tailrace.config import Settings
from tailrace.log import Head
from tailrace.log.memory import MemoryLog
from tests.sample_agents.waits_at_gate import Gate
from tests.support.bundle import SILENCE, Bundle, asking, assert_each_came_once, bundle, graph
from tests.support.events import artifact_text, message, metadata, of_kind, said, state_of
from tests.support.in_process import agent

DONE, ASKED, WORKING = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_WORKING"


def through(gate: Gate, text: str = "done") -> StateGraph[Any, Any, Any, Any]:
    """A specialist that reports, waits at the gate, and reports again."""

    async def work(state: MessagesState) -> None:
        progress("begun")
        await gate.pass_through()
        progress("almost")
        write(text)

    return graph(work)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the run could sleep, for each time that it was looked at: four times in the time of silence."""
    found: list[bool] = []
    prepared = Sleep.prepared

    async def note(self: Sleep) -> bool:
        found.append(await prepared(self))
        return found[-1]

    monkeypatch.setattr(Sleep, "prepared", note)
    return found


async def looked_at_often(looks: list[bool]) -> None:
    """Wait until a run was looked at ten more times, and check that it could not sleep."""
    before = len(looks)
    async with asyncio.timeout(60):
        while len(looks) < before + 10:
            await asyncio.sleep(0.01)
    assert not any(looks)


def hand_offs(events: list[dict[str, Any]]) -> list[str | None]:
    return [own.get("reason") for own in owns(events, "handoff")]


def owns(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [own for event in of_kind(events, kind) if "origin" not in (own := metadata(event))]


async def test_a_run_sleeps_while_its_specialist_is_silent_and_goes_on_with_what_it_did() -> None:
    gate = Gate()
    async with bundle(front=asking("back"), back=through(gate)) as agents:
        task = await agents.front.begin("go")
        head = await agents.asleep(task["id"])
        assert (head.state, head.lease_owner) == (WORKING, None)
        [back] = await agents.delegated(task["id"])
        assert head.awaits == back.task_id
        gate.open.set()
        events = await agents.events(task["id"])
        assert artifact_text(events, "back") == "done"
        assert [said(event) for event in of_kind(events, "progress")] == ["begun", "almost"]
        assert_each_came_once(events)
        assert hand_offs(events)[0] == "sleep"
        [fence, *_] = [metadata(event) for event in of_kind(events, "attempt")]
        assert (fence["reason"], fence["supersedes"]) == ("handoff", [])
        assert len(await agents.delegated(task["id"])) == 1


async def test_a_reader_follows_a_sleeping_task_and_sees_it_work() -> None:
    gate = Gate()
    async with bundle(front=asking("back"), back=through(gate)) as agents:
        task = await agents.front.begin("go")
        # A run may sleep before its specialist's first report comes, and that report would wake it.
        await agents.front.until(task["id"], lambda frame: "begun" in str(frame.result))
        async with agents.front.stream("SubscribeToTask", {"id": task["id"]}, cursor=0) as frames:
            head = await agents.asleep(task["id"])
            await agents.front.result("GetTask", {"id": task["id"]})
            assert (await agents.log.head(task["id"])).attempt == head.attempt, "a reader does not wake it"
            gate.open.set()
            seen = [frame async for frame in frames]
        assert [frame.id for frame in seen] == list(range(1, len(seen) + 1))
        assert {state_of(frame.result) for frame in seen[1:-1] if "statusUpdate" in frame.result} == {WORKING}
        assert state_of(seen[-1].result) == DONE


async def test_a_report_wakes_the_run_and_it_sleeps_again() -> None:
    gates = [Gate(), Gate()]

    async def work(state: MessagesState) -> None:
        for number, gate in enumerate(gates):
            await gate.pass_through()
            progress(f"passed {number}")
        write("done")

    async with bundle(front=asking("back"), back=graph(work)) as agents:
        task = await agents.front.begin("go")
        first = await agents.asleep(task["id"])
        gates[0].open.set()
        await agents.front.until(task["id"], lambda frame: "passed 0" in str(frame.result))
        await agents.asleep(task["id"], first.attempt)
        gates[1].open.set()
        events = await agents.events(task["id"])
        assert artifact_text(events, "back") == "done"
        assert_each_came_once(events)


async def test_one_wake_joins_all_specialists_again_and_none_is_started_twice() -> None:
    gates = {"a": Gate(), "b": Gate()}
    async with bundle(front=asking("a", "b"), a=through(gates["a"], "A"), b=through(gates["b"], "B")) as agents:
        task = await agents.front.begin("go")
        head = await agents.asleep(task["id"])
        assert len(head.awaits.split()) == 2
        gates["a"].open.set()
        head = await agents.asleep(task["id"], head.attempt)
        gates["b"].open.set()
        events = await agents.events(task["id"])
        assert (artifact_text(events, "a"), artifact_text(events, "b")) == ("A", "B")
        assert_each_came_once(events)
        assert len(await agents.delegated(task["id"])) == 2


async def test_three_levels_sleep_and_each_is_woken_by_the_one_below() -> None:
    gate = Gate()
    async with bundle(front=asking("middle"), middle=asking("back"), back=through(gate)) as agents:
        task = await agents.front.begin("go")
        await agents.asleep(task["id"])
        [middle] = await agents.delegated(task["id"])
        await agents.asleep(middle.task_id)
        await agents.asleep(task["id"])
        gate.open.set()
        events = await agents.events(task["id"])
        assert state_of(events[-1]) == DONE
        assert [said(event) for event in of_kind(events, "progress")] == ["begun", "almost"]
        assert_each_came_once(events)


async def test_a_specialists_question_wakes_the_run_and_is_asked() -> None:
    gate, after = Gate(), [Gate(), Gate()]

    async def ask(state: MessagesState) -> None:
        await gate.pass_through()
        many = interrupt("How many?")
        for each in after:
            await each.pass_through()
            progress("counting")
        write(f"for {many}")

    async with bundle(front=asking("back"), back=graph(ask)) as agents:
        task = await agents.front.begin("go")
        await agents.asleep(task["id"])
        gate.open.set()
        await agents.front.until(task["id"], lambda frame: state_of(frame.result) == ASKED)
        answer = message("4", taskId=task["id"])
        sending = asyncio.create_task(agents.front.result("SendMessage", {"message": answer}))
        attempt = (await agents.log.head(task["id"])).attempt
        for each in after:
            attempt = (await agents.asleep(task["id"], attempt)).attempt
            each.open.set()
        assert (await sending)["task"]["status"]["state"] == DONE
        events = await agents.events(task["id"])
        assert artifact_text(events, "back") == "for 4"
        assert len(owns(events, "tool_start")) == len(owns(events, "tool_complete")) == 2


async def test_a_specialists_failure_wakes_the_run() -> None:
    gate = Gate()

    async def fail(state: MessagesState) -> None:
        await gate.pass_through()
        raise ValueError("no disk")

    async def front(state: MessagesState) -> None:
        try:
            await delegate("back", "go")
        except DelegationFailed as error:
            write(error.reason)

    async with bundle(front=graph(front), back=graph(fail)) as agents:
        task = await agents.front.begin("go")
        await agents.asleep(task["id"])
        gate.open.set()
        assert "no disk" in artifact_text(await agents.events(task["id"]))


async def test_a_cancel_of_a_sleeping_task_ends_it_and_its_specialists_at_once() -> None:
    gate = Gate()
    async with bundle(front=asking("middle"), middle=asking("back"), back=through(gate)) as agents:
        task = await agents.front.begin("go")
        [middle] = await agents.delegated((await agents.asleep(task["id"])).task_id)
        [back] = await agents.delegated((await agents.asleep(middle.task_id)).task_id)
        await agents.asleep(task["id"])
        cancelled = await agents.front.result("CancelTask", {"id": task["id"]})
        assert cancelled["status"]["state"] == "TASK_STATE_CANCELED"
        states = [(await agents.log.head(each.task_id)).state for each in (middle, back)]
        assert states == ["TASK_STATE_CANCELED"] * 2
        assert gate.cancelled


async def test_a_run_stays_awake_while_a_tool_or_another_node_works(looks: list[bool]) -> None:
    gate, slow = Gate(), Gate()

    @tool
    async def long_work() -> str:
        """Works for long."""
        await slow.pass_through()
        return "worked"

    async def other(state: MessagesState) -> None:
        await long_work.ainvoke({})

    async def one(state: MessagesState) -> None:
        write((await delegate("back", "go")).text)

    builder = StateGraph(MessagesState).add_node("one", one).add_node("other", other)
    builder.add_edge(START, "one").add_edge(START, "other")
    async with bundle(front=builder, back=through(gate)) as agents:
        task = await agents.front.begin("go")
        await slow.reached.wait()
        await gate.reached.wait()
        await looked_at_often(looks)
        assert (await agents.log.head(task["id"])).attempt == 1
        slow.open.set()
        await agents.asleep(task["id"])
        gate.open.set()
        assert artifact_text(await agents.events(task["id"])) == "done"


async def test_a_run_stays_awake_if_its_node_would_call_a_tool_again(looks: list[bool]) -> None:
    gate, calls = Gate(), []

    @tool
    async def count() -> str:
        """Counts."""
        calls.append(1)
        return "counted"

    async def front(state: MessagesState) -> None:
        await count.ainvoke({})
        write((await delegate("back", "go")).text)

    async with bundle(front=graph(front), back=through(gate)) as agents:
        task = await agents.front.begin("go")
        await gate.reached.wait()
        await looked_at_often(looks)
        gate.open.set()
        events = await agents.events(task["id"])
        assert artifact_text(events) == "done"
        assert not of_kind(events, "attempt")
        assert calls == [1]


async def test_a_run_stays_awake_if_a_node_that_has_asked_would_call_a_tool_again(looks: list[bool]) -> None:
    gate, calls = Gate(), []

    @tool
    async def look() -> str:
        """Looks."""
        calls.append(1)
        return "seen"

    async def asks(state: MessagesState) -> None:
        await look.ainvoke({})
        interrupt("How many?")

    async def waits(state: MessagesState) -> None:
        await delegate("back", "go")

    builder = StateGraph(MessagesState).add_node("asks", asks).add_node("waits", waits)
    builder.add_edge(START, "asks").add_edge(START, "waits")
    async with bundle(front=builder, back=through(gate)) as agents:
        task = await agents.front.begin("go")
        await gate.reached.wait()
        await looked_at_often(looks)
        gate.open.set()
        await agents.front.until(task["id"], lambda frame: state_of(frame.result) == ASKED)
        assert calls == [1]
        await agents.front.result("SendMessage", {"message": message("4", taskId=task["id"])})
        assert not hand_offs(await agents.events(task["id"]))


async def test_what_an_ended_specialist_said_and_its_end_come_once_however_often_the_run_sleeps() -> None:
    gates = [Gate(), Gate(), Gate()]

    async def fail(state: MessagesState) -> None:
        raise ValueError("no disk")

    async def work(state: MessagesState) -> None:
        for gate in gates:
            await gate.pass_through()
            progress("passed")
        write("done")

    async def ask(name: str) -> str:
        try:
            return (await delegate(name, "go")).text
        except DelegationFailed as error:
            return error.reason

    async def front(state: MessagesState) -> None:
        write(" | ".join(await asyncio.gather(ask("bad"), ask("back"))))

    async with bundle(front=graph(front), bad=graph(fail), back=graph(work)) as agents:
        task = await agents.front.begin("go")
        attempt = 0
        for gate in gates:
            attempt = (await agents.asleep(task["id"], attempt)).attempt
            gate.open.set()
        events = await agents.events(task["id"])
    assert "no disk" in artifact_text(events)
    assert len([event for event in of_kind(events, "progress") if "no disk" in said(event)]) == 1
    assert sorted(own["name"] for own in owns(events, "tool_complete")) == ["ask back", "ask bad"]
    assert_each_came_once(events)


async def test_a_run_stays_awake_for_an_agent_with_another_log(looks: list[bool]) -> None:
    gate = Gate()
    async with agent(through(gate), card=AgentCard(name="back", description="", version="1", skills=[])) as back:

        async def front(state: MessagesState) -> None:
            write((await delegate(back.url, "go")).text)

        async with agent(graph(front), agent_urls=back.url, **SILENCE) as asks:
            task = await asks.begin("go")
            await gate.reached.wait()
            await looked_at_often(looks)
            gate.open.set()
            events = await asks.finished(task["id"])
            assert artifact_text(events) == "done"
            assert not of_kind(events, "attempt")


async def test_a_sleeping_task_whose_wake_was_lost_is_woken_by_the_sweeper() -> None:
    gate, log = Gate(), _DeafLog()
    async with bundle(log, front=asking("back"), back=through(gate)) as agents:
        task = await agents.front.begin("go")
        head = await agents.asleep(task["id"])
        async with _sweeping(agents) as sweep_once:
            assert await sweep_once() == 0, "its specialist works, so it is left asleep"
            gate.open.set()
            [back] = await agents.delegated(task["id"])
            while (await log.head(back.task_id)).state != DONE:
                await asyncio.sleep(0.01)
            assert (await log.head(task["id"])).attempt == head.attempt
            log.deaf = False
            while not await sweep_once():
                await asyncio.sleep(0.05)
        assert artifact_text(await agents.events(task["id"]), "back") == "done"


async def test_a_wake_whose_dispatch_is_lost_is_found_by_a_reader() -> None:
    gate = Gate()
    async with bundle(dispatched=False, front=asking("back"), back=through(gate)) as agents:
        task = await agents.front.begin("go")
        await agents.asleep(task["id"])
        gate.open.set()
        assert artifact_text(await agents.events(task["id"]), "back") == "done"


class _DeafLog(MemoryLog):
    """A log in which no wake arrives while it is `deaf`."""

    deaf = True

    async def wake(self, task_id: str, attempt: int) -> Head:
        return await self.head(task_id) if self.deaf else await super().wake(task_id, attempt)


@contextlib.asynccontextmanager
async def _sweeping(agents: Bundle) -> AsyncIterator[Callable[[], Any]]:
    """Yield a function that sweeps once, as if a lease's time had passed since the last change."""
    async with new_http() as http:
        dispatch = Dispatch(agents.settings, http)
        settings = Settings(log="memory", lease_s=0.2, renew_s=0.1)
        yield lambda: sweep(agents.log, dispatch, settings)
        await dispatch.close()
