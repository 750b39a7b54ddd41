"""Agents that delegate three levels deep are killed at their writes: each question is asked, and answered once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tailrace.events import ends
from tailrace.log.sqlite import SQLiteLog
from tests.support.events import metadata
from tests.support.kill_points import died_of, late_if_odd
from tests.support.restarting_agent import Watched, restarting_agent, watch

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


async def run(folder: Path, pause_s: float = 0, **variables: str) -> Watched:
    """Run the agent to its end, and answer both questions. Its processes' writes are counted in the file `writes`."""
    await asyncio.to_thread(folder.mkdir)
    answers = {"How many?": "4", "Where?": "in"}
    asked = []
    async with restarting_agent(folder, "levels", **variables) as agent:
        seen = await watch(agent, {"data": {"level": 2, "pause_s": pause_s}})
        while seen.state == "TASK_STATE_INPUT_REQUIRED":
            parts = seen.events[-1]["statusUpdate"]["status"]["message"]["parts"]
            [question] = parts[1]["data"]["interrupts"]
            asked.append(question["value"]["question"])
            assert question["value"]["agent"] == "below"
            seen = await watch(agent, answers[asked[-1]], watched=seen, message_id=f"reply {len(asked)}")
        assert agent.deaths <= (folder / "died").exists()
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert asked == list(answers), seen.said
    assert (seen.state, seen.response) == ("TASK_STATE_COMPLETED", "A table for 4, in.")
    origins = [metadata(event)["origin"] for event in seen.events if "origin" in metadata(event)]
    assert len({(origin["task"], origin["seq"]) for origin in origins}) == len(origins), "an event came twice"
    log = SQLiteLog(folder / "log.sqlite3")
    (below,) = (await log.list(f"me/{seen.task_id}")).heads  # The agent below was asked once.
    end = await log.newest(below.task_id)
    assert end is not None
    assert ends(end) == "TASK_STATE_COMPLETED"
    await log.close()
    return seen


def writes_in(folder: Path) -> int:
    return (folder / "writes").stat().st_size


async def test_all_levels_may_die_at_a_write_before_it_or_after_it(tmp_path: Path) -> None:
    await run(tmp_path / "undisturbed")
    writes = writes_in(tmp_path / "undisturbed")
    assert writes > 30

    async def killed_at(number: int) -> Path:
        folder = tmp_path / str(number)
        await run(folder, DIES_AT=str(number), **late_if_odd(number))
        return folder

    # Each thirteenth write, one before and one after, for the sake of time.
    assert await died_of(range(1, writes + 1, 13), killed_at) > 5


async def test_levels_that_sleep_may_die_at_a_write_before_it_or_after_it(tmp_path: Path) -> None:
    sleeps = {"TAILRACE_SLEEP_AFTER_S": "0.1"}
    undisturbed = await run(tmp_path / "undisturbed", 0.5, **sleeps)
    assert "sleep" in [handoff.get("reason") for handoff in undisturbed.of_kind("handoff")]
    writes = writes_in(tmp_path / "undisturbed")

    async def killed_at(number: int) -> Path:
        folder = tmp_path / str(number)
        await run(folder, 0.5, DIES_AT=str(number), **sleeps, **late_if_odd(number))
        return folder

    assert await died_of(range(2, writes + 1, 23), killed_at) > 5
