"""A run outlives its process: killed at any point, it is taken over, and comes to the same end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from mortals import mortal, watch
from sample_agents.mortal import POINTS

pytestmark = pytest.mark.asyncio

REPORT = {
    "gather": "<gather gather>\n",
    "left": "<left left>\n",
    "right": "<right right>\n",
    "dig": "<dig dig>\n",
    "sift": "<sift sift>\n",
    "look": "<look>\n",
    "tell": "<tell tell>\n",
}


def parts_of(report: str) -> list[str]:
    """The report as the words each node wrote; parallel nodes write in each other's words."""
    return sorted(report.replace(">", "").replace("<", "").split())


EXPECTED = parts_of("".join(REPORT.values()))


@pytest.mark.parametrize("when", ["at once", "late"])
@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_any_point_a_run_comes_to_the_same_end(point: str, when: str, tmp_path: Path) -> None:
    (tmp_path / f"die at {point}").write_text(when)
    async with mortal(tmp_path) as agent:
        seen = await watch(agent, "go")
        assert agent.deaths == 1
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert seen.state == "TASK_STATE_COMPLETED"
    assert parts_of(seen.report) == EXPECTED
    (attempt,) = seen.of_kind("attempt")
    assert (attempt["attempt"], attempt["reason"]) == (2, "worker lost")
    # A step that is superseded begins again; one that is not, does not.
    started = Counter(meta["step"] for meta in [*seen.of_kind("node_start"), *seen.of_kind("tool_start")])
    again = {step for step, times in started.items() if times > 1}
    ran = {meta["step"] for meta in seen.of_kind("node_start")}
    assert again & ran == set(attempt["supersedes"]) & ran
    ended = Counter(meta["step"] for meta in seen.of_kind("node_end") if not meta.get("error"))
    assert set(ended) == ran
