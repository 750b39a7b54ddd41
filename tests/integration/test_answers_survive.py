"""An agent that says more than its answer is killed at every point: what its readers have at the end is the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.sample_agents.talkative import POINTS
from tests.support.events import artifact_text, metadata, of_kind, said
from tests.support.restarting_agent import restarting_agent, watch

pytestmark = pytest.mark.asyncio

RESPONSE = "Working. \n\nWrite to [EMAIL], then wait."
TOLD = {"classify": '{"route": "scout"}', "scout": "Let me look around.It is quiet."}


@pytest.mark.parametrize("point", POINTS)
async def test_the_answer_is_the_same_wherever_the_run_is_killed(point: str, tmp_path: Path) -> None:
    """Kill one run before its last event is in the log, and another one after."""
    await asyncio.gather(*(survives(point, when, tmp_path / when) for when in ("at once", "late")))


async def survives(point: str, when: str, folder: Path) -> None:
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread((folder / f"die at {point}").write_text, when)
    async with restarting_agent(folder, "talkative") as agent:
        seen = await watch(agent, "go")
        assert agent.deaths == 1
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert seen.state == "TASK_STATE_COMPLETED"
    assert (seen.response, artifact_text(seen.events, "notes")) == (RESPONSE, "Looked. ")
    results = {event["artifactUpdate"]["artifact"]["name"] for event in of_kind(seen.events, "result")}
    assert results == {"look call-1"}
    (fence,) = of_kind(seen.events, "attempt")
    void, fenced = set(metadata(fence)["supersedes"]), metadata(fence)["seq"]
    told: dict[str, str] = {}
    for event in of_kind(seen.events, "message"):
        meta = metadata(event)
        if meta["step"] not in void or meta["seq"] > fenced:
            told[meta["name"]] = told.get(meta["name"], "") + said(event)
    assert told == TOLD
    starts = {meta["step"] for meta in seen.of_kind("node_start")}
    assert {meta["step"] for meta in seen.of_kind("node_end")} | void == starts | void
    used = sum(meta["usage"]["calls"] for meta in seen.of_kind("usage"))
    assert metadata(seen.events[-1])["usage"]["calls"] == used >= 4


async def test_after_a_kill_the_answer_of_the_turn_before_is_not_the_answer(tmp_path: Path) -> None:
    async with restarting_agent(tmp_path, "talkative") as agent:
        first = await watch(agent, "go", context_id="talk")
        assert first.response == RESPONSE
        await asyncio.to_thread((tmp_path / "die at rest:start").write_text, "late")
        second = await watch(agent, "be quiet", context_id="talk", message_id="m-2")
        assert agent.deaths == 1
    assert (second.state, second.response) == ("TASK_STATE_COMPLETED", "")
