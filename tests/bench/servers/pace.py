"""What the paced servers share: a gate that the load client opens, and events on time."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator

_gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


async def gate(name: str) -> None:
    """Wait until the load client has opened the gate `name`; the empty name is open."""
    if name:
        await _gates[name].wait()


def open_gate(name: str) -> None:
    _gates[name].set()


async def times(events: int, interval_s: float, phase: float) -> AsyncIterator[int]:
    """`events` times, in ns, each when it is due: one an interval, the first after `phase` of an interval.

    Whoever falls behind gets the next at once: what is late is late, and no event is left out.
    """
    begin = time.monotonic_ns() + int(phase * interval_s * 1e9)
    for number in range(events):
        due = begin + int(number * interval_s * 1e9)
        await asyncio.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        yield due
