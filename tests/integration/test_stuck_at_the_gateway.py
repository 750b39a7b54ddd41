"""The gateway shows a task that its agent cannot read, and cancels it or fails it with a reason."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tailrace.agent.service import Tasks
from tailrace.log import Head
from tests.sample_agents import event_burst
from tests.support.conditions import eventually
from tests.support.gateway import System
from tests.support.in_process import system
from tests.support.stuck_tasks import OWNER, TOO_DEEP, UNREADABLE

LEASE = {"lease_s": 0.2, "renew_s": 0.1}


@pytest.fixture
async def sut(tmp_path: Path) -> AsyncIterator[System]:
    async with system(event_burst.builder, tmp_path, **LEASE) as running:
        yield running


async def stuck_at(sut: System, event: bytes) -> str:
    head = Head(task_id=str(uuid.uuid4()), owner=OWNER, context_id="c", agent="orchestrator")
    return (await sut.log.create(head, event)).task_id


async def state(sut: System, task_id: str) -> str:
    return str((await sut.http.get(f"/api/tasks/{task_id}")).json()["status"]["state"])


async def cancelled(sut: System, task_id: str) -> None:
    """Wait until the task is cancelled. A 202 may come before, if a live process takes longer than a lease."""

    async def is_cancelled() -> bool:
        return await state(sut, task_id) == "TASK_STATE_CANCELED"

    await eventually(is_cancelled)


@pytest.mark.parametrize("event", [UNREADABLE, TOO_DEEP])
async def test_an_unreadable_task_is_shown_and_can_be_cancelled(sut: System, event: bytes) -> None:
    task_id = await stuck_at(sut, event)
    assert await state(sut, task_id) == "TASK_STATE_SUBMITTED"
    assert (await sut.http.post(f"/api/tasks/{task_id}/cancel")).status_code == 202
    await cancelled(sut, task_id)

    async def is_finished() -> bool:
        return (await sut.http.post(f"/api/tasks/{task_id}/cancel")).status_code == 409

    await eventually(is_finished)  # the task's head has its state a moment after its last event


async def test_a_cancel_ends_an_unreadable_task_even_if_its_agent_fails(
    sut: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RecursionError("maximum recursion depth exceeded")

    task_id = await stuck_at(sut, UNREADABLE)
    monkeypatch.setattr(Tasks, "cancel", fail)
    assert (await sut.http.post(f"/api/tasks/{task_id}/cancel")).status_code == 202
    await cancelled(sut, task_id)


async def test_reading_an_unreadable_task_fails_it_with_a_reason(sut: System) -> None:
    task_id = await stuck_at(sut, UNREADABLE)
    seen = await sut.read(task_id)
    assert (seen.seqs, seen.state) == ([1, 2], "TASK_STATE_FAILED")
    text = seen.events[-1]["statusUpdate"]["status"]["message"]["parts"][0]["text"]
    assert text.startswith("No worker could take the task up, in 10 tries. The last one failed: Event 1 of task")
