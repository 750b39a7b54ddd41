"""The parts of a graph's stream are taken at once, in order, and without a word to the node that emits them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore

from tailrace.agent.graph_stream import OUTSIDE, GraphStream

Taken = tuple[tuple[str, ...], str, Any]


class State(TypedDict, total=False):
    done: Annotated[list[str], add]


async def run(node: Any, take: Callable[..., None], store: BaseStore | None = None) -> None:
    """Run a graph of `node` with a stream that gives its parts to `take`."""
    graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile(store=store)
    graph.stream_eager = True
    with GraphStream(take) as stream:
        async for _ in graph.astream({}, stream.config(store), stream_mode=[]):
            raise AssertionError("LangGraph's own stream is empty.")


async def parts(node: Any, store: BaseStore | None = None) -> list[Taken]:
    taken: list[Taken] = []
    await run(node, lambda *part: taken.append(part), store)
    return taken


def shown(taken: list[Taken]) -> list[str]:
    """What each part is, in a word."""
    words = {"tasks": lambda data: "end" if "result" in data else "start", "messages": lambda data: data[0].text}
    return [words.get(kind, str)(data) for _, kind, data in taken]


async def test_all_kinds_of_parts_are_taken_in_the_order_in_which_a_node_emits_them() -> None:
    async def node(_: State) -> State:
        write = get_stream_writer()
        write("before")
        async for _chunk in GenericFakeChatModel(messages=iter([AIMessage("two words")])).astream("go"):
            write("beside")
        await asyncio.to_thread(write, "thread")
        write("after")
        return {}

    said = ["before", "two", "beside", " ", "beside", "words", "beside", "thread", "after"]
    assert shown(await parts(node)) == ["start", *said, "end"]


async def test_a_part_is_taken_before_the_node_goes_on() -> None:
    taken: list[Taken] = []

    async def node(_: State) -> State:
        get_stream_writer()("now")
        assert taken[-1] == ((), "custom", "now")
        return {}

    await run(node, lambda *part: taken.append(part))


async def test_the_parts_of_a_subgraph_have_its_namespace() -> None:
    async def inner(_: State) -> State:
        get_stream_writer()("inside")
        return {}

    subgraph = StateGraph(State).add_node("inner", inner).add_edge(START, "inner").compile()
    taken = await parts(subgraph)
    step = next(data["id"] for _, kind, data in taken if kind == "tasks")
    assert [(namespace, data) for namespace, kind, data in taken if kind == "custom"] == [((f"node:{step}",), "inside")]
    assert [len(namespace) for namespace, kind, _ in taken if kind == "tasks"] == [0, 1, 1, 0]


@given(st.lists(st.sampled_from(["loop", "thread", "outside"]), max_size=8))
@settings(max_examples=20, deadline=None)
def test_parts_that_come_one_after_the_other_are_taken_in_that_order(sources: list[str]) -> None:
    """The event loop has no turn between them."""

    async def main() -> None:
        taken: list[Any] = []
        with GraphStream(lambda _namespace, _kind, data: taken.append(data)) as stream:
            configurable = stream.config(None)["configurable"]
            put = next(value for key, value in configurable.items() if key.endswith("stream"))
            for number, source in enumerate(sources):
                give = partial(stream.receive, number) if source == "outside" else partial(put, ((), "custom", number))
                if source == "loop":
                    give()
                else:
                    thread = threading.Thread(target=give)
                    thread.start()
                    thread.join()
            await asyncio.sleep(0)
        assert taken == list(range(len(sources)))

    asyncio.run(main())


async def test_everything_that_many_threads_emit_at_once_is_taken() -> None:
    taken: list[int] = []
    with GraphStream(lambda _namespace, _kind, data: taken.append(data)) as stream:

        def emit(first: int) -> None:
            for number in range(first, first + 2_000):
                stream.receive(number)

        await asyncio.gather(*(asyncio.to_thread(emit, first) for first in range(0, 8_000, 2_000)))
        await asyncio.sleep(0)
    assert sorted(taken) == list(range(8_000))
    for first in range(0, 8_000, 2_000):
        of_one = [number for number in taken if first <= number < first + 2_000]
        assert of_one == sorted(of_one)


async def test_what_cannot_be_taken_fails_the_graph_and_not_the_node_that_emits_it() -> None:
    seen: list[str] = []

    def take(_namespace: tuple[str, ...], kind: str, data: Any) -> None:
        seen.append(kind)
        if data == "bad":
            raise ValueError("this cannot be written")

    async def node(_: State) -> State:
        get_stream_writer()("bad")
        get_stream_writer()("more")
        await asyncio.Event().wait()
        return {}

    with pytest.raises(ValueError, match="this cannot be written"):
        await run(node, take)
    assert seen == ["tasks", "custom"]
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_the_last_part_fails_the_graph_too() -> None:
    def take(_namespace: tuple[str, ...], kind: str, data: Any) -> None:
        if kind == "tasks" and "result" in data:
            raise ValueError("this cannot be written")

    async def node(_: State) -> State:
        return {}

    with pytest.raises(ValueError, match="this cannot be written"):
        await run(node, take)


async def test_nothing_is_taken_after_the_graph() -> None:
    taken: list[Any] = []
    with GraphStream(lambda *part: taken.append(part)) as stream:
        stream.receive("in time")
    stream.receive("late")
    assert taken == [((), OUTSIDE, "in time")]


async def test_a_graph_that_is_cancelled_does_not_say_that_its_nodes_have_failed() -> None:
    taken: list[Taken] = []
    waits = asyncio.Event()

    async def node(_: State) -> State:
        waits.set()
        await asyncio.Event().wait()
        return {}

    async def stopped() -> None:
        graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile()
        with GraphStream(lambda *part: taken.append(part)) as stream:
            run = asyncio.create_task(graph.ainvoke({}, stream.config(None)))
            await waits.wait()
            stream.close()
            run.cancel()
            await asyncio.wait([run])

    await stopped()
    assert shown(taken) == ["start"]


async def test_a_node_gets_the_graphs_store() -> None:
    found: list[BaseStore | None] = []

    async def node(_: State, *, store: BaseStore) -> State:
        found.append(store)
        return {}

    kept = InMemoryStore()
    await parts(node, kept)
    assert found == [kept]
