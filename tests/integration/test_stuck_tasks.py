"""A task that no worker can begin is finished from its head alone, and does not block other tasks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from sweeper.sweep import sweep
from tailrace.config import Settings
from tailrace.errors import CheckpointsUnavailable, LogUnreadable
from tailrace.events import TERMINAL, status_update
from tailrace.log import Batch, Head
from tailrace.log.fence import put_fence
from tests.support.stuck_tasks import OWNER, TOO_DEEP, UNREADABLE, Stuck, stuck

pytestmark = pytest.mark.asyncio

# The tries before a task fails.
TRIES = 10


class Sweeps:
    """Sweeps whose dispatches reach the agent at once. `dispatched` are the tasks of the last sweep."""

    def __init__(self, this: Stuck, settings: Settings) -> None:
        self._this = this
        self._settings = settings
        self.dispatched: list[str] = []
        self.times: dict[str, int] = {}

    async def __call__(self) -> None:
        self._this.now += 15
        self.dispatched = []
        await sweep(self._this.log, self._dispatch, self._settings)  # type: ignore[arg-type]
        await self._this.tasks.until_idle()

    async def _dispatch(self, head: Head) -> bool:
        self.dispatched.append(head.task_id)
        self.times[head.task_id] = self.times.get(head.task_id, 0) + 1
        await self._this.tasks.ensure_running(head)
        return True


async def killed(this: Stuck, task_id: str) -> None:
    """Create a task whose worker died after it began."""
    await this.create(task_id)
    claimed = await this.log.claim(task_id, "dead", 10)
    await put_fence(this.log, claimed, lambda seq: status_update(claimed.source, seq, "state"))
    await this.log.update_state(task_id, claimed.attempt, "TASK_STATE_WORKING", release=False)


async def test_a_start_goes_on_when_the_reader_that_asked_for_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim without an attempt would cost the task the time of a lease, and one of its tries."""
    async with stuck() as this:
        begun, may_go_on = asyncio.Event(), asyncio.Event()
        append = this.log.append

        async def held(task_id: str, batch: Batch) -> None:
            begun.set()
            await may_go_on.wait()
            await append(task_id, batch)

        monkeypatch.setattr(this.log, "append", held)
        reader = asyncio.create_task(this.tasks.ensure_running(await this.create("t")))
        await begun.wait()
        reader.cancel()
        await asyncio.wait([reader])
        may_go_on.set()
        await this.tasks.until_idle()
        head = await this.log.head("t")
        assert (head.state, head.attempt) == ("TASK_STATE_COMPLETED", 1)


async def test_five_hundred_stuck_tasks_do_not_block_the_recovery_of_a_healthy_one() -> None:
    settings = Settings()
    async with stuck() as this:
        for number in range(500):
            await this.create(f"stuck-{number:03}", UNREADABLE)
        this.now += 1
        await killed(this, "first")
        sweeps = Sweeps(this, settings)
        for _ in range(500 // settings.sweep_tasks + 1):  # older tasks come first
            await sweeps()
        assert "first" in sweeps.dispatched
        assert await this.state("first") == "TASK_STATE_COMPLETED"
        # All stuck tasks have been tried by now, so a new task goes first.
        for number in range(20):
            await killed(this, f"later-{number}")
            await sweeps()
            assert sweeps.dispatched[0] == f"later-{number}"
            assert await this.state(f"later-{number}") == "TASK_STATE_COMPLETED"
        for _ in range(2_000):
            if (await this.log.head("stuck-499")).state in TERMINAL and not sweeps.dispatched:
                break
            await sweeps()
        heads = [await this.log.head(f"stuck-{number:03}") for number in range(500)]
        assert {head.state for head in heads} == {"TASK_STATE_FAILED"}
        assert {head.attempt for head in heads} == {TRIES}
        assert {sweeps.times[head.task_id] for head in heads} == {TRIES}


async def test_tasks_of_an_unreachable_agent_back_off_and_are_never_given_up() -> None:
    """They neither began nor failed, so they run when the agent is reachable again."""
    settings = Settings(sweep_tasks=10)
    async with stuck() as this:
        for number in range(30):
            await this.create(f"away-{number:02}", agent="away")
        sweeps = Sweeps(this, settings)  # the agent `a` ignores tasks of other agents
        for _ in range(4 * 60 * 24):  # a day
            await sweeps()
        assert {(await this.log.head(f"away-{number:02}")).state for number in range(30)} == {"TASK_STATE_SUBMITTED"}
        assert max(sweeps.times.values()) < 40  # seven in the first 21 minutes, then about one per hour
        assert min(sweeps.times.values()) > 24
        await killed(this, "honest")
        await sweeps()
        assert sweeps.dispatched[0] == "honest"


@pytest.mark.parametrize("event", [UNREADABLE, TOO_DEEP, b"no JSON at all", b'{"task": 5, "kind":"state"}'])
async def test_a_task_with_an_unreadable_request_fails_within_ten_tries(event: bytes) -> None:
    async with stuck() as this:
        await this.create("t", event)
        if b'"kind":"state"' in event:
            assert await this.looks_until_over("t") == TRIES
            text = await this.said("t")
            assert text.startswith(
                "No worker could take the task up, in 10 tries. The last one failed: Event 1 of task"
            )
            assert len(text) < 700
        else:  # the request is lost
            assert await this.looks_until_over("t") == 1
            assert "was not created as a whole" in await this.said("t")
        assert await this.state("t") == "TASK_STATE_FAILED"


@pytest.mark.parametrize("event", [UNREADABLE, TOO_DEEP])
async def test_a_task_with_an_unreadable_request_can_be_cancelled(event: bytes) -> None:
    async with stuck() as this:
        await this.create("t", event)
        assert await this.state("t") == "TASK_STATE_SUBMITTED"  # GetTask works without the event
        await this.look("t")
        this.now += 11
        await this.tasks.cancel("t", OWNER)
        assert (await this.log.head("t")).state == await this.state("t") == "TASK_STATE_CANCELED"


@pytest.mark.parametrize("event", [UNREADABLE, TOO_DEEP])
async def test_a_cancel_does_not_wait_for_the_lease_of_a_failed_try(event: bytes) -> None:
    async with stuck() as this:
        await this.create("t", event)
        await this.look("t")
        assert (await this.log.head("t")).leased(this.log.now())  # and the clock does not move from here on
        await this.tasks.cancel("t", OWNER)
        assert (await this.log.head("t")).state == await this.state("t") == "TASK_STATE_CANCELED"


async def test_a_task_that_kills_every_worker_fails_from_its_head_alone() -> None:
    """The event that kills workers is not read again, not even for a cancel."""
    async with stuck() as this:
        for task_id in ("fails", "canceled"):
            await this.create(task_id)
            for _ in range(TRIES):
                await this.log.claim(task_id, "lost at once", 10)
                this.now += 11
        await this.log.request_cancel("canceled")
        reads: list[int] = []
        read = this.log.read

        async def counted(task_id: str, after: int = 0, limit: int = 1_000_000) -> list[Batch]:
            reads.append(after)
            return await read(task_id, after, limit)

        this.log.read = counted  # type: ignore[method-assign]
        assert await this.looks_until_over("fails") == 1
        assert await this.said("fails") == (
            "No worker could take the task up, in 10 tries. The last one was lost before it could say why."
        )
        reads.clear()
        assert await this.looks_until_over("canceled") == 1
        assert (await this.log.head("canceled")).state == "TASK_STATE_CANCELED"
        assert reads == [0]  # only the newest seq is read, to append the last event


async def test_a_task_with_a_damaged_log_fails_and_names_the_events() -> None:
    async with stuck() as this:
        await killed(this, "t")
        read = this.log.read

        async def damaged(task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
            if cursor == 0:
                raise LogUnreadable(task_id, 1, "incorrect header check", last=2)
            return await read(task_id, cursor, limit)

        this.log.read = damaged  # type: ignore[method-assign]
        assert await this.looks_until_over("t") == TRIES
        assert "The last one failed: Events 1 to 2 of task 't' cannot be read: incorrect header" in await this.said("t")
        assert await this.state("t") == "TASK_STATE_FAILED"


class FailingSaver(InMemorySaver):
    """Raises `error`, if it is set, instead of reading a checkpoint."""

    error: Exception | None = None

    async def aget_tuple(self, config: Any) -> Any:
        if self.error is not None:
            raise self.error
        return await super().aget_tuple(config)


async def test_an_unreadable_checkpoint_fails_the_task_with_a_reason() -> None:
    saver = FailingSaver()
    saver.error = ValueError("the checkpoint is of version 9, which this one does not know")
    async with stuck(saver) as this:
        await killed(this, "t")
        assert await this.looks_until_over("t") == TRIES
        assert "ValueError: the checkpoint is of version 9" in await this.said("t")


async def test_an_unavailable_store_does_not_count_against_the_task() -> None:
    saver = FailingSaver()
    saver.error = CheckpointsUnavailable("The checkpoints are away.")
    async with stuck(saver) as this:
        await killed(this, "t")
        for _ in range(5 * TRIES):
            assert (await this.look("t")).state == "TASK_STATE_WORKING"
        saver.error = None
        assert await this.looks_until_over("t") == 1
        assert await this.state("t") == "TASK_STATE_COMPLETED"


async def append(this: Stuck, task_id: str, event: bytes) -> None:
    head, last = await this.log.head(task_id), await this.log.last(task_id)
    await this.log.append(task_id, Batch(last + 1, head.attempt, [event]))


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"kind":"node_start","agent":"peer","attempt":1,"name":5}',
        b'{"kind":"node_start","agent":"a","attempt":1,"name":"x","step":"s","parent":"s"}',
        b'{"kind":"node_end","agent":"a","attempt":"one"}',
        b'{"kind":"progress"}',
        b'{"kind":"tool_start","agent":"a","attempt":1,"step":"s","asked":"me"}',
        b"7",
    ],
)
async def test_an_unreadable_progress_event_does_not_stop_a_run(metadata: bytes) -> None:
    async with stuck() as this:
        await killed(this, "t")
        event = b'{"statusUpdate":{"metadata":{"urn:tailrace:a2a:resume:1":' + metadata + b"}}}"
        await append(this, "t", event)
        assert await this.looks_until_over("t") == 1
        assert await this.state("t") == "TASK_STATE_COMPLETED"


async def test_an_artifact_part_without_content_is_skipped() -> None:
    async with stuck() as this:
        await killed(this, "t")
        meta = b'{"urn:tailrace:a2a:resume:1":{"kind":"token","agent":"a","attempt":1}}'
        await append(
            this, "t", b'{"artifactUpdate":{"artifact":{"artifactId":"r","parts":[{}]},"metadata":' + meta + b"}}"
        )
        assert await this.looks_until_over("t") == 1
        assert await this.state("t") == "TASK_STATE_COMPLETED"


async def test_an_unreadable_reply_fails_the_task() -> None:
    async with stuck() as this:
        await killed(this, "t")
        meta = b'{"urn:tailrace:a2a:resume:1":{"kind":"state","agent":"a","attempt":1}}'
        await append(this, "t", b'{"statusUpdate":{"status":{"message":"yes"},"metadata":' + meta + b"}}")
        assert await this.looks_until_over("t") == TRIES
        assert "Event 3 of task 't' cannot be read" in await this.said("t")
