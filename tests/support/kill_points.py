"""An agent that is killed at each of its writes, one run for each (`tests.sample_agents.dies_at_a_write`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

# How many runs are under way at once.
_AT_ONCE = 6


async def died_of(numbers: Iterable[int], run: Callable[[int], Awaitable[Path]]) -> int:
    """Run the agent once for each number of a write; return how many of the runs were killed.

    How many writes a run makes depends on how many events come together, so the last writes may not exist in each run.
    `run` returns the folder of its agent, and raises if the run did not end as it should.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def dies_at(number: int) -> bool:
        async with slots:
            try:
                folder = await run(number)
            except Exception as error:
                error.add_note(f"killed at write {number}")
                raise
            return await asyncio.to_thread((folder / "died").exists)

    return sum(await asyncio.gather(*map(dies_at, numbers)))


async def killed_at_every_write(folder: Path, run: Callable[..., Awaitable[int]]) -> tuple[int, int]:
    """Run the agent undisturbed, and then once for each write that it has made. Return how many, and how many died.

    `run` gets the agent's folder and variables, returns how many writes there were, and raises if the run did not end
    as it should.
    """
    writes = await run(folder / "undisturbed")

    async def killed_at(number: int) -> Path:
        # After a write the stores are as they are before the next one, so one of both is enough for each.
        await run(folder / str(number), DIES_AT=str(number), **late_if_odd(number))
        return folder / str(number)

    return writes, await died_of(range(1, writes + 1), killed_at)


def late_if_odd(number: int) -> dict[str, str]:
    """Variables of an agent that dies after its write of this number if it is odd, and before it if it is even."""
    return {"DIES_LATE": "1"} if number % 2 else {}
