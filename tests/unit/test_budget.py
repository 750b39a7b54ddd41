"""An analysis takes the CPU time it may take, and leaves the event loop to others while it does."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from tests.support.conditions import eventually
from triage.budget import Budget, in_turns


def until_exhausted(budget: Budget) -> Generator[None, None, int]:
    steps = 0
    while not budget.exhausted:
        steps += 1
        yield
    return steps


async def test_work_that_asks_its_budget_ends_when_it_is_exhausted() -> None:
    budget = Budget(0.03)
    assert await in_turns(until_exhausted(budget), budget) > 1
    assert budget.spent >= 0.03


async def test_the_event_loop_runs_while_work_goes_on() -> None:
    budget = Budget(0.2)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    await in_turns(until_exhausted(budget), budget)
    other.cancel()
    assert turns > 3


async def test_work_can_be_cancelled() -> None:
    work = asyncio.create_task(in_turns(until_exhausted(budget := Budget(3600)), budget))
    await eventually(lambda: budget.spent)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_what_others_do_meanwhile_is_not_counted() -> None:
    budget, other = Budget(0.02), Budget(0.4)
    await asyncio.gather(in_turns(until_exhausted(budget), budget), in_turns(until_exhausted(other), other))
    assert budget.spent < 0.2 < other.spent


def test_a_setting_says_how_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_ANALYSIS_S", "7.5")
    assert Budget.of_a_task().seconds == 7.5
