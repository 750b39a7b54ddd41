"""A new task is begun by its creator without a read: nobody can have written anything that its fence would not meet."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace.a2a.types import UserMessage
from tailrace.events import Part, status_update
from tailrace.log import Batch, EventLog, Head
from tailrace.log.conversations import Conversations
from tests.support.stuck_tasks import OWNER, Stuck, stuck

pytestmark = pytest.mark.asyncio


def hello(message_id: str = "m", context_id: str | None = None) -> UserMessage:
    return UserMessage(message_id=message_id, role="ROLE_USER", parts=[Part(text="hello")], context_id=context_id)


def requests_of(this: Stuck, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the log's requests from now on, without those that a request of the memory log makes itself."""
    requests, inside = list[str](), False

    def note(store: Any, name: str) -> None:
        method = getattr(store, name)

        async def noted(*arguments: Any, **options: Any) -> Any:
            nonlocal inside
            if inside:
                return await method(*arguments, **options)
            requests.append(name)
            inside = True
            try:
                return await method(*arguments, **options)
            finally:
                inside = False

        monkeypatch.setattr(store, name, noted)

    for store, contract in ((this.log, EventLog), (this.log.conversations, Conversations)):
        for name in contract.__abstractmethods__ - {"close"}:
            note(store, name)
    return requests


async def test_a_new_task_takes_no_read_before_its_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stuck() as this:
        requests = requests_of(this, monkeypatch)
        task_id = (await this.tasks.send(hello(), OWNER)).task_id
        # The task with its conversation, its lease, its fence.
        assert requests[:3] == ["create_or_find", "claim", "append"]
        assert "read" not in requests
        await this.tasks.until_idle()
        assert await this.state(task_id) == "TASK_STATE_COMPLETED"


async def test_a_later_task_of_a_context_takes_only_the_reads_of_its_conversation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stuck() as this:
        await this.tasks.send(hello("first", "c"), OWNER)
        await this.tasks.until_idle()
        requests = requests_of(this, monkeypatch)
        await this.tasks.send(hello("later", "c"), OWNER)
        assert requests[:6] == ["get", "last", "read", "create_or_find", "claim", "append"]


async def test_a_task_that_the_gateway_created_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stuck() as this:
        head = await this.create("t")
        requests = requests_of(this, monkeypatch)
        await this.tasks.ensure_running(head)
        assert requests[:5] == ["claim", "read", "get", "claim", "append"]
        await this.tasks.until_idle()
        assert await this.state("t") == "TASK_STATE_COMPLETED"


async def test_a_repeated_message_begins_the_task_that_its_creator_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The creator died before it had the lease. The same message comes again, and the log is read as ever."""
    async with stuck() as this:
        monkeypatch.setattr(this.log, "claim", dies)
        with pytest.raises(Died):
            await this.tasks.send(hello(context_id="c"), OWNER)
        monkeypatch.undo()
        task_id = (await this.tasks.send(hello(context_id="c"), OWNER)).task_id
        await this.tasks.until_idle()
        assert await this.state(task_id) == "TASK_STATE_COMPLETED"


class Died(BaseException):
    """The process has died."""


async def dies(*_: Any) -> None:
    raise Died


async def test_a_task_that_was_ended_before_its_creator_began_it_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is in the log, and not yet in its head, when its creator takes the lease."""
    async with stuck() as this:
        claim = this.log.claim

        async def claim_late(task_id: str, owner: str, lease_s: float) -> Head:
            head = await claim(task_id, owner, lease_s)
            end = status_update(head.source, 2, "state", state="TASK_STATE_CANCELED")
            await this.log.append(task_id, Batch(2, 0, [end]))
            return head

        monkeypatch.setattr(this.log, "claim", claim_late)
        task_id = (await this.tasks.send(hello(), OWNER)).task_id
        await this.tasks.until_idle()
        assert await this.log.last(task_id) == 2
        assert await this.state(task_id) == "TASK_STATE_CANCELED"
        assert (await this.log.head(task_id)).state == "TASK_STATE_CANCELED"
