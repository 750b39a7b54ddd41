"""The sweeper finds due deliveries, so a webhook does not depend on anybody reading its task."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sweeper.sweep import sweep_webhooks
from tailrace.a2a.client import new_http
from tailrace.agent.dispatch import Dispatch
from tailrace.config import Settings
from tailrace.events import submitted
from tailrace.log import Head
from tailrace.log.memory import MemoryLog
from tailrace.log.sqlite import SQLiteLog
from tailrace.push import Webhook, Webhooks, delivery, open_webhooks
from tailrace.push.store import MemoryWebhooks
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message_of
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent
from tests.support.webhook_receiver import ASKED, deliveries_have_ended, receiver, sending, told

LEASE = {"lease_s": 2.0, "renew_s": 0.4}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry and deliver again without a pause."""
    monkeypatch.setattr(delivery, "PAUSE_S", 0.001)
    monkeypatch.setattr(delivery, "FIRST_RETRY_S", 0.001)


@dataclass
class Stage:
    """The data of an agent, and a sweeper that dispatches to the agent that is running."""

    folder: Path
    log: SQLiteLog
    hooks: Webhooks

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        log = SQLiteLog(self.folder / "log.sqlite3")
        options = {"data_dir": str(self.folder), "push_internal": 1, **LEASE}
        async with agent(hello_world(), log=log, store="sqlite", **options) as served:
            yield served

    async def sweep(self, served: Agent) -> int:
        settings = Settings(**LEASE, dispatch=f"hello_world={served.url}/")
        async with new_http() as http:
            dispatch = Dispatch(settings, http)
            count = await sweep_webhooks(self.log, self.hooks, dispatch, settings)
            await dispatch.close()
        return count

    async def until_due(self) -> None:
        """Wait until a delivery is due."""
        async with asyncio.timeout(60):
            while not await self.hooks.due_tasks(10):
                await asyncio.sleep(0.01)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, SQLiteLog(tmp_path / "log.sqlite3"), open_webhooks(Settings(data_dir=str(tmp_path))))
    yield stage
    await stage.log.close()
    await stage.hooks.close()


async def test_webhooks_of_an_unreachable_agent_do_not_block_others() -> None:
    now = 1_700_000_000.0
    log, hooks = MemoryLog(clock=lambda: now), MemoryWebhooks(clock=lambda: now)
    dispatched: list[str] = []

    async def dispatch(head: Head) -> bool:
        dispatched.append(head.task_id)
        return True

    tasks = [f"away-{number}" for number in range(7)]
    for task_id in tasks:
        head = Head(task_id=task_id, owner="o", context_id="c", agent="away")
        await log.create(head, submitted(head.source, message_of(message_id=task_id)))
    for number, task_id in enumerate([*tasks, "forgotten", "forgotten too"]):  # the last two have no task
        await hooks.put(Webhook(task_id=task_id, id="h", url="https://example.org", due=1 + number))
    settings = Settings(sweep_tasks=3)
    for _ in range(3):
        now += 15
        await sweep_webhooks(log, hooks, dispatch, settings)  # type: ignore[arg-type]
    assert dispatched == tasks
    now += 15
    await sweep_webhooks(log, hooks, dispatch, settings)  # type: ignore[arg-type]
    assert dispatched[7:] == tasks[:3]


async def test_a_sweep_delivers_the_rest_to_a_webhook_that_was_down(stage: Stage) -> None:
    async with receiver([500] * delivery.TRIES) as hook, stage.agent() as served:
        task = (await served.result("SendMessage", sending("hello", hook)))["task"]
        await hook.until(lambda: len(hook.got) == delivery.TRIES)
        await stage.until_due()
        assert await stage.sweep(served) == 1
        del hook.got[: delivery.TRIES]
        await told(served, task["id"], hook)
        await deliveries_have_ended()
        assert await stage.sweep(served) == 0


async def test_a_sweep_delivers_what_a_dead_process_left_undelivered(stage: Stage) -> None:
    hold = asyncio.Event()
    async with receiver(hold=hold) as hook:
        async with stage.agent() as served:
            task = (await served.result("SendMessage", sending("hello", hook)))["task"]
            await hook.until(lambda: hook.got)
        hold.set()
        hook.got.clear()  # it was not acknowledged
        async with stage.agent() as served:
            await stage.until_due()
            assert await stage.sweep(served) == 1
            await told(served, task["id"], hook)


async def test_nothing_is_due_to_a_webhook_that_has_every_event_of_a_waiting_task(stage: Stage) -> None:
    async with receiver() as hook, stage.agent() as served:
        task = (await served.result("SendMessage", sending("ask", hook)))["task"]
        await told(served, task["id"], hook, ASKED)
        await deliveries_have_ended()
        (kept,) = await stage.hooks.list(task["id"])
        assert (kept.due, kept.lease_until) == (0, 0)
        reply = sending("payments", hook)["message"] | {"taskId": task["id"]}
        await served.result("SendMessage", {"message": reply})
        await told(served, task["id"], hook)


async def test_reading_a_task_without_due_deliveries_writes_nothing(stage: Stage) -> None:
    async with receiver() as hook, stage.agent() as served:
        task = (await served.result("SendMessage", sending("hello", hook)))["task"]
        await told(served, task["id"], hook)
        await deliveries_have_ended()
        before = await stage.hooks.list(task["id"])
    async with stage.agent() as another:
        await another.result("GetTask", {"id": task["id"]})
        await deliveries_have_ended()
        assert await stage.hooks.list(task["id"]) == before


async def test_a_webhook_that_never_answers_is_given_up(stage: Stage) -> None:
    async with receiver([500] * 1000) as hook, stage.agent() as served:
        task = (await served.result("SendMessage", sending("hello", hook)))["task"]
        for number in range(1, delivery.MAX_DELIVERIES + 1):
            await hook.until(lambda wanted=number * delivery.TRIES: len(hook.got) == wanted)
            await deliveries_have_ended()
            (kept,) = await stage.hooks.list(task["id"])
            assert kept.failures == number
            if number < delivery.MAX_DELIVERIES:
                await stage.until_due()
                assert await stage.sweep(served) == 1
        assert (kept.due, await stage.sweep(served)) == (0, 0)
        assert hook.got == [hook.got[0]] * len(hook.got), "every try sends the first event"


async def test_the_webhook_of_an_expired_task_is_ignored(stage: Stage) -> None:
    async with receiver() as hook, stage.agent() as served:
        await stage.hooks.put(Webhook(task_id="long gone", id="a", url=hook.url, due=1))
        assert await stage.sweep(served) == 0


async def test_a_sweep_skips_a_delivery_in_progress(stage: Stage) -> None:
    hold = asyncio.Event()
    async with receiver(hold=hold) as hook, stage.agent() as served:
        await served.result("SendMessage", sending("hello", hook))
        await hook.until(lambda: hook.got)
        assert await stage.sweep(served) == 0
        hold.set()
        await hook.ended()


def test_a_delivery_is_retried_for_seventeen_hours() -> None:
    """As docs/DELIVERY.md promises."""
    pauses = [60 * 2**number for number in range(delivery.MAX_DELIVERIES - 1)]
    assert 17 * 3600 < sum(pauses) < 17.1 * 3600
