"""How attempts take over from each other, in races that no kill can be timed for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from tailrace.a2a.client import new_http
from tailrace.agent.answers import Reply
from tailrace.agent.checkpoints.attempt_saver import AttemptSaver, packed, unpacked
from tailrace.agent.checkpoints.sqlite import open_sqlite
from tailrace.agent.recovery.history import WORKER_LOST, history_of
from tailrace.agent.recovery.takeover import take_over
from tailrace.agent.unowned import UnownedTasks
from tailrace.config import Settings
from tailrace.errors import Fenced
from tailrace.events import Message, Part, status_update, submitted
from tailrace.log import Batch, EventLog, Head
from tailrace.log.memory import MemoryLog
from tests.support.conditions import eventually
from tests.support.events import message_of

pytestmark = pytest.mark.asyncio


def message(text: str) -> Message:
    return message_of({"text": text}, message_id=text)


async def waiting(log: EventLog) -> Head:
    """Create a task whose first attempt has asked a question and released its lease."""
    head = Head(task_id="t", owner="o", context_id="c", agent="a")
    await log.create(head, submitted(head.source, message("go")))
    first = await log.claim("t", "first", 10)
    question = status_update(first.source, 2, "state", state="TASK_STATE_INPUT_REQUIRED", text="Which?")
    await log.append("t", Batch(2, 1, [question]))
    return await log.update_state("t", 1, "TASK_STATE_INPUT_REQUIRED", release=True)


async def test_one_of_two_replies_with_overlapping_attempts_is_accepted() -> None:
    """The lease of the first attempt expired; both attempts have seen that the task waits."""
    now = 1000.0
    log = MemoryLog(clock=lambda: now)
    await waiting(log)
    slow = await log.claim("t", "slow", 10)
    now += 11
    fast = await log.claim("t", "fast", 10)
    first = await take_over(log, InMemorySaver(), slow, WORKER_LOST, Reply(message("satin"), "t-2"))
    second = await take_over(log, InMemorySaver(), fast, WORKER_LOST, Reply(message("twill"), "t-2"))
    assert first is not None
    assert second is not None
    assert (first.replied, second.replied) == (True, False)
    history = await history_of(log, fast)
    assert [message.message_id for message in history.messages] == ["go", "satin"]
    assert history.attempt == 3  # which continues with the accepted reply


async def test_a_slow_attempt_does_not_fence_off_a_newer_one() -> None:
    now = 1000.0
    log = MemoryLog(clock=lambda: now)
    head = Head(task_id="t", owner="o", context_id="c", agent="a")
    await log.create(head, submitted(head.source, message("go")))
    slow = await log.claim("t", "slow", 10)
    now += 11
    newer = await take_over(log, InMemorySaver(), await log.claim("t", "newer", 10), WORKER_LOST, None)
    assert newer is not None
    with pytest.raises(Fenced):
        await take_over(log, InMemorySaver(), slow, WORKER_LOST, None)
    async with new_http() as http:
        with pytest.raises(Fenced):
            await UnownedTasks(log, http, Settings()).cancel(slow)
    assert await log.last("t") == newer.fence.last


async def test_a_waiting_task_asks_again_so_that_a_late_reply_is_refused() -> None:
    """Otherwise the task would be waiting in its head and working in its log, and nobody would run it."""
    now = 1000.0
    log = MemoryLog(clock=lambda: now)
    await waiting(log)
    slow = await log.claim("t", "slow", 10)
    now += 11
    assert await take_over(log, InMemorySaver(), await log.claim("t", "looks", 10), WORKER_LOST, None) is None
    with pytest.raises(Fenced):
        await take_over(log, InMemorySaver(), slow, WORKER_LOST, Reply(message("satin"), "t-2"))
    assert (await log.head("t")).state == "TASK_STATE_INPUT_REQUIRED"
    history = await history_of(log, slow)
    assert (history.state, history.last) == ("TASK_STATE_INPUT_REQUIRED", 3)
    assert history.question is not None
    assert history.question.parts == [Part(text="Which?")]


async def test_a_task_that_an_older_attempt_finished_is_not_run_again() -> None:
    log = MemoryLog()
    head = Head(task_id="t", owner="o", context_id="c", agent="a")
    await log.create(head, submitted(head.source, message("go")))
    dead = await log.claim("t", "dead", 0)
    await log.append("t", Batch(2, 1, [status_update(dead.source, 2, "state", state="TASK_STATE_COMPLETED")]))
    assert await take_over(log, InMemorySaver(), await log.claim("t", "me", 10), WORKER_LOST, None) is None
    assert (await log.head("t")).state == "TASK_STATE_COMPLETED"
    assert await log.last("t") == 2


async def logged(namespace: str, node: str | None, ran: bool) -> int:
    return 7


class TogetherSaver(InMemorySaver):
    """Saves a checkpoint only when as many are being saved as `together` says; `saved` has their steps."""

    def __init__(self, together: int) -> None:
        super().__init__()
        self._together = asyncio.Barrier(together)
        self.saved: list[int] = []

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        async with asyncio.timeout(60):
            await self._together.wait()
        for _ in range(5 if metadata["step"] < 0 else 0):
            await asyncio.sleep(0)  # The first one takes longer.
        self.saved.append(metadata["step"])
        return await super().aput(config, checkpoint, metadata, new_versions)


async def begin(inner: BaseCheckpointSaver[Any], begun: asyncio.Future[None], **metadata: Any) -> None:
    """Save the two checkpoints with which a graph begins, as LangGraph does."""
    saver = AttemptSaver(inner, 1, {}, logged, begun=begun)
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    first, second = empty_checkpoint(), empty_checkpoint()
    put = await saver.aput(config, first, {"step": -1, "source": "input"}, {})
    assert put["configurable"]["checkpoint_id"] == first["id"]
    beginning: Any = {"step": 0, "source": "loop", **metadata}
    put = await saver.aput(put, second, beginning, {})
    saved = await saver.aget_tuple(put)
    assert saved is not None
    assert saved.parent_config is not None
    assert saved.parent_config["configurable"]["checkpoint_id"] == first["id"]


async def test_a_graphs_two_first_checkpoints_are_saved_together_and_its_nodes_wait_for_more() -> None:
    inner, begun = TogetherSaver(2), asyncio.get_running_loop().create_future()
    beginning = asyncio.create_task(begin(inner, begun))
    await eventually(lambda: sorted(inner.saved) == [-1, 0])
    assert not beginning.done()
    begun.set_result(None)
    await beginning


async def test_a_graph_does_not_begin_for_an_attempt_that_may_not() -> None:
    begun = asyncio.get_running_loop().create_future()
    begun.set_exception(Fenced("t", 1, 0))
    with pytest.raises(Fenced):
        await begin(InMemorySaver(), begun)


async def test_what_a_fenced_attempt_still_saves_is_not_where_the_next_one_starts() -> None:
    """It has the task's input already, and the next attempt would give it that again."""
    inner, begun = InMemorySaver(), asyncio.get_running_loop().create_future()
    begun.set_exception(Fenced("t", 1, 0))
    with pytest.raises(Fenced):
        await begin(inner, begun)
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    assert await inner.aget_tuple(config) is not None
    assert await AttemptSaver(inner, 2, {}, logged).aget_tuple(config) is None


async def test_a_checkpoint_that_builds_on_the_first_is_saved_after_it() -> None:
    """A kill between them would leave one that cannot be read."""
    inner, begun = TogetherSaver(1), asyncio.get_running_loop().create_future()
    begun.set_result(None)
    await begin(inner, begun, counters_since_delta_snapshot={"messages": (1, 1)})
    assert inner.saved == [-1, 0]


async def test_a_stopped_nodes_result_is_not_saved() -> None:
    """LangGraph saves the writes of a cancelled node beside its error, and would treat the node as finished."""
    inner = InMemorySaver()
    saver = AttemptSaver(inner, 1, {}, logged)
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    put = await saver.aput(config, empty_checkpoint(), {"step": 1}, {})
    await saver.aput_writes(put, [("answer", 42), ("__error__", "CancelledError()")], "node")
    saved = await saver.aget_tuple(config)
    assert saved is not None
    assert saved.pending_writes == []
    assert (saved.metadata["attempt"], saved.metadata["seq"]) == (1, 7)  # type: ignore[typeddict-item]


CHANNELS = st.sampled_from(["__interrupt__", "__resume__", "answer", "messages", "branch:to:next"])


@given(writes=st.lists(st.tuples(CHANNELS, st.one_of(st.none(), st.text(), st.lists(st.booleans()))), min_size=1))
async def test_the_writes_of_a_node_are_stored_as_one_and_read_back_unchanged(writes: list[tuple[str, Any]]) -> None:
    inner = InMemorySaver()
    saver = AttemptSaver(inner, 1, {}, logged)
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    put = await saver.aput(config, empty_checkpoint(), {"step": 1}, {})
    await saver.aput_writes(put, writes, "node")
    (stored,) = (await inner.aget_tuple(config)).pending_writes or []  # type: ignore[union-attr]
    assert stored == ("node@1", *packed(writes)[0])
    saved = unpacked(await inner.aget_tuple(config))
    assert saved is not None
    assert saved.pending_writes == [("node", channel, value) for channel, value in writes]


async def test_late_writes_of_a_fenced_attempt_are_ignored() -> None:
    """Attempt 2 has restarted the node and superseded the events of attempt 1."""
    inner = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    put = await AttemptSaver(inner, 1, {}, logged).aput(config, empty_checkpoint(), {"step": 1}, {})
    await AttemptSaver(inner, 1, {}, logged).aput_writes(put, [("answer", "old")], "node")
    saved = await inner.aget_tuple(config)
    assert unpacked(saved).pending_writes == [("node", "answer", "old")]  # type: ignore[union-attr]
    assert unpacked(saved, {"node": 2}).pending_writes == []  # type: ignore[union-attr]
    await AttemptSaver(inner, 1, {}, logged).aput_writes(put, [("__interrupt__", "Which?")], "asker")
    # An interrupt stays, even if a later attempt restarts its node.
    assert unpacked(await inner.aget_tuple(config), {"node": 2, "asker": 2}).pending_writes == [  # type: ignore[union-attr]
        ("asker", "__interrupt__", "Which?")
    ]
    await AttemptSaver(inner, 2, {}, logged).aput_writes(put, [("answer", "new")], "node")
    await AttemptSaver(inner, 1, {}, logged).aput_writes(put, [("answer", "older still")], "node")
    saved = unpacked(await inner.aget_tuple(config), {"node": 2})
    assert saved is not None
    assert ("node", "answer", "new") in (saved.pending_writes or [])
    assert "old" not in str(saved.pending_writes)


@pytest.fixture(params=["memory", "sqlite"])
async def inner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    async with open_sqlite(tmp_path / "checkpoints.sqlite3", 1e9) as saver:
        yield saver


async def test_late_checkpoints_of_a_fenced_attempt_are_ignored(
    inner: BaseCheckpointSaver[Any],
) -> None:
    """Attempt 2 planned without that checkpoint, and died before it saved one of its own."""
    now = 1000.0
    log = MemoryLog(clock=lambda: now)
    head = Head(task_id="t", owner="o", context_id="c", agent="a")
    head = await log.create(head, submitted(head.source, message("go")))
    config: Any = {"configurable": {"thread_id": head.thread, "checkpoint_ns": ""}}

    async def put(attempt: int, step: int) -> str:
        saver = AttemptSaver(inner, attempt, {}, logged, task=head.thread)
        saved = await saver.aput(config, empty_checkpoint(), {"step": step}, {})
        return str(saved["configurable"]["checkpoint_id"])

    async def next_attempt() -> str:
        nonlocal now
        now += 11
        begun = await take_over(log, inner, await log.claim("t", "me", 10), WORKER_LOST, None)
        assert begun is not None
        return str((begun.plan.details.checkpoints or {}).get("", ""))

    assert await next_attempt() == ""
    first = await put(1, 1)
    assert await next_attempt() == first
    await put(1, 2)  # late: attempt 2 continues from the first checkpoint
    assert await next_attempt() == first
    third = await put(3, 2)
    await put(1, 3)
    assert await next_attempt() == third
