"""A run does not depend on a connection: a caller may disconnect at any time. Only CancelTask stops a run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.graph import START, StateGraph

from tailrace import AgentApp, progress
from tailrace.agent import attempt
from tailrace.config import Settings
from tailrace.log.sqlite import SQLiteLog
from tailrace.stream import response
from tests.sample_agents.hello_world import TEXT, State, hello_world
from tests.support import in_process
from tests.support.conditions import eventually
from tests.support.events import TERMINAL, artifact_text, message, metadata, said, state_of
from tests.support.http import serve
from tests.support.in_process import CARD, agent
from tests.support.jsonrpc import Agent

DONE, ASKED, CANCELED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_CANCELED"


@pytest.fixture(params=["memory", "sqlite"], autouse=True)
def _log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with both logs: the memory log never awaits, the SQLite log always does."""
    if request.param == "sqlite":
        monkeypatch.setattr(in_process, "new_log", lambda: SQLiteLog(tmp_path / "log.sqlite3"))


async def waiting(served: Agent) -> str:
    """Return the id of a task that waits at the gate."""
    task_id = str((await served.begin("slow"))["id"])
    await served.until(task_id, lambda frame: "Waiting." in str(frame.result))
    return task_id


def ends_once(events: list[dict[str, Any]], state: str) -> bool:
    """Whether only the last event ends the task, in that state."""
    return [state_of(event) for event in events if state_of(event) in TERMINAL] == [state_of(events[-1])] == [state]


# Disconnecting


@pytest.mark.parametrize("seen", [0, 1, 2, 4, 6])
async def test_closing_the_stream_at_any_moment_does_not_affect_the_run(seen: int) -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate)) as served:
        params = {"message": message("slow")}
        async with served.stream("SendStreamingMessage", params) as frames:
            for _ in range(seen):
                await anext(frames)
        (task,) = (await served.result("ListTasks", {}))["tasks"]  # the server has noticed that the caller disconnected
        gate.set()
        events = await served.finished(task["id"])
    assert ends_once(events, DONE)
    assert artifact_text(events) == TEXT
    assert [metadata(event)["kind"] for event in events if metadata(event)["kind"] != "token"] == [
        "state",
        "state",
        *("node_start", "progress", "progress", "result", "node_end"),
        *("node_start", "node_end"),
        *("node_start", "node_end"),
        "state",
    ]


async def test_a_caller_that_disconnects_before_the_response_does_not_affect_the_run() -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate)) as served:
        sent = message("slow")
        async with httpx.AsyncClient() as http:
            sending = asyncio.create_task(
                Agent(http, served.url, served.log).result("SendMessage", {"message": sent}),
            )
            task_id = ""
            while not task_id:
                for task in (await served.result("ListTasks", {}))["tasks"]:
                    task_id = task["id"]
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
        gate.set()
        events = await served.finished(task_id)
    assert ends_once(events, DONE)
    assert artifact_text(events) == TEXT


async def test_a_stream_that_exceeds_its_time_limit_is_cut_and_the_run_continues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate), rotate_s=60, heartbeat_s=15) as served:
        task_id = await waiting(served)
        with monkeypatch.context() as sooner:
            sooner.setattr(response, "GRACE_S", -74.9)
            with pytest.raises(httpx.RemoteProtocolError):
                await served.frames("SubscribeToTask", {"id": task_id})
        gate.set()
        assert ends_once(await served.finished(task_id), DONE)


async def test_a_rotated_stream_closes_without_an_error_or_a_final_event() -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate), rotate_s=0.1, heartbeat_s=0.05) as served:
        task_id = await waiting(served)
        frames = await served.frames("SubscribeToTask", {"id": task_id})
        assert frames
        assert not any(state_of(frame.result) in TERMINAL for frame in frames)
        gate.set()


# Cancelling


async def test_a_cancel_stops_the_run_at_its_next_await() -> None:
    gate, stopped = asyncio.Event(), asyncio.Event()

    async def work(_: State) -> State:
        try:
            progress("Waiting.")
            await gate.wait()
            progress("Went on.")
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # it may clean up
            stopped.set()
            raise
        return {}

    async def never(_: State) -> State:
        raise AssertionError("The graph went on.")

    graph = StateGraph(State).add_sequence([work, never]).add_edge(START, "work")
    async with agent(graph) as served:
        task_id = await waiting(served)
        async with served.stream("SubscribeToTask", {"id": task_id}) as frames:
            await anext(frames)
            task = await served.result("CancelTask", {"id": task_id})
            streamed = [frame.result async for frame in frames]
        assert stopped.is_set()
        gate.set()
        events = await served.events(task_id)
    assert task["status"]["state"] == CANCELED
    assert ends_once(events, CANCELED)
    assert streamed[-1] == events[-1]
    assert said(events[-1]) == "Canceled on request."
    assert "Went on." not in str(events)


async def test_events_of_a_graph_that_ignores_a_cancel_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "CLEANUP_S", 0.05)
    gate, over = asyncio.Event(), asyncio.Event()

    async def stubborn(_: State) -> State:
        progress("Waiting.")
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()
                progress("Still here.")
        over.set()
        return {}

    async with agent(StateGraph(State).add_node("stubborn", stubborn).add_edge(START, "stubborn")) as served:
        task_id = await waiting(served)
        canceling = asyncio.create_task(served.result("CancelTask", {"id": task_id}))
        await served.until(task_id, lambda frame: state_of(frame.result) == CANCELED)
        gate.set()
        await over.wait()
        await canceling
        events = await served.events(task_id)
    assert ends_once(events, CANCELED)


async def test_a_graph_that_fails_during_cleanup_is_still_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(_: State) -> State:
        progress("Waiting.")
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("in the middle of cleaning up")

    with caplog.at_level(logging.WARNING):
        async with agent(StateGraph(State).add_node("fails", fails).add_edge(START, "fails")) as served:
            task_id = await waiting(served)
            assert (await served.result("CancelTask", {"id": task_id}))["status"]["state"] == CANCELED
            events = await served.events(task_id)
    assert ends_once(events, CANCELED)
    assert "never retrieved" not in caplog.text


async def test_a_cancel_of_a_waiting_task_reaches_its_readers() -> None:
    async with agent(hello_world(), tail_slow_ms=20, tail_fast_ms=5) as served:
        task = (await served.result("SendMessage", {"message": message("ask")}))["task"]
        async with served.stream("SubscribeToTask", {"id": task["id"]}) as frames:
            await anext(frames)
            assert (await served.result("CancelTask", {"id": task["id"]}))["status"]["state"] == CANCELED
            states = [state_of(frame.result) async for frame in frames]
        assert states[-1] == CANCELED
        error = await served.error("SendMessage", {"message": message("too late", taskId=task["id"])})
        events = await served.events(task["id"])
    assert error["code"] == -32004
    assert ends_once(events, CANCELED)


async def test_a_finished_task_cannot_be_cancelled() -> None:
    async with agent(hello_world(asyncio.Event())) as served:
        done = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        canceled = await waiting(served)
        await served.result("CancelTask", {"id": canceled})
        for task_id, state in ((done["id"], DONE), (canceled, CANCELED)):
            before = await served.events(task_id)
            error = await served.error("CancelTask", {"id": task_id})
            assert error["code"] == -32002
            assert error["data"][0]["reason"] == "TASK_NOT_CANCELABLE"
            assert state in error["message"]
            assert await served.events(task_id) == before


async def test_many_cancels_at_once_cancel_once() -> None:
    async with agent(hello_world(asyncio.Event())) as served:
        task_id = await waiting(served)
        answers = await asyncio.gather(*(served.call("CancelTask", {"id": task_id}) for _ in range(8)))
        events = await served.events(task_id)
    assert ends_once(events, CANCELED)
    codes = [answer["error"]["code"] for answer in answers if "error" in answer]
    assert set(codes) <= {-32002}
    states = [answer["result"]["status"]["state"] for answer in answers if "result" in answer]
    assert states
    assert set(states) == {CANCELED}


async def test_a_cancel_reaches_a_run_in_another_process() -> None:
    # A second AgentApp that shares only the log stands for another process.
    log = in_process.new_log()
    settings = Settings(log="memory", renew_s=0.05)
    async with agent(hello_world(asyncio.Event()), log=log, renew_s=0.05) as runner:
        other = AgentApp(hello_world(), CARD, settings=settings, log=log)
        async with serve(other) as url:
            task_id = await waiting(runner)
            task = await Agent(runner.http, url, log).result("CancelTask", {"id": task_id})
            assert task["status"]["state"] == CANCELED
            events = await runner.events(task_id)
    assert ends_once(events, CANCELED)
    assert {metadata(event)["attempt"] for event in events} == {0, 1}  # the runner cancelled it; no new attempt did


async def test_a_task_can_be_cancelled_before_its_first_step() -> None:
    async with agent(hello_world(asyncio.Event())) as served:
        for _ in range(5):
            task_id = (await served.begin("slow"))["id"]
            assert (await served.result("CancelTask", {"id": task_id}))["status"]["state"] == CANCELED
            assert ends_once(await served.events(task_id), CANCELED)
        await eventually(lambda: not [task for task in asyncio.all_tasks() if task.get_name().startswith("run ")])
