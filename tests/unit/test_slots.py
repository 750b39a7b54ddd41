"""The slots of a process: how many tasks it works on at once."""

from __future__ import annotations

import asyncio

from tailrace.agent.slots import Slots


async def starts_nothing(task_id: str) -> None:
    pass


async def test_a_task_whose_start_becomes_a_run_has_one_slot_at_every_moment() -> None:
    """Else a new task would be refused below the limit, if its request came at that moment."""
    slots = Slots(2, starts_nothing)
    running = asyncio.Event()

    async def start() -> None:
        await asyncio.sleep(0)
        slots.take()  # as a run does that outlives its start
        running.set()

    assert slots.wait_for_one("t")
    starting = slots.begin("t", start)
    full: list[bool] = []
    while not (running.is_set() and starting not in slots.starting):
        await asyncio.sleep(0)
        full.append(slots.full)
    assert full == [False] * len(full)
    slots.take()
    assert slots.full, "the run has kept its slot"
