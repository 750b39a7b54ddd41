"""An agent whose subgraph keeps its state is killed at every write: no text is lost or doubled, and no answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.kill_points import killed_at_every_write
from tests.support.restarting_agent import restarting_agent, watch

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

ANSWERS = ["red", "green", "blue", "white"]
TEXTS = ["blue", "called", "called", "first of 1", "first of 1", "first of 3", "first of 3", "green", "red", "white"]


async def run(folder: Path, **variables: str) -> int:
    """Run the agent to its end, and answer its questions. Return how many writes it made."""
    await asyncio.to_thread(folder.mkdir)
    async with restarting_agent(folder, "keeps_state", **variables) as agent:
        seen, asked = await watch(agent, "go"), []
        while seen.state == "TASK_STATE_INPUT_REQUIRED":
            (question,) = seen.events[-1]["statusUpdate"]["status"]["message"]["parts"][1]["data"]["interrupts"]
            asked.append(question["value"])
            seen = await watch(agent, ANSWERS[len(asked) - 1], watched=seen, message_id=f"reply {len(asked)}")
        assert agent.deaths <= (folder / "died").exists()
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert seen.state == "TASK_STATE_COMPLETED", seen.said
    assert sorted(seen.response.removesuffix(". ").split(". ")) == TEXTS
    assert asked == ["Colour?"] * 4
    return (folder / "writes").stat().st_size


async def test_an_agent_whose_subgraph_keeps_its_state_may_die_at_a_write_before_it_or_after_it(tmp_path: Path) -> None:
    writes, died = await killed_at_every_write(tmp_path, run)
    assert writes > 20
    assert died > 20
