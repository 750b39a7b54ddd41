"""The contract of an agent's long-term memory, for each store: LangGraph's `BaseStore`, for one owner alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.base import GetOp, MatchCondition, NamespacePath, PutOp
from langgraph.store.memory import InMemoryStore

from tailrace.agent.memory import Memory
from tailrace.agent.memory.dynamodb import DynamoDBStore
from tailrace.agent.memory.matching import fits, matches
from tailrace.agent.memory.owned import OwnedStore
from tailrace.agent.memory.sqlite import open_sqlite
from tailrace.config import Settings
from tailrace.errors import MemoryUnavailable, StoreDamaged
from tailrace.owner import owner_within
from tests.contract.checkpoint_stores import checkpoint_table
from tests.contract.dynamodb_table import use

STORES = ["memory", "sqlite", "dynamodb"]
TASK = "11111111-1111-1111-1111-111111111111"


@pytest.fixture(params=STORES)
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    if request.param in ("memory", "sqlite"):
        return Settings(log=request.param, data_dir=str(tmp_path))
    use(request.getfixturevalue("any_dynamodb"), monkeypatch)
    return Settings(log="dynamodb", checkpoint_table=checkpoint_table())


@pytest.fixture
async def memory(settings: Settings) -> AsyncIterator[Memory]:
    async with AsyncExitStack() as stack:
        yield Memory(settings, "agent", stack)


@pytest.fixture
async def store(memory: Memory) -> OwnedStore:
    return memory.of("alice")


async def keys(store: OwnedStore, *prefix: str, **options: Any) -> set[str]:
    return {item.key for item in await store.asearch(prefix, **options)}


async def test_what_was_put_is_read_in_the_same_namespace(store: OwnedStore) -> None:
    value = {"text": "likes tea", "nested": {"n": [1, 2.5, None, True]}, "ü": "日本"}
    before = datetime.now(UTC).replace(microsecond=0)
    await store.aput(("memories",), "tea", value)
    item = await store.aget(("memories",), "tea")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (("memories",), "tea", value)
    assert before <= item.created_at <= item.updated_at
    assert await store.aget(("memories", "more"), "tea") is None
    assert await store.aget(("memories",), "coffee") is None


async def test_a_later_put_replaces_and_a_delete_removes(store: OwnedStore) -> None:
    for value in ({"n": 1}, {"m": 2}):
        await store.aput(("a",), "k", value)
    item = await store.aget(("a",), "k")
    assert item is not None
    assert item.value == {"m": 2}
    await store.adelete(("a",), "k")
    await store.adelete(("a",), "k")
    await store.adelete(("a",), "never there")
    assert await store.aget(("a",), "k") is None
    assert await store.asearch(("a",)) == []
    assert await store.alist_namespaces(prefix=("a", "never")) == []
    await store.aput(("a",), "k", {"n": 3})
    assert await keys(store, "a") == {"k"}


async def test_a_search_finds_all_below_a_prefix_of_whole_labels(store: OwnedStore) -> None:
    for namespace in (("a",), ("a", "b"), ("a", "b", "c"), ("ab",), ("b",), ("a|b",), ("a_", "b")):
        await store.aput(namespace, "in " + " ".join(namespace), {})
    assert await keys(store, "a") == {"in a", "in a b", "in a b c"}
    assert await keys(store, "a", "b") == {"in a b", "in a b c"}
    assert len(await store.asearch(())) == 7


async def test_a_key_may_have_any_characters(store: OwnedStore) -> None:
    names = ["a.b", "..", "x|y", "m|a..k", " ", "日本", "%", "_", "#"]
    for name in names:
        await store.aput(("a", "b c"), name, {"name": name})
    for name in names:
        item = await store.aget(("a", "b c"), name)
        assert item is not None
        assert (item.value, item.namespace) == ({"name": name}, ("a", "b c"))
    assert await keys(store, "a", limit=20) == set(names)


async def test_filters_compare_values(store: OwnedStore) -> None:
    for n, kind in enumerate(("tea", "tea", "coffee"), start=1):
        await store.aput(("a",), str(n), {"n": n, "kind": kind})
    assert await keys(store, "a", filter={"kind": "tea"}) == {"1", "2"}
    assert await keys(store, "a", filter={"kind": "tea", "n": {"$gt": 1}}) == {"2"}
    assert await keys(store, "a", filter={"n": {"$gte": 1, "$lt": 3}}) == {"1", "2"}
    assert await keys(store, "a", filter={"kind": {"$ne": "tea"}}) == {"3"}
    assert await keys(store, "a", filter={"kind": {"$eq": "none"}}) == set()


async def test_a_search_is_read_in_pages(store: OwnedStore) -> None:
    for number in range(25):
        await store.aput(("a",), str(number), {"n": number})
    assert len(await store.asearch(("a",))) == 10
    pages = [await store.asearch(("a",), limit=10, offset=offset) for offset in (0, 10, 20, 30)]
    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert {item.key for page in pages for item in page} == {str(number) for number in range(25)}


async def test_namespaces_are_listed_without_the_owners_label(store: OwnedStore) -> None:
    for namespace in (("a",), ("a", "b"), ("a", "b", "c"), ("d", "b")):
        await store.aput(namespace, "k", {})
    assert await store.alist_namespaces() == [("a",), ("a", "b"), ("a", "b", "c"), ("d", "b")]
    assert await store.alist_namespaces(prefix=("a", "b")) == [("a", "b"), ("a", "b", "c")]
    assert await store.alist_namespaces(suffix=("b",)) == [("a", "b"), ("d", "b")]
    any_label: NamespacePath = ("*", "a")
    assert await store.alist_namespaces(suffix=any_label) == []
    assert await store.alist_namespaces(max_depth=1) == [("a",), ("d",)]
    assert await store.alist_namespaces(limit=2, offset=1) == [("a", "b"), ("a", "b", "c")]


async def test_no_owner_and_no_agent_reads_anothers_memory(memory: Memory, settings: Settings) -> None:
    alice, bob = memory.of("alice"), memory.of("bob")
    await alice.aput(("memories",), "k", {"of": "alice"})
    assert await bob.alist_namespaces() == []
    assert await bob.asearch(()) == []
    assert await bob.aget(("memories",), "k") is None
    await bob.aput(("memories",), "k", {"of": "bob"})
    await bob.adelete(("memories",), "k")
    item = await alice.aget(("memories",), "k")
    assert item is not None
    assert item.value == {"of": "alice"}
    async with AsyncExitStack() as stack:
        assert await Memory(settings, "another", stack).of("alice").asearch(()) == []


async def test_a_delegated_task_has_the_memory_of_its_user(memory: Memory) -> None:
    await memory.of("al.ice@x").aput(("memories",), "k", {})
    assert await keys(memory.of(owner_within("al.ice@x", TASK))) == {"k"}


async def test_a_node_in_a_thread_uses_the_store_without_await(store: OwnedStore) -> None:
    def node() -> Any:
        store.put(("a",), "k", {"n": 1})
        return store.get(("a",), "k"), store.search(("a",)), store.list_namespaces()

    item, found, namespaces = await asyncio.to_thread(node)
    assert (item.value, [each.key for each in found], namespaces) == ({"n": 1}, ["k"], [("a",)])
    with pytest.raises(asyncio.InvalidStateError, match=r"await store\.aput"):
        store.put(("a",), "k", {})


async def test_of_two_puts_in_a_batch_the_last_one_counts(store: OwnedStore) -> None:
    results = await store.abatch([PutOp(("a",), "k", {"n": 1}), GetOp(("a",), "k"), PutOp(("a",), "k", {"n": 2})])
    assert results == [None, None, None]
    item = await store.aget(("a",), "k")
    assert item is not None
    assert item.value == {"n": 2}


async def test_concurrent_puts_are_all_kept(store: OwnedStore) -> None:
    await asyncio.gather(*(store.aput(("a",), str(number), {}) for number in range(30)))
    assert len(await store.asearch(("a",), limit=100)) == 30


async def test_an_invalid_namespace_is_refused(store: OwnedStore) -> None:
    for namespace in ((), ("a.b",), ("",), ("langgraph",)):
        with pytest.raises(ValueError, match=r"[Nn]amespace"):
            await store.aput(namespace, "k", {})


async def test_what_was_put_is_there_when_the_store_is_opened_again(settings: Settings) -> None:
    for expected in ([], [] if settings.log == "memory" else ["k"]):  # in memory it ends with its process
        async with AsyncExitStack() as stack:
            store = Memory(settings, "agent", stack).of("alice")
            assert [item.key for item in await store.asearch(("a",))] == expected
            await store.aput(("a",), "k", {})


async def test_a_cancelled_put_leaves_the_store_usable(store: OwnedStore) -> None:
    await store.aput(("a",), "first", {})
    for _ in range(20):
        put = asyncio.create_task(store.aput(("a",), "second", {}))
        for _ in range(3):
            await asyncio.sleep(0)
        put.cancel()
        await asyncio.gather(put, return_exceptions=True)
    await store.aput(("a",), "third", {})
    assert {"first", "third"} <= await keys(store, "a")


async def test_what_has_expired_is_not_read(
    tmp_path: Path, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(moto_endpoint, monkeypatch)
    now = 1_800_000_000.0
    table = DynamoDBStore(checkpoint_table(), "agent", clock=lambda: now)
    await table.abatch([PutOp(("u", "a"), "short", {}, ttl=1), PutOp(("u", "a"), "long", {}, ttl=100)])
    now += 50
    assert await table.aget(("u", "a"), "short") is not None  # and its time begins anew
    now += 50
    assert await table.aget(("u", "a"), "short", refresh_ttl=False) is not None
    now += 20
    assert await table.aget(("u", "a"), "short") is None
    assert [item.key for item in await table.asearch(("u", "a"))] == ["long"]
    await table.aput(("u", "a"), "long", {}, ttl=None)
    now += 1_000_000
    assert await table.aget(("u", "a"), "long") is not None
    await table.close()
    async with open_sqlite(tmp_path / "memory.sqlite3") as file:
        await file.aput(("u", "a"), "short", {}, ttl=1)
        await file.conn.execute("UPDATE store SET expires_at = DATETIME(CURRENT_TIMESTAMP, '-1 minutes')")
        assert await file.aget(("u", "a"), "short") is None


async def test_dynamodb_refuses_what_no_item_can_hold(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(moto_endpoint, monkeypatch)
    store = DynamoDBStore(checkpoint_table(), "agent")
    with pytest.raises(ValueError, match="may have 390,000"):
        await store.aput(("u", "a"), "k", {"text": "x" * 400_000})
    with pytest.raises(ValueError, match="1024 bytes"):
        await store.aput(("u", "a"), "k" * 1100, {})
    with pytest.raises(TypeError):
        await store.aput(("u", "a"), "k", {"lock": asyncio.Lock()})
    await store.aput(("u", "a"), "k", {"n": 1})
    with pytest.raises(ValueError, match=r"\$like"):
        await store.asearch(("u", "a"), filter={"n": {"$like": 1}})
    await store.close()


async def test_a_store_that_is_away_is_named(
    tmp_path: Path, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(moto_endpoint, monkeypatch)
    (tmp_path / "memory-damaged.sqlite3").write_bytes(b"no database" * 1000)
    (tmp_path / "memory-folder.sqlite3").mkdir()
    async with AsyncExitStack() as stack:
        no_table = Settings(log="dynamodb", checkpoint_table="no-such-table")
        with pytest.raises(MemoryUnavailable, match="long-term memory in table 'no-such-table'"):
            await Memory(no_table, "agent", stack).of("alice").aput(("a",), "k", {})
        for agent, error in (("damaged", StoreDamaged), ("folder", MemoryUnavailable)):
            with pytest.raises(error):
                await Memory(Settings(data_dir=str(tmp_path)), agent, stack).of("alice").aput(("a",), "k", {})


async def test_matching_is_langgraphs() -> None:
    """`matching` decides as LangGraph's store in memory does."""
    reference = InMemoryStore()
    values: list[dict[str, Any]] = [{"n": 1}, {"n": 2.5}, {"n": {"m": 1, "o": [1]}}, {"n": [1, 2]}, {}]
    for number, value in enumerate(values):
        await reference.aput(("u",), str(number), value)
    for wanted in ({"n": 1}, {"n": {"m": 1}}, {"n": [1, 2]}, {"n": {"$ne": 1}}, {"n": {"$eq": 2.5}}, {}):
        expected = {item.key for item in await reference.asearch(("u",), filter=wanted)}
        assert {str(number) for number, value in enumerate(values) if fits(value, wanted)} == expected
    namespaces = [("a",), ("a", "b"), ("b", "a"), ("a", "b", "c")]
    for namespace in namespaces:
        await reference.aput(namespace, "k", {})
    paths: list[NamespacePath] = [("a",), ("*", "b"), ("b", "c"), ("a", "*", "c")]
    for path in paths:
        for kind in ("prefix", "suffix"):
            condition = MatchCondition(kind, path)  # type: ignore[arg-type]
            listed = await reference.alist_namespaces(**{kind: path})  # type: ignore[arg-type]
            assert [each for each in sorted([*namespaces, ("u",)]) if matches(each, condition)] == listed
