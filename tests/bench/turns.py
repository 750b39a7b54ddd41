"""`python -m tests.bench.turns FOLDER`: `first_event` of the checkout in FOLDER and of this one, task by task in turn.

Two versions that are measured one after the other differ by what else the machine does meanwhile. Here both stacks run
at the same time, and the tasks of a pair follow each other within some ten milliseconds. Printed are the medians of
both in ms, the median of the pairs' ratios (now / before), and the CPU a task of gateway and agent together, which is
0 where there is no /proc. Both sides use this environment's packages.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.asking import one_by_one
from tests.bench.client import Connection, connected
from tests.bench.processes import Stack, stack

_WARM_UP = 30


async def compare(before: Path, tasks: int) -> None:
    with tempfile.TemporaryDirectory(prefix="tailrace-turns-") as folder:
        async with (
            stack(Path(folder), root=before) as old,
            stack(Path(folder)) as new,
            connected(old.gateway.port) as to_old,
            connected(new.gateway.port) as to_new,
        ):
            sides: list[tuple[Stack, Connection]] = [(old, to_old), (new, to_new)]
            for _, connection in sides:
                await one_by_one(connection, _WARM_UP)
            cpu = [_cpu_s(here) for here, _ in sides]
            taken: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
            for number in range(tasks):
                for side in (0, 1) if number % 2 else (1, 0):
                    [first], [graph] = await one_by_one(sides[side][1], 1)
                    taken[side].append((first, graph))
            cpu = [(_cpu_s(here) - then) * 1000 / tasks for (here, _), then in zip(sides, cpu, strict=True)]
    for place, name in enumerate(("first event", "first event of the graph")):
        then, now = ([times[place] for times in side] for side in taken)
        ratio = median(b / a for a, b in zip(then, now, strict=True))
        print(f"{name}: {median(then):.1f} ms before, {median(now):.1f} ms now, {ratio:.2f} × by pairs")
    print(f"CPU a task: {cpu[0]:.1f} ms before, {cpu[1]:.1f} ms now")


def _cpu_s(here: Stack) -> float:
    return (here.agent.cpu_s() or 0.0) + (here.gateway.cpu_s() or 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.turns", description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkout of another version")
    parser.add_argument("--tasks", type=int, default=300, help="tasks of each side (default: 300)")
    given = parser.parse_args()
    asyncio.run(compare(given.folder.resolve(), given.tasks))


if __name__ == "__main__":
    main()
