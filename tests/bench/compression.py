"""`python -m tests.bench.compression`: ISA-L, which compresses what is stored, beside Python's zlib at the same level.

For batches of events: the bytes that are left, and the CPU time to compress and to read them again, in µs an event (the
least of five rounds). A model's text differs from event to event, and progress hardly does.
"""

from __future__ import annotations

import random
import time
import uuid
import zlib
from collections.abc import Callable
from functools import partial

from tailrace import events
from tailrace.events import Details, Part, Source
from tailrace.stores import compression

_SIZES = (3, 10, 100, 270)
_ROUNDS, _TIMES = 5, 200
_LEVEL = 1

_random = random.Random(1)
_step = str(uuid.UUID(int=1))
_source = Source(_step, _step, "orchestrator", 1)


def _progress(seq: int) -> bytes:
    return events.status_update(_source, seq, "progress", Details(step=_step, done=seq), text="tick")


def _token(seq: int) -> bytes:
    words = "".join(_random.choices("etaoin shrdlu", k=20))
    return events.artifact_update(_source, seq, "token", "response", Part(text=words), append=True, step=_step)


def _us(work: Callable[[], object], count: int) -> float:
    """The CPU time of `work` in µs, over `count`."""
    least = float("inf")
    for _ in range(_ROUNDS):
        start = time.process_time()
        for _ in range(_TIMES):
            work()
        least = min(least, time.process_time() - start)
    return least * 1e6 / _TIMES / count


def main() -> None:
    print("                       bytes left        µs to compress    µs to read")
    print("                       zlib    ISA-L     zlib    ISA-L     zlib    ISA-L")
    for name, made in (("progress", _progress), ("a model's text", _token)):
        for count in _SIZES:
            joined = b"\n".join(made(seq) for seq in range(1, count + 1))
            theirs, ours = zlib.compress(joined, _LEVEL), compression.compress(joined)
            figures = (
                _us(partial(zlib.compress, joined, _LEVEL), count),
                _us(partial(compression.compress, joined), count),
                _us(partial(zlib.decompress, theirs), count),
                _us(partial(compression.decompress, ours), count),
            )
            sizes = f"{len(theirs):7,} {len(ours):8,}"
            print(
                f"{name:15}{count:4}  {sizes}  {figures[0]:7.2f} {figures[1]:8.2f}  {figures[2]:7.2f} {figures[3]:8.2f}"
            )


if __name__ == "__main__":
    main()
