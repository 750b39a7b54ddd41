"""A run survives its process: after a kill at any point, another attempt takes over and ends the same."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.sweep import sweep
from tailrace.a2a.client import AgentClient, new_http
from tailrace.agent.dispatch import Dispatch
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.events import status_update, submitted
from tailrace.log import Head
from tailrace.log.fence import put_fence
from tailrace.log.memory import MemoryLog
from tailrace.log.sqlite import SQLiteLog
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import End, follow
from tests.sample_agents.killable import POINTS
from tests.support.events import message_of, metadata
from tests.support.freezing import freeze
from tests.support.leases import end_leases
from tests.support.restarting_agent import restarting_agent, watch

pytestmark = pytest.mark.asyncio

REPORT = {
    "gather": "<gather gather>\n",
    "left": "<left left>\n",
    "right": "<right right>\n",
    "dig": "<dig dig>\n",
    "sift": "<sift sift>\n",
    "look": "<look>\n",
    "one": "<one one>\n",
    "two": "<two two>\n",
    "three": "<three three>\n",
    "tell": "<tell tell>\n",
}


def parts_of(report: str) -> list[str]:
    """Return the words of a report in order; parallel nodes may interleave theirs."""
    return sorted(report.replace(">", "").replace("<", "").split())


EXPECTED = parts_of("".join(REPORT.values()))


@pytest.mark.parametrize("point", POINTS)
async def test_a_run_killed_at_any_point_ends_the_same(point: str, tmp_path: Path) -> None:
    """Kill one run before its last event is in the log, and another one after."""
    await asyncio.gather(*(survives(point, when, tmp_path / when) for when in ("at once", "late")))


async def survives(point: str, when: str, folder: Path) -> None:
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread((folder / f"die at {point}").write_text, when)
    async with restarting_agent(folder) as agent:
        seen = await watch(agent, "go")
        assert agent.deaths == 1
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert seen.state == "TASK_STATE_COMPLETED"
    assert parts_of(seen.response) == EXPECTED
    (attempt,) = seen.of_kind("attempt")
    assert (attempt["attempt"], attempt["reason"]) == (2, "worker lost")
    # Only superseded steps run again.
    started = Counter(meta["step"] for meta in [*seen.of_kind("node_start"), *seen.of_kind("tool_start")])
    again = {step for step, times in started.items() if times > 1}
    ran = {meta["step"] for meta in seen.of_kind("node_start")}
    assert again & ran == set(attempt["supersedes"]) & ran
    ended = Counter(meta["step"] for meta in seen.of_kind("node_end") if not meta.get("error"))
    assert set(ended) == ran


async def test_a_reply_survives_the_worker_that_accepted_it(tmp_path: Path) -> None:
    (tmp_path / "die at decide:answered").write_text("late")
    async with restarting_agent(tmp_path) as agent:
        question = await watch(agent, "ask")
        assert (question.state, question.said) == ("TASK_STATE_INPUT_REQUIRED", "Go on?")
        again = await watch(agent, "yes", watched=question, message_id="m-2")
        assert agent.deaths == 1
        assert (again.state, again.said) == ("TASK_STATE_INPUT_REQUIRED", "Really?")
        agent.signal(signal.SIGKILL)  # while it waits, so there is nothing to take over
        done = await watch(agent, "really", watched=again, message_id="m-3")
    assert done.seqs == list(range(1, len(done.seqs) + 1))
    assert done.state == "TASK_STATE_COMPLETED"
    assert parts_of(done.response) == sorted([*EXPECTED, "yes", "really"])
    assert len(done.of_kind("attempt")) == 1


async def test_a_run_that_kills_three_workers_at_the_same_node_fails(tmp_path: Path) -> None:
    (tmp_path / "die at sift:start").write_text("always")
    async with restarting_agent(tmp_path) as agent:
        seen = await watch(agent, "go")
        assert agent.deaths == 4  # the first worker reached the node too
    assert seen.state == "TASK_STATE_FAILED"
    assert seen.said.startswith("3 workers in a row were lost and came no further than inner")
    assert [meta["attempt"] for meta in seen.of_kind("attempt")] == [2, 3, 4]


async def test_a_worker_frozen_past_its_lease_writes_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "stand still at left:middle").touch()
    async with restarting_agent(tmp_path) as zombie, restarting_agent(tmp_path) as other:
        following = asyncio.create_task(watch(zombie, "go"))
        async with asyncio.timeout(60):
            while not (tmp_path / "standing").exists():
                await asyncio.sleep(0.01)
        await freeze(zombie.pid, tmp_path)
        await asyncio.to_thread(end_leases, tmp_path, zombie.pid)
        (tmp_path / "stand still at left:middle").unlink()
        log = SQLiteLog(tmp_path / "log.sqlite3")
        (head,) = (await log.list("me")).heads
        seen = await watch(other, "go")
        zombie.signal(signal.SIGCONT)
        assert await following  # a reader at the zombie sees the same events, from the log
        after = await log.last(head.task_id)
        await log.close()
    assert seen.state == "TASK_STATE_COMPLETED"
    assert parts_of(seen.response) == EXPECTED
    assert following.result().events == seen.events
    assert after == seen.seqs[-1]
    fence = seen.of_kind("attempt")[0]["seq"]
    assert {metadata(event)["attempt"] for event in seen.events[fence - 1 :]} == {2}


async def test_a_run_with_hundreds_of_hand_offs_has_one_dense_log(tmp_path: Path) -> None:
    """Twelve hours are 48 functions of 15 minutes; here 200 short attempts follow each other."""
    # An attempt works for 10 ms, less than one step; the rest is time to stop.
    short = {"TAILRACE_ATTEMPT_S": "60.01", "TAILRACE_HANDOFF_S": "60"}
    async with restarting_agent(tmp_path, "many_steps", **short) as agent:
        seen = await watch(agent, "205 steps, 15 ms each")
        assert agent.deaths == 0
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert seen.state == "TASK_STATE_COMPLETED"
    assert seen.response.split() == [str(number) for number in range(1, 206)]
    hand_offs, attempts = seen.of_kind("handoff"), seen.of_kind("attempt")
    assert len(hand_offs) == len(attempts) >= 200
    assert all(meta["reason"] == "handoff" and not meta["supersedes"] for meta in attempts)
    assert [meta["attempt"] for meta in attempts] == list(range(2, len(attempts) + 2))


async def test_a_node_may_leave_work_to_the_next_attempt_when_time_runs_out(tmp_path: Path) -> None:
    async with restarting_agent(tmp_path, "many_steps", TAILRACE_ATTEMPT_S="60.3", TAILRACE_HANDOFF_S="60") as agent:
        seen = await watch(agent, "30 steps, 20 ms each, in one node")
    assert seen.state == "TASK_STATE_COMPLETED"
    assert seen.response.split() == [str(number) for number in range(1, 31)]
    assert seen.of_kind("handoff")


async def test_a_node_that_overruns_its_deadline_fails_the_task_with_a_reason(tmp_path: Path) -> None:
    async with restarting_agent(tmp_path, "many_steps", TAILRACE_ATTEMPT_S="0.6", TAILRACE_HANDOFF_S="0.3") as agent:
        seen = await watch(agent, "300 steps, 20 ms each, in one node, deaf")
    assert seen.state == "TASK_STATE_FAILED"
    assert "The node step ran past the deadline of its process" in seen.said
    assert "tailrace.time_left()" in seen.said


async def test_any_process_cancels_a_task_whose_worker_is_dead(tmp_path: Path) -> None:
    (tmp_path / "stand still at dig:middle").touch()
    async with restarting_agent(tmp_path) as dying, restarting_agent(tmp_path) as other, new_http() as http:
        following = asyncio.create_task(watch(other, "go", via=dying))
        async with asyncio.timeout(60):
            while not (tmp_path / "standing").exists():
                await asyncio.sleep(0.01)
        dying.restarting.cancel()
        dying.signal(signal.SIGKILL)
        await asyncio.to_thread(end_leases, tmp_path, dying.pid)
        log = SQLiteLog(tmp_path / "log.sqlite3")
        (head,) = (await log.list("me")).heads
        await log.close()
        client = AgentClient(http, other.url, owner="me", settings=Settings(agent_urls=other.url))
        task = await client.call("CancelTask", {"id": head.task_id})
        seen = await following
    assert task["status"]["state"] == "TASK_STATE_CANCELED"
    assert seen.state == "TASK_STATE_CANCELED"
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))


async def test_the_sweeper_finds_tasks_that_nobody_watches(tmp_path: Path) -> None:
    """A sweep dispatches a task that nobody started and one whose worker died; the agent finishes both."""
    settings = Settings(data_dir=str(tmp_path), lease_s=0.4, renew_s=0.2)
    log = SQLiteLog(tmp_path / "log.sqlite3")
    created = []
    for name in ("never started", "left behind"):
        head = Head(task_id=name, owner="me", context_id="c", agent="killable")
        message = message_of({"text": "go"}, message_id=name)
        created.append(await log.create(head, submitted(head.source, message)))
    dead = await log.claim("left behind", "dead", 0.2)
    await put_fence(log, dead, lambda seq: status_update(dead.source, seq, "state"))
    async with restarting_agent(tmp_path) as agent, new_http() as http, asyncio.timeout(60):
        dispatch = Dispatch(replace(settings, dispatch=f"killable={agent.url}"), http)
        while len(await log.unattended(idle_s=settings.lease_s)) < 2:
            await asyncio.sleep(0.02)
        assert await sweep(log, dispatch, settings) == 2
        for head in created:
            items = follow(log, Feeds(log, settings), head.task_id, 0, idle_s=60)
            ended = [item async for item in items][-1]
            assert isinstance(ended, End)
            assert ended.state == "TASK_STATE_COMPLETED"
        assert await sweep(log, dispatch, settings) == 0
        await dispatch.close()
    await log.close()


async def test_a_sweep_that_cannot_dispatch_reports_it() -> None:
    """On AWS this is a function error, which raises an alarm."""
    log = MemoryLog()
    head = Head(task_id="t", owner="me", context_id="c", agent="unheard of")
    await log.create(head, submitted(head.source, message_of()))
    settings = Settings(lease_s=0.2, renew_s=0.1)
    async with new_http() as http, asyncio.timeout(60):
        while not await log.unattended(idle_s=settings.lease_s):
            await asyncio.sleep(0.02)
        with pytest.raises(AgentError, match="1 of 1 tasks could not be dispatched"):
            await sweep(log, Dispatch(settings, http), settings)
