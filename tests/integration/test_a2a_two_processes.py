"""Two processes of an agent with one log give the same responses (specification, 3.4 and 3.5).

They share only the log. `tests/tck/two.py` does the same for the official conformance suite.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tailrace.log.sqlite import SQLiteLog
from tests.sample_agents.hello_world import TEXT, hello_world
from tests.support.events import artifact_text, message, metadata, state_of
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent

DONE, ASKED, CANCELED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_CANCELED"


@contextlib.asynccontextmanager
async def two(folder: Path, gate: asyncio.Event | None = None) -> AsyncIterator[tuple[Agent, Agent]]:
    """Serve two agents, each with its own connections to the log and to the checkpoints."""
    path, settings = (
        folder / "log.sqlite3",
        {"store": "sqlite", "data_dir": str(folder), "renew_s": 0.1, "lease_s": 2.0},
    )
    async with (
        agent(hello_world(gate), log=SQLiteLog(path), **settings) as one,  # type: ignore[arg-type]
        agent(hello_world(gate), log=SQLiteLog(path), **settings) as other,  # type: ignore[arg-type]
    ):
        yield one, other


async def test_3_4_3_a_follow_up_in_the_other_process_finds_its_context(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        waiting = (await one.result("SendMessage", {"message": message("ask twice")}))["task"]
        assert waiting["status"]["state"] == ASKED
        again = (await other.result("SendMessage", {"message": message("payments", taskId=waiting["id"])}))["task"]
        assert (again["contextId"], again["status"]["state"]) == (waiting["contextId"], ASKED)
        done = (await one.result("SendMessage", {"message": message("noon", taskId=waiting["id"])}))["task"]
        assert (done["contextId"], done["status"]["state"]) == (waiting["contextId"], DONE)
        assert artifact_text(await other.events(waiting["id"])) == f"{TEXT}\n\nIt is payments.\n\nSince noon."
        wrong = message("more", taskId=waiting["id"], contextId="another")
        assert (await other.error("SendMessage", {"message": wrong}))["code"] == -32602


async def test_3_5_2_streams_of_both_processes_have_the_same_events_in_the_same_order(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with two(tmp_path, gate) as (one, other):
        task = await one.begin("slow")
        await one.until(task["id"], lambda frame: metadata(frame.result)["kind"] == "progress")

        async def watch(served: Agent, *, leave: bool = False) -> list[object]:
            seen = []
            async with served.stream("SubscribeToTask", {"id": task["id"]}) as frames:
                async for frame in frames:
                    gate.set()
                    seen.append(frame)
                    if leave:
                        break
            return seen

        early, first, second, third = await asyncio.gather(
            watch(other, leave=True), watch(one), watch(other), watch(other)
        )
    assert len(early) == 1
    last = [frames[-1] for frames in (first, second, third)]
    assert last[0] == last[1] == last[2]
    # Each stream begins with a snapshot; all later events are the same in every stream.
    tails = [{frame.id: frame.result for frame in frames[1:]} for frames in (first, second, third)]  # type: ignore[attr-defined]
    shortest = min(tails, key=len)
    assert all({seq: tail[seq] for seq in shortest} == shortest for tail in tails)


async def test_3_1_5_the_other_process_can_cancel_a_run(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with two(tmp_path, gate) as (one, other):
        task = await one.begin("slow")
        await one.until(task["id"], lambda frame: metadata(frame.result)["kind"] == "progress")
        canceled = await other.result("CancelTask", {"id": task["id"]})
        assert canceled["status"]["state"] == CANCELED
        events = await one.finished(task["id"])
        assert state_of(events[-1]) == CANCELED
        for served in (one, other):
            error = await served.error("CancelTask", {"id": task["id"]})
            assert error["code"] == -32002
            refused = await served.error("SubscribeToTask", {"id": task["id"]})
            assert refused["code"] == -32004


@pytest.mark.parametrize("together", [True, False])
async def test_3_3_1_the_same_message_to_both_processes_starts_one_run(tmp_path: Path, together: bool) -> None:
    async with two(tmp_path) as (one, other):
        params = {"message": message("hello")}
        if together:
            answers = await asyncio.gather(*(each.result("SendMessage", params) for each in (one, other, one, other)))
        else:
            answers = [await each.result("SendMessage", params) for each in (one, other)]
        events = await one.events(answers[0]["task"]["id"])
    assert len({answer["task"]["id"] for answer in answers}) == 1
    assert artifact_text(events) == TEXT
    assert {metadata(event)["attempt"] for event in events} == {0, 1}
