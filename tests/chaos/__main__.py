"""`make chaos`: the long form. Exit status 1 when a promise was broken; then the evidence is kept.

SEED=n and FAULTS=n say which and how many; PROFILE=name is one of `profiles.py` only, ROUND=n that round of it.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.campaign import Tally, campaign
from tests.chaos.profiles import PROFILES, SHORT, Profile

_FOLDER = Path(__file__).parents[2] / ".cache" / "chaos"


async def run(tally: Tally, folder: Path, chosen: list[tuple[Profile, int]], only: int | None) -> None:
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.0f} s  {line}", flush=True)

    for profile, faults in chosen:
        place = folder / profile.name
        place.mkdir(parents=True)
        try:
            await campaign(place, profile, tally, faults=faults, only=only, say=say)
        except pytest.skip.Exception as reason:
            say(f"{profile.name}: left out. {reason}")


def main() -> int:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
    faults = int(os.environ.get("FAULTS") or 10_000)
    only = int(os.environ["ROUND"]) if os.environ.get("ROUND") else None
    wanted = os.environ.get("PROFILE") or (SHORT.name if only is not None else "")
    chosen = [
        (profile, faults if wanted else max(1, round(faults * profile.share)))
        for profile in PROFILES
        if wanted in ("", profile.name)
    ]
    if not chosen:
        print(f"PROFILE has value {wanted!r}, but must be one of {[profile.name for profile in PROFILES]}.")
        return 2
    folder = _FOLDER / f"{seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    print(f"chaos: seed {seed}, {faults:,} faults", flush=True)
    tally = Tally(seed)
    asyncio.run(run(tally, folder, chosen, only))
    print(tally.table(), flush=True)
    if not tally.violations:
        shutil.rmtree(folder)
        return 0
    for violation in tally.violations[:40]:
        print(str(violation)[:1_000], flush=True)
    print(f"{len(tally.violations)} violations; the evidence is in {folder}")
    for path in sorted(folder.glob("*/round-*.txt")):
        print(f"to repeat: make chaos SEED={seed} PROFILE={path.parent.name} ROUND={path.stem.partition('-')[2]}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
