"""`python -m tests.chaos`: kill, stop, cut and misdirect the real processes, and check every promise.

Exits with 1 when a promise was broken; the evidence is then kept in .cache/chaos.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.campaign import Tally, campaign
from tests.chaos.profiles import PROFILES, SHORT, Profile

_FOLDER = Path(__file__).parents[2] / ".cache" / "chaos"
_SHOWN_VIOLATIONS = 40


def main() -> int:
    options = _parser().parse_args()
    profile_name = options.profile or (SHORT.name if options.round is not None else None)
    shares = [
        (profile, options.faults if profile_name else max(1, round(options.faults * profile.share)))
        for profile in PROFILES
        if profile_name in (None, profile.name)
    ]
    folder = _FOLDER / f"{options.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    print(f"chaos: seed {options.seed}, {options.faults:,} faults", flush=True)
    tally = Tally(options.seed)
    asyncio.run(_run(tally, folder, shares, options.round))
    print(tally.table(), flush=True)
    if not tally.violations:
        shutil.rmtree(folder)
        return 0
    for violation in tally.violations[:_SHOWN_VIOLATIONS]:
        print(str(violation)[:1_000], flush=True)
    print(f"{len(tally.violations)} violations; the evidence is in {folder}")
    for path in sorted(folder.glob("*/round-*.txt")):
        number = path.stem.partition("-")[2]
        print(f"to repeat: make chaos SEED={options.seed} PROFILE={path.parent.name} ROUND={number}")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seed",
        type=_whole_number(0),
        default=random.SystemRandom().randrange(1_000_000),
        help="decides all faults (default: a random one, which is printed)",
    )
    parser.add_argument("--faults", type=_whole_number(1), default=10_000, help="how many faults (default: 10000)")
    names = [profile.name for profile in PROFILES]
    parser.add_argument("--profile", choices=names, help="run this profile only (default: all, each with its share)")
    parser.add_argument(
        "--round", type=_whole_number(1), help=f"repeat this round only (of the profile {SHORT.name} by default)"
    )
    return parser


def _whole_number(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return parse


async def _run(tally: Tally, folder: Path, shares: list[tuple[Profile, int]], only: int | None) -> None:
    """Run a campaign for each profile with its share of the faults, or only one round of it."""
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:7.0f} s  {line}", flush=True)

    for profile, faults in shares:
        evidence = folder / profile.name
        evidence.mkdir(parents=True)
        try:
            await campaign(evidence, profile, tally, faults=faults, only=only, say=say)
        except pytest.skip.Exception as reason:
            say(f"{profile.name} is skipped: {reason}")


if __name__ == "__main__":
    sys.exit(main())
