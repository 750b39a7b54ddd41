"""A conversation survives its agent's process: the thread is what an undisturbed run's is."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.sample_agents.remembers import POINTS
from tests.support.restarting_agent import RestartingAgent, Watched, restarting_agent, watch

NODES = ("gather", "left", "right")
TEXTS = ("one", "two", "three")
# What each task's last node finds: what it and all tasks before heard and counted.
HEARD = [heard for text in TEXTS for heard in (text, *(f"{text} {node}" for node in NODES))]


def expected(tasks: int) -> dict[str, Any]:
    return {"heard": HEARD[: tasks * 4], "counted": tasks * 11_000 + tasks}


def thread_of(seen: Watched) -> Any:
    """The result `thread` of a task."""
    artifacts = [event["artifactUpdate"]["artifact"] for event in seen.events if "artifactUpdate" in event]
    return next(each["parts"][0]["data"] for each in reversed(artifacts) if each["name"] == "thread")


async def say(agent: RestartingAgent, text: str) -> Watched:
    seen = await watch(agent, text, message_id=text, context_id="c")
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    return seen


@pytest.mark.parametrize("point", POINTS)
async def test_a_conversation_is_the_same_after_a_kill_at_any_point(point: str, tmp_path: Path) -> None:
    """Kill the second of three tasks, before its last event is in the log and, in another context's store, after."""
    await asyncio.gather(*(survives(point, when, tmp_path / when) for when in ("at once", "late")))


async def survives(point: str, when: str, folder: Path) -> None:
    await asyncio.to_thread(folder.mkdir)
    async with restarting_agent(folder, "remembers") as agent:
        assert thread_of(await say(agent, "one")) == expected(1)
        await asyncio.to_thread((folder / f"die at {point}").write_text, when)
        seen = await say(agent, "two")
        assert (agent.deaths, seen.state) == (1, "TASK_STATE_COMPLETED")
        assert thread_of(seen) == expected(2)
        assert sorted(seen.response.split()) == ["<dig>", "<gather>", "<left>", "<right>", "<sift>"]
        assert thread_of(await say(agent, "three")) == expected(3)


async def test_a_conversation_is_the_same_after_kills_between_its_tasks(tmp_path: Path) -> None:
    async with restarting_agent(tmp_path, "remembers") as agent:
        for n, text in enumerate(TEXTS, 1):
            assert thread_of(await say(agent, text)) == expected(n)
            agent.signal(signal.SIGKILL)


async def test_a_task_that_kills_three_workers_fails_and_leaves_the_thread_as_it_was(tmp_path: Path) -> None:
    async with restarting_agent(tmp_path, "remembers") as agent:
        await say(agent, "one")
        death = tmp_path / "die at right:end"
        await asyncio.to_thread(death.write_text, "always")
        failed = await say(agent, "lost")
        assert failed.state == "TASK_STATE_FAILED"
        assert failed.said.startswith("3 workers in a row were lost")
        assert [meta["attempt"] for meta in failed.of_kind("attempt")] == [2, 3, 4]
        await asyncio.to_thread(death.unlink)
        assert thread_of(await say(agent, "two")) == expected(2)
