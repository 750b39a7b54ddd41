"""A run that may sleep soon is looked at often, and a look costs little."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from tailrace.agent.sleep import Sleep
from tailrace.authoring.run_context import WaitingCall
from tailrace.config import Settings
from tailrace.log import Head
from tailrace.log.memory import MemoryLog
from tailrace.owner import owner_within


async def test_a_run_that_stays_awake_asks_a_specialist_once_to_be_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is looked at: each time is a write into the specialist's task."""
    log, asked = MemoryLog(), list[str]()
    request_wake = log.request_wake

    async def note(task_id: str, wakes: str) -> None:
        asked.append(task_id)
        await request_wake(task_id, wakes)

    monkeypatch.setattr(log, "request_wake", note)
    for task_id in ("works", "is orphaned"):
        owner = owner_within("alice", "sleeper")
        await log.create(Head(task_id=task_id, owner=owner, context_id="c", agent="specialist"), b"{}")
    await log.claim("works", "a worker", 60)
    remotes = {task_id: SimpleNamespace(task_id=task_id, cursor=1) for task_id in ("works", "is orphaned")}
    waiting = {name: WaitingCall(remote, name, True, -math.inf) for name, remote in remotes.items()}  # type: ignore[arg-type]
    run: Any = SimpleNamespace(settings=Settings(sleep_after_s=1), waiting=waiting, left={})
    sleep = Sleep(log, Head(task_id="sleeper", owner="alice", context_id="c", agent="front", attempt=1), run)
    assert [await sleep.prepared() for _ in range(3)] == [False] * 3
    assert asked == ["works"]
    # What it has heard since then is another reason to ask.
    remotes["works"].cursor = 2
    assert not await sleep.prepared()
    assert asked == ["works", "works"]
