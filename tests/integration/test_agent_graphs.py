"""The events that LangGraph graphs cause: models, tools and failures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import string
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

from tailrace import progress, result, write
from tests.support.events import artifact_text, message, metadata, of_kind, said, state_of
from tests.support.graphs import failure, graph, model, named, run
from tests.support.in_process import agent

DONE, FAILED, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_INPUT_REQUIRED"


def calling(*names: str) -> AIMessage:
    calls = [ToolCall(name=name, args={"place": "here"}, id=f"call-{name}") for name in names]
    return AIMessage("Let me look.", tool_calls=calls)


# Models


async def test_streamed_model_output_becomes_text_of_the_response() -> None:
    gate, spoken = asyncio.Event(), "one two three"

    async def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model(spoken).ainvoke(state["messages"])]}

    async def wait(_: MessagesState) -> dict[str, Any]:
        await gate.wait()
        return {}

    async with agent(graph(speak, wait)) as served:
        task_id = (await served.begin("hello"))["id"]
        await served.until(task_id, lambda frame: "artifactUpdate" in frame.result)  # before the run is over
        gate.set()
        events = await served.finished(task_id)
    assert artifact_text(events) == spoken
    step = named(events, "node_start")["speak"]["step"]
    assert {metadata(event)["step"] for event in of_kind(events, "token")} == {step}


@pytest.mark.parametrize("off", [True, "tool_calling"])
async def test_the_output_of_a_model_that_cannot_stream_arrives_once(off: Any) -> None:
    async def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model("one two three", disable_streaming=off).ainvoke(state["messages"])]}

    events = await run(graph(speak))
    assert artifact_text(events) == "one two three"
    assert state_of(events[-1]) == DONE


async def test_the_last_message_and_what_nodes_write_are_paragraphs_of_the_response() -> None:
    async def first(state: MessagesState) -> dict[str, Any]:
        write("Not in the response.", artifact="notes")
        return {"messages": [await model("one two").ainvoke(state["messages"])]}

    async def second(state: MessagesState) -> dict[str, Any]:
        spoken = await model("three").ainvoke(state["messages"])
        write("\n\nWritten.")
        return {"messages": [spoken, AIMessage("By hand.")]}

    assert artifact_text(await run(graph(first, second))) == "\n\nWritten.\n\nBy hand."


async def test_a_message_returned_by_a_node_becomes_text_of_the_response() -> None:
    async def speak(_: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("Made by hand.")]}

    assert artifact_text(await run(graph(speak))) == "Made by hand."
    assert artifact_text(await run(graph(outer=graph(speak).compile()))) == "Made by hand."  # once, not once per level


# Text


async def test_quick_deltas_are_merged_into_few_events() -> None:
    deltas = [f"{number} " for number in range(1_000)]

    async def speak(_: MessagesState) -> dict[str, Any]:
        for delta in deltas:
            write(delta)
            await asyncio.sleep(0)
        return {}

    events = await run(graph(speak))
    assert artifact_text(events) == "".join(deltas)
    assert 1 <= len(of_kind(events, "token")) <= 100


async def test_text_and_progress_keep_their_order() -> None:
    async def speak(_: MessagesState) -> dict[str, Any]:
        write("a")
        progress("between")
        write("b")
        write("c", artifact="notes")
        write("d")
        return {}

    events = await run(graph(speak))
    kinds = [metadata(event)["kind"] for event in events if metadata(event)["kind"] in ("token", "progress")]
    assert kinds == ["token", "progress", "token", "token", "token"]
    assert (artifact_text(events), artifact_text(events, "notes")) == ("abd", "c")


async def test_any_text_can_be_written() -> None:
    text = 'é "quoted" \\ \u2028 \0 🌊 </script>\r\n\ndata: {}\n'

    async def speak(_: MessagesState) -> dict[str, Any]:
        write(text)
        write("half a pair: \ud83c", artifact="notes")
        progress(text)
        return {}

    events = await run(graph(speak))
    assert artifact_text(events) == text
    assert artifact_text(events, "notes") == "half a pair: ?"
    assert said(of_kind(events, "progress")[0]) == text


# Tools


@tool
async def look(place: str) -> str:
    """Look somewhere."""
    progress(f"Looking {place}.")
    return f"Nothing {place}."


@tool
async def stumble(place: str) -> str:
    """Fail somewhere."""
    raise ValueError(f"Stumbled {place}.")


async def test_tool_calls_are_reported_with_input_and_output() -> None:
    builder = create_agent(model(calling("look"), "All is well.", disable_streaming=True), [look])
    events = await run(builder)
    start, end = named(events, "tool_start")["look"], named(events, "tool_complete")["look"]
    assert start["input"] == '{"place":"here"}'
    assert end["output"] == "Nothing here."
    assert start["step"] == end["step"]
    assert start["parent"] == end["parent"] == named(events, "node_start")["tools"]["step"]
    (update,) = of_kind(events, "progress")
    assert said(update) == "Looking here."
    order = [metadata(event)["kind"] for event in events]
    assert order.index("tool_start") < order.index("progress") < order.index("tool_complete")
    assert [said(event) for event in of_kind(events, "message")] == ["Let me look."]
    assert artifact_text(events) == "All is well."


@tool
async def look_closely(place: str) -> list[str | dict[str, Any]]:
    """Look somewhere, and say it in blocks."""
    return [
        {"type": "text", "text": f"Nothing {place}.", "id": "1"},
        "Look:",
        {"type": "image", "base64": "A" * 4_000, "mime_type": "image/png", "id": "2"},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "json", "json": {"found": 0}},
    ]


async def test_what_a_tool_says_in_blocks_is_shown_as_text_and_files_are_named() -> None:
    events = await run(
        create_agent(model(calling("look_closely"), "All is well.", disable_streaming=True), [look_closely])
    )
    assert named(events, "tool_complete")["look_closely"]["output"].splitlines() == [
        "Nothing here.",
        "Look:",
        "(image, image/png, 3,000 bytes)",
        "(image, image/jpeg, 3 bytes)",
        "(image, https://example.com/a.png)",
        '{"type":"json","json":{"found":0}}',
    ]


async def test_parallel_tool_calls_are_separate_steps_and_a_failure_has_a_reason() -> None:
    async def call(_: MessagesState) -> dict[str, Any]:
        return {"messages": [calling("look", "stumble")]}

    events = await run(graph(call=call, tools=ToolNode([look, stumble], handle_tool_errors=True)))
    starts, ends = named(events, "tool_start"), named(events, "tool_complete")
    assert starts.keys() == ends.keys() == {"look", "stumble"}
    assert starts["look"]["step"] == ends["look"]["step"] != starts["stumble"]["step"] == ends["stumble"]["step"]
    assert "error" not in ends["look"]
    assert ends["stumble"]["error"] == "ValueError: Stumbled here."
    assert state_of(events[-1]) == DONE


# Failures


@pytest.mark.parametrize(
    ("bound", "config", "limit"),
    [
        pytest.param({}, {}, 50, id="no limit of the author's"),
        pytest.param({"recursion_limit": 7}, {}, 7, id="bound to the graph"),
        pytest.param({"recursion_limit": 7}, {"recursion_limit": 120}, 120, id="the app's wins"),
        pytest.param({}, {"recursion_limit": 25}, 25, id="LangChain's default, named"),
    ],
)
async def test_a_graph_that_never_ends_fails_after_the_author_s_step_limit(
    bound: RunnableConfig, config: RunnableConfig, limit: int
) -> None:
    async def again(_: MessagesState) -> dict[str, Any]:
        return {}

    graph = StateGraph(MessagesState).add_node(again).add_edge(START, "again").add_edge("again", "again")
    events = await run(graph.compile().with_config(bound), config=config)
    assert failure(events) == f"The graph did not come to an end in {limit} steps."
    assert len(of_kind(events, "node_start")) == limit


async def test_a_node_that_raises_fails_the_task_with_its_name_and_error(caplog: pytest.LogCaptureFixture) -> None:
    async def fine(_: MessagesState) -> dict[str, Any]:
        return {}

    async def breaks(_: MessagesState) -> dict[str, Any]:
        write("So far so good.")
        raise ValueError("no such table: alerts")

    with caplog.at_level(logging.ERROR, "tailrace"):
        events = await run(graph(fine, breaks))
    assert failure(events) == "The agent failed in breaks: ValueError: no such table: alerts"
    assert named(events, "node_end")["breaks"]["error"] == "no such table: alerts"
    assert artifact_text(events) == "So far so good."
    assert "Traceback" in caplog.text  # for the operator of the agent


async def test_the_failure_names_the_node_that_failed_not_the_last_one_started() -> None:
    waiting = asyncio.Event()

    async def breaks(_: MessagesState) -> dict[str, Any]:
        await waiting.wait()
        raise KeyError("rows")

    async def waits(_: MessagesState) -> dict[str, Any]:
        waiting.set()
        await asyncio.Event().wait()
        return {}

    builder = StateGraph(MessagesState).add_node(breaks).add_node(waits)
    events = await run(builder.add_edge(START, "breaks").add_edge(START, "waits"))
    assert list(named(events, "node_start")) == ["breaks", "waits"]  # the last one started did not fail
    assert failure(events) == "The agent failed in breaks: KeyError: 'rows'"


async def test_a_failure_names_the_innermost_node() -> None:
    async def breaks(_: MessagesState) -> dict[str, Any]:
        raise KeyError("rows")

    events = await run(graph(outer=graph(middle=graph(breaks).compile()).compile()))
    assert failure(events) == "The agent failed in breaks: KeyError: 'rows'"
    assert named(events, "node_end").keys() == {"breaks", "middle", "outer"}


async def test_a_node_that_cancels_itself_fails_the_task() -> None:
    async def odd(_: MessagesState) -> dict[str, Any]:
        raise asyncio.CancelledError

    assert failure(await run(graph(odd))).startswith("The agent failed in odd: ")


@pytest.mark.parametrize("size", [10_000, 2_000_000])
async def test_a_long_error_message_is_truncated(size: int) -> None:
    text = "".join(random.Random(7).choices(string.ascii_letters, k=size))

    async def breaks(_: MessagesState) -> dict[str, Any]:
        raise ValueError(text)

    reported = failure(await run(graph(breaks)))
    assert reported.startswith(f"The agent failed in breaks: ValueError: {text[:500]}")
    assert len(reported) < 1_100


@pytest.mark.parametrize("odd", ["half a pair: \ud83c", "x" * 3])
async def test_a_task_fails_whatever_its_error_contains(odd: str) -> None:
    async def breaks(_: MessagesState) -> dict[str, Any]:
        raise ValueError(odd)

    assert failure(await run(graph(breaks)))


async def test_a_question_too_large_for_the_log_fails_the_task() -> None:
    text = "".join(random.Random(7).choices(string.printable, k=1_500_000))

    async def ask(_: MessagesState) -> dict[str, Any]:
        interrupt(text)
        return {}

    assert "the limit is 390,000 bytes" in failure(await run(graph(ask)))


async def test_an_event_that_cannot_be_written_fails_the_task_of_a_node_that_ignores_its_cancel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tailrace.agent.attempt.CLEANUP_S", 0.1)
    released = asyncio.Event()

    async def stubborn(_: MessagesState) -> None:
        progress("".join(random.Random(7).choices(string.printable, k=1_000_000)))
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    async with agent(graph(stubborn)) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        released.set()
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert "the limit is 390,000 bytes" in task["status"]["message"]["parts"][0]["text"]


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, KeyboardInterrupt])
async def test_whatever_an_emitted_value_raises_fails_its_task_only(error: type[BaseException]) -> None:
    class Odd:
        def model_dump(self, **_: Any) -> Any:
            raise error("no dump")

    async def emits(_: MessagesState) -> None:
        get_stream_writer()(Odd())

    events = await run(graph(emits))
    assert state_of(events[-1]) == "TASK_STATE_FAILED"
    assert said(events[-1]) == f"The agent failed in emits: {error.__name__}: no dump"


async def test_a_result_that_is_too_large_or_not_json_fails_the_task_with_a_reason() -> None:
    text = "".join(random.Random(7).choices(string.printable, k=1_500_000))

    async def large(_: MessagesState) -> dict[str, Any]:
        result("dump", text)
        return {}

    async def strange(_: MessagesState) -> dict[str, Any]:
        result("dump", object())
        return {}

    assert "the limit is 390,000 bytes" in failure(await run(graph(large)))
    assert "object" in failure(await run(graph(strange)))
