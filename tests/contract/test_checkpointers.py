"""Every checkpointer with LangGraph's conformance suite, and with tests that the suite lacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import BASE_CAPABILITIES
from langgraph.types import Interrupt

from tailrace.agent.checkpoints import dynamodb as checkpoints_dynamodb
from tailrace.agent.checkpoints import open_checkpointer
from tailrace.config import Settings
from tailrace.errors import CheckpointsUnavailable
from tests.contract.checkpoint_stores import BUCKET, items_of, use_stores

SLOW = ["dynamodb and s3", "dynamodb, all in s3"]
STORES = ["sqlite", "dynamodb", *(pytest.param(store, marks=pytest.mark.slow) for store in SLOW)]


@pytest.fixture(params=STORES)
def settings(
    request: pytest.FixtureRequest, moto_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    if request.param == "sqlite":
        return Settings(data_dir=str(tmp_path))
    dynamodb = request.getfixturevalue("any_dynamodb") if request.param == "dynamodb" else moto_endpoint
    table = use_stores(dynamodb, moto_endpoint, monkeypatch)
    if request.param == "dynamodb, all in s3":
        monkeypatch.setattr(checkpoints_dynamodb, "INLINE_BYTES", 0)
    return Settings(log="dynamodb", checkpoint_table=table, bucket=BUCKET if "s3" in request.param else "")


@pytest.fixture
async def saver(settings: Settings) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    async with AsyncExitStack() as stack:
        yield await open_checkpointer(settings, "agent", stack)


async def test_the_saver_passes_langgraphs_conformance_suite(settings: Settings) -> None:
    """The suite covers saving, reading, listing, and deleting a thread."""

    @checkpointer_test(name="as an agent opens it")
    async def fresh() -> AsyncIterator[BaseCheckpointSaver[Any]]:
        async with AsyncExitStack() as stack:
            yield await open_checkpointer(settings, "agent", stack)

    report = await validate(fresh, capabilities={capability.value for capability in BASE_CAPABILITIES})
    results = {name: result for name, result in report.results.items() if name in BASE_CAPABILITIES}
    assert [failure for result in results.values() for failure in result.failures or []] == []
    assert sum(result.tests_passed for result in results.values()) == 58


async def saved(saver: BaseCheckpointSaver[Any], **values: Any) -> Any:
    """Save a checkpoint of thread `t`; return its config."""
    checkpoint = empty_checkpoint()
    checkpoint.update(id=str(uuid6()), channel_values=values)
    return await saver.aput({"configurable": {"thread_id": "t", "checkpoint_ns": ""}}, checkpoint, {"step": 1}, {})


async def pending(saver: BaseCheckpointSaver[Any], config: Any) -> list[Any]:
    loaded = await saver.aget_tuple(config)
    assert loaded is not None
    return list(loaded.pending_writes or [])


async def test_writes_are_read_in_the_order_of_their_tasks(saver: BaseCheckpointSaver[Any]) -> None:
    config = await saved(saver)
    many = [(f"channel {n}", n) for n in range(120)]
    await saver.aput_writes(config, [("late", 1)], "a task", "~__pregel_pull, z")
    await saver.aput_writes(config, many, "another task", "~__pregel_pull, a")
    assert await pending(saver, config) == [("another task", *each) for each in many] + [("a task", "late", 1)]


async def test_saving_writes_again_keeps_old_ones_and_adds_new_ones(
    saver: BaseCheckpointSaver[Any],
) -> None:
    config = await saved(saver)
    for writes in ([("a", 1)], [("a", 9), ("b", 2)], [("a", 9)], [("a", 9), ("b", 9), ("c", 3)]):
        await saver.aput_writes(config, writes, "task")
    assert await pending(saver, config) == [("task", "a", 1), ("task", "b", 2), ("task", "c", 3)]


async def test_concurrent_saves_of_the_same_writes_store_each_once(saver: BaseCheckpointSaver[Any]) -> None:
    config = await saved(saver)
    lists = [[("a", writer), ("b", writer), *[("c", writer)] * (writer % 2)] for writer in range(8)]
    await asyncio.gather(*(saver.aput_writes(config, writes, "task") for writes in lists))
    assert [channel for _, channel, _ in await pending(saver, config)] == ["a", "b", "c"]


async def test_interrupts_and_answers_are_replaced_by_the_newest(saver: BaseCheckpointSaver[Any]) -> None:
    config = await saved(saver)
    for n in range(3):
        question = [Interrupt(f"question {n}", id=str(n))]
        await saver.aput_writes(config, [("__interrupt__", question), ("__resume__", list(range(n)))], "task")
    values = {channel: value for _, channel, value in await pending(saver, config)}
    assert values == {"__interrupt__": [Interrupt("question 2", id="2")], "__resume__": [0, 1]}


async def test_a_list_spans_pages_and_honours_before_and_limit(saver: BaseCheckpointSaver[Any]) -> None:
    configs = [await saved(saver, n=n) for n in range(45)]
    await saver.aput_writes(configs[30], [("a", 1)], "task")
    thread: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    every = [each async for each in saver.alist(thread)]
    assert [each.checkpoint["channel_values"]["n"] for each in every] == list(reversed(range(45)))
    assert [each.pending_writes for each in every if each.pending_writes] == [[("task", "a", 1)]]
    some = [each async for each in saver.alist(thread, before=configs[40], limit=25)]
    assert [each.config for each in some] == [each.config for each in every[5:30]]
    assert [each async for each in saver.alist(thread, limit=0)] == []


async def test_namespaces_of_subgraphs_are_kept_apart(saver: BaseCheckpointSaver[Any]) -> None:
    for namespace in ("", "inner:1", "inner:1|deep:2", "inner:12"):
        checkpoint = empty_checkpoint()
        checkpoint.update(id=str(uuid6()), channel_values={"at": namespace})
        await saver.aput({"configurable": {"thread_id": "t", "checkpoint_ns": namespace}}, checkpoint, {"step": 0}, {})
    for namespace in ("", "inner:1", "inner:1|deep:2", "inner:12"):
        loaded = await saver.aget_tuple({"configurable": {"thread_id": "t", "checkpoint_ns": namespace}})
        assert loaded is not None
        assert loaded.checkpoint["channel_values"] == {"at": namespace}
    assert await saver.aget_tuple({"configurable": {"thread_id": "t", "checkpoint_ns": "inner"}}) is None


async def test_a_missing_table_or_bucket_is_named(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = use_stores(moto_endpoint, moto_endpoint, monkeypatch)
    monkeypatch.setattr(checkpoints_dynamodb, "INLINE_BYTES", 0)
    async with AsyncExitStack() as stack:
        no_table = Settings(log="dynamodb", checkpoint_table="no-such-table")
        with pytest.raises(
            CheckpointsUnavailable, match=r"'no-such-table' \(TAILRACE_CHECKPOINT_TABLE\).*no such table"
        ):
            await saved(await open_checkpointer(no_table, "agent", stack))
        no_bucket = Settings(log="dynamodb", checkpoint_table=table, bucket="no-such-bucket")
        with pytest.raises(CheckpointsUnavailable, match=r"'no-such-bucket' \(TAILRACE_BUCKET\).*NoSuchBucket"):
            await saved(await open_checkpointer(no_bucket, "agent", stack))
    assert items_of(table) == [], "an item without its object was saved"
