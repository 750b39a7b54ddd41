"""An agent that asks is killed at every write to its stores: each answer is taken once, and nothing runs unasked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.events import artifact_text
from tests.support.kill_points import killed_at_every_write
from tests.support.restarting_agent import Watched, restarting_agent, watch

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

# What is open at each wait, if the first question by its value is answered each time.
WAITS = [["Blue?", "Red?"], ["Red?"], ["Sure?"], ["publish"]]


def open_questions(seen: Watched) -> dict[str, str]:
    """The ids of the open questions by their text; a breakpoint goes by its node."""
    parts = seen.events[-1]["statusUpdate"]["status"]["message"]["parts"]
    return dict(sorted((_name(each), each["id"]) for each in parts[1]["data"]["interrupts"]))


def _name(question: dict[str, Any]) -> str:
    value = question["value"]
    if isinstance(value, str):
        return value
    return str(value["nodes"][0] if "breakpoint" in value else value["question"])


async def run(folder: Path, **variables: str) -> int:
    """Run the agent to its end, and answer one question at a time. Return how many writes it made."""
    await asyncio.to_thread(folder.mkdir)
    async with restarting_agent(folder, "approvals", **variables) as agent:
        seen, waits = await watch(agent, "go"), []
        while seen.state == "TASK_STATE_INPUT_REQUIRED":
            assert not (folder / "published").exists(), "it was published before anybody has allowed it"
            opened = open_questions(seen)
            waits.append(list(opened))
            name, question_id = next(iter(opened.items()))
            answer = "yes" if name == "Sure?" else f"answer to {name}"
            reply: Any = "" if name == "publish" else {"data": {"answers": {question_id: answer}}}
            seen = await watch(agent, reply, watched=seen, message_id=f"reply {len(waits)}")
        assert agent.deaths <= (folder / "died").exists()
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert (seen.state, seen.response) == ("TASK_STATE_COMPLETED", "answer to Blue?, answer to Red? yes")
    assert sorted(artifact_text(seen.events, "notes").split()) == ["blue.", "red."]
    assert waits == WAITS
    return (folder / "writes").stat().st_size


async def test_a_process_that_asks_may_die_at_a_write_before_it_or_after_it(tmp_path: Path) -> None:
    writes, died = await killed_at_every_write(tmp_path, run)
    assert writes > 20
    assert died > 20
