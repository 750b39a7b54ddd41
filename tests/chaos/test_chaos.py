"""The short form of `make chaos`: a fixed seed and a fresh one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.campaign import Tally, campaign
from tests.chaos.profiles import OWNERS, SHORT, Profile

FIXED = 20_261
FAULTS = 40


async def survive(
    folder: Path, capsys: pytest.CaptureFixture[str], seed: int, faults: int, profile: Profile = SHORT
) -> Tally:
    """Run a campaign and check that it has no violations; print its seed and its totals in any case."""
    with capsys.disabled():
        print(f"\nchaos with seed {seed}: ", end="", flush=True)
        tally = Tally(seed)
        await campaign(folder, profile, tally, faults=faults, say=lambda _: None)
        taken_over = len(tally.takeovers[profile.lease_s])
        print(
            f"{tally.faults.total()} faults, {tally.tasks} tasks, {tally.attempts} attempts, {tally.readers} readers, "
            f"{tally.delivered:,} events, {taken_over} takeovers, {len(tally.violations)} violations"
        )
    if tally.violations:
        violations = "\n".join(map(str, tally.violations))
        pytest.fail(
            f"{violations}\nTo repeat: make chaos SEED={seed} PROFILE={profile.name} FAULTS={faults}; see {folder}"
        )
    return tally


async def test_nothing_is_lost_repeated_or_stuck(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tally = await survive(tmp_path, capsys, FIXED, FAULTS)
    assert tally.takeovers[SHORT.lease_s], "no task was taken over, so the campaign tested nothing"
    assert tally.recovered, "no reader reconnected, so the campaign tested nothing"


async def test_nothing_is_lost_repeated_or_stuck_under_a_fresh_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await survive(tmp_path, capsys, random.SystemRandom().randrange(1_000_000), FAULTS)


async def test_sessions_that_end_and_limits_that_are_met_cost_nothing_and_show_nobody_anothers_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = await survive(tmp_path, capsys, FIXED, OWNERS.faults - 10, OWNERS)
    assert min(tally.refused[401], tally.refused[429]) > 0, "no session ended, or no limit was met"
