"""Only the answer is the artifact `response`: what else models say is told on the step that says it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware, PIIMiddleware, SummarizationMiddleware, wrap_tool_call
from langchain_core.messages import AIMessage, RemoveMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command
from pydantic import BaseModel

from tailrace import write
from tests.support.events import artifact_text, message, metadata, of_kind, said, state_of
from tests.support.in_process import agent
from tests.support.models import Speaker, calls, says

DONE = "TASK_STATE_COMPLETED"
Events = list[dict[str, Any]]


async def run(graph: Any, **options: Any) -> Events:
    """Run the graph once; return its events. The task has the same artifacts as its stream."""
    async with agent(graph, options=options) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        events = await served.events(task["id"])
    assert task["status"]["state"] == state_of(events[-1]) == DONE, task["status"]
    for artifact in task.get("artifacts", []):
        if "text" in artifact["parts"][0]:
            assert "".join(part["text"] for part in artifact["parts"]) == artifact_text(events, artifact["name"])
    return events


def told(events: Events, kind: str = "message") -> dict[str, str]:
    """What each speaker says beside the answer, put together from its pieces."""
    texts: dict[str, str] = {}
    for event in of_kind(events, kind):
        name = metadata(event)["name"]
        texts[name] = texts.get(name, "") + said(event)
    return texts


def streamed(events: Events) -> list[str]:
    """The texts that the response had after each event."""
    texts, text = [], ""
    for event in of_kind(events, "token"):
        update = event["artifactUpdate"]
        if update["artifact"]["name"] == "response":
            delta = "".join(part["text"] for part in update["artifact"]["parts"])
            text = text + delta if update["append"] else delta
            texts.append(text)
    return texts


def chat(*nodes: Any) -> StateGraph[MessagesState]:
    return StateGraph(MessagesState).add_sequence(list(nodes)).add_edge(START, nodes[0].__name__)


# The state has the last word


async def test_what_a_guardrail_has_redacted_is_not_in_the_response() -> None:
    redact = PIIMiddleware("email", strategy="redact", apply_to_output=True)
    events = await run(create_agent(says("Write to ada@example.com please."), [], middleware=[redact]))
    assert artifact_text(events) == "Write to [REDACTED_EMAIL] please."


async def test_with_stream_final_no_event_ever_has_what_a_guardrail_redacts() -> None:
    @tool
    async def look(place: str) -> str:
        """Look."""
        return "ada@example.com lives there"

    reasoning = {"type": "reasoning", "reasoning": "I know ada@example.com."}
    answer = AIMessage([reasoning, {"type": "text", "text": "It is ada@example.com."}])  # type: ignore[list-item]
    model = says(calls("look", {"place": "ada@example.com"}, text="Asking ada@example.com."), answer)
    redact = PIIMiddleware("email", strategy="redact", apply_to_output=True)
    events = await run(create_agent(model, [look], middleware=[redact]), stream="final")
    assert "ada@example.com" not in str(events)
    assert "REDACTED_EMAIL" in artifact_text(events)


async def test_a_message_that_the_node_edits_or_removes_is_replaced() -> None:
    async def edit(state: MessagesState) -> dict[str, Any]:
        draft = await says("a draft with a mistake").ainvoke(state["messages"])
        return {"messages": [AIMessage("Corrected.", id=draft.id)]}

    async def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await says("Something bad.").ainvoke(state["messages"])]}

    async def remove(state: MessagesState) -> dict[str, Any]:
        return {"messages": [RemoveMessage(id=state["messages"][-1].id), AIMessage("I cannot say that.")]}

    assert artifact_text(await run(chat(edit))) == "Corrected."
    assert artifact_text(await run(chat(speak, remove))) == "I cannot say that."


async def test_a_text_that_is_written_and_returned_is_in_the_response_once() -> None:
    async def speak(_: MessagesState) -> dict[str, Any]:
        write("Hello, ")
        write("Ada.")
        return {"messages": [AIMessage("Hello, Ada.")]}

    assert artifact_text(await run(chat(speak))) == "Hello, Ada."


async def test_the_text_of_a_message_that_calls_a_tool_moves_to_its_step() -> None:
    @tool
    async def look(place: str) -> str:
        """Look."""
        return "ok"

    model = says(calls("look", {"place": "here"}, text="Let me look."), "All is well.")
    events = await run(create_agent(model, [look], name="scout"))
    assert (artifact_text(events), told(events)) == ("All is well.", {"scout": "Let me look."})
    first = next(metadata(event) for event in of_kind(events, "node_start"))
    assert {metadata(event)["step"] for event in of_kind(events, "message")} == {first["step"]}


# Who speaks


async def test_a_classifier_and_a_summary_are_not_the_answer() -> None:
    async def classify(state: MessagesState) -> dict[str, Any]:
        await says('{"route": "billing"}').ainvoke(state["messages"])
        return {}

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await says("Your bill is fine.").ainvoke(state["messages"])]}

    events = await run(chat(classify, answer))
    assert (artifact_text(events), told(events)) == ("Your bill is fine.", {"classify": '{"route": "billing"}'})

    summary = SummarizationMiddleware(model=says("A SUMMARY."), trigger=("messages", 3), keep=("messages", 1))
    agent = create_agent(Speaker(reply=lambda _: AIMessage("The answer.")), [], middleware=[summary])

    async def begin(_: MessagesState) -> dict[str, Any]:
        return {"messages": [("ai", "a"), ("user", "b"), ("ai", "c"), ("user", "d")]}

    graph = StateGraph(MessagesState).add_node(begin).add_node("agent", agent)
    events = await run(graph.add_edge(START, "begin").add_edge("begin", "agent"))
    assert artifact_text(events) == "The answer."
    assert "A SUMMARY." not in str(events)


async def test_an_agent_in_a_tool_and_a_model_in_a_tool_speak_on_their_steps() -> None:
    inner = create_agent(says("INNER scratch"), [], name="inner")

    @tool
    async def ask(q: str) -> str:
        """Ask."""
        await says("BARE scratch").ainvoke(q)
        return str((await inner.ainvoke({"messages": [("user", q)]}))["messages"][-1].text)

    events = await run(create_agent(says(calls("ask", {"q": "?"}), "Outer answer."), [ask]))
    assert streamed(events)[-1] == "Outer answer."
    assert not any("scratch" in text for text in streamed(events))
    assert told(events) == {"tools": "BARE scratch", "inner": "INNER scratch"}


async def test_parallel_speakers_are_never_mixed() -> None:
    both = asyncio.Barrier(2)

    def speaker(text: str, name: str) -> Any:
        return create_agent(says(text, before=lambda place: both.wait() if place < 5 else None), [], name=name)

    alpha, beta = speaker("a b c d e f", "alpha"), speaker("A B C D E F", "beta")
    graph = StateGraph(MessagesState).add_node("alpha", alpha).add_node("beta", beta)
    events = await run(graph.add_edge(START, "alpha").add_edge(START, "beta"))
    texts = streamed(events)
    assert all(text in "a b c d e f" or text in "A B C D E F" for text in texts), texts
    assert texts[-1] == "A B C D E F"  # as in the graph's state
    assert told(events)["alpha"] == "a b c d e f"


async def test_an_agent_that_hands_over_to_another_answers_as_it_comes() -> None:
    gate = asyncio.Event()

    async def triage(_: MessagesState) -> Command[Any]:
        return Command(goto="expert", update={"messages": [AIMessage("One moment.")]}, graph=Command.PARENT)

    first = StateGraph(MessagesState).add_node(triage).add_edge(START, "triage").compile()
    expert = create_agent(says("It is DNS.", before=lambda place: gate.wait() if place == 2 else None), [], name="e")
    graph = StateGraph(MessagesState).add_node("first", first, destinations=("expert",)).add_node("expert", expert)
    async with agent(graph.add_edge(START, "first")) as served:
        task_id = (await served.begin("hello"))["id"]
        await served.until(task_id, lambda frame: "It" in artifact_text([frame.result]))  # before it has ended
        gate.set()
        events = await served.finished(task_id)
    assert artifact_text(events) == "It is DNS."
    steps = {metadata(event)["step"] for event in of_kind(events, "node_start")}
    assert {metadata(event)["step"] for event in of_kind(events, "node_end")} == steps  # every start has its end


# A failed try


async def test_the_text_of_a_model_that_failed_is_taken_back_when_it_is_called_again() -> None:
    tries = iter((True, False))

    async def breaks(place: int) -> None:
        if place == 2 and next(tries):
            raise ConnectionError("overloaded")

    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0.01)
    events = await run(create_agent(says("one two three four", before=breaks), [], middleware=[retry]))
    assert artifact_text(events) == "one two three four"
    assert told(events) == {}


# Reasoning, calls, tokens


async def test_reasoning_calls_and_tokens_are_events_of_their_own() -> None:
    @tool
    async def look(place: str) -> str:
        """Look."""
        return "ok"

    thought = AIMessage([{"type": "reasoning", "reasoning": "I should look."}])
    thought.tool_calls = calls("look", {"place": "here"}).tool_calls
    answer = AIMessage([{"type": "thinking", "thinking": "Fine."}, {"type": "text", "text": "All good."}])
    events = await run(create_agent(says(thought, answer), [look]))
    assert artifact_text(events) == "All good."
    assert told(events, "reasoning") == {"model": "I should look.Fine."}
    pieces = [metadata(event) for event in of_kind(events, "tool_call")]
    assert {(piece["name"], piece["call"]) for piece in pieces} == {("look", "call-1")}
    assert "".join(piece["input"] for piece in pieces) == '{"place": "here"}'
    assert [metadata(event)["call"] for event in of_kind(events, "tool_start")] == ["call-1"]
    used = [metadata(event) for event in of_kind(events, "usage")]
    assert [(each["name"], each["usage"]) for each in used] == [
        ("speaker-1", {"input": 11, "output": 7, "calls": 1}),
    ] * 2
    assert metadata(events[-1])["usage"] == {"input": 22, "output": 14, "calls": 2}


@pytest.mark.parametrize("at_once", [False, True])
async def test_what_a_model_says_comes_before_what_that_took(at_once: bool) -> None:
    answer = AIMessage("All good.", usage_metadata={"input_tokens": 11, "output_tokens": 7, "total_tokens": 18})
    events = await run(create_agent(says(answer, disable_streaming=at_once), []))
    [used], said_last = of_kind(events, "usage"), of_kind(events, "token")[-1]
    assert metadata(said_last)["seq"] < metadata(used)["seq"]


async def test_an_answer_of_a_tool_that_never_ran_is_a_tool_call() -> None:
    @wrap_tool_call
    async def from_cache(request: Any, _: Any) -> ToolMessage:
        return ToolMessage("from the cache", tool_call_id=request.tool_call["id"])

    @tool
    async def look(place: str) -> str:
        """Look."""
        raise AssertionError

    events = await run(create_agent(says(calls("look", {"place": "x"}), "Done."), [look], middleware=[from_cache]))
    (start,), (end,) = of_kind(events, "tool_start"), of_kind(events, "tool_complete")
    assert (metadata(start)["name"], metadata(start)["call"]) == ("look", "call-1")
    assert (metadata(end)["step"], metadata(end)["output"]) == (metadata(start)["step"], "from the cache")


# Results


class Report(BaseModel):
    city: str
    temperature: float


async def test_a_structured_response_and_files_in_the_answer_are_artifacts() -> None:
    events = await run(
        create_agent(says(calls("Report", {"city": "Rome", "temperature": 21.5})), [], response_format=Report)
    )
    (structured,) = [event["artifactUpdate"]["artifact"] for event in of_kind(events, "result")]
    assert structured["name"] == "structured_response"
    assert structured["parts"] == [{"data": {"city": "Rome", "temperature": 21.5}}]

    picture = AIMessage(
        [{"type": "text", "text": "Look:"}, {"type": "image", "base64": "AAAA", "mime_type": "image/png"}]
    )
    events = await run(create_agent(says(picture), []))
    (image,) = [event["artifactUpdate"]["artifact"] for event in of_kind(events, "result")]
    assert image["parts"] == [{"raw": "AAAA", "mediaType": "image/png", "filename": "image-1.png"}]
    assert artifact_text(events) == "Look:"


async def test_files_in_the_answer_are_counted_by_their_kinds_and_named_by_their_types() -> None:
    blocks: list[str | dict[str, Any]] = [
        {"type": "image", "url": "https://example.com/a.webp?size=1"},
        {"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"},
        {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
        {"type": "file", "url": "https://example.com/report"},
        {"type": "file", "url": "https://[no-host/report.pdf"},
    ]
    events = await run(create_agent(says(AIMessage(blocks, response_metadata={"output_version": "v1"})), []))
    parts = {
        artifact["name"]: {key: artifact["parts"][0][key] for key in ("filename", "mediaType")}
        for artifact in (event["artifactUpdate"]["artifact"] for event in of_kind(events, "result"))
    }
    assert parts == {
        "image-1": {"filename": "image-1.webp", "mediaType": "image/webp"},
        "audio-1": {"filename": "audio-1.wav", "mediaType": "audio/wav"},
        "image-2": {"filename": "image-2.png", "mediaType": "image/png"},
        "file-1": {"filename": "file-1", "mediaType": "application/octet-stream"},
        "file-2": {"filename": "file-2", "mediaType": "application/octet-stream"},
    }


async def test_a_file_whose_content_is_not_base64_is_data_and_no_file_that_readers_refuse() -> None:
    block: dict[str, Any] = {"type": "image", "base64": "a picture!", "mime_type": "image/png"}

    def speak(_: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage([block, block | {"base64": "AA\nAA\n"}])]}

    events = await run(chat(speak))
    artifacts = [event["artifactUpdate"]["artifact"] for event in of_kind(events, "result")]
    assert {each["name"]: each["parts"] for each in artifacts} == {
        "image-1": [{"data": block}],
        "image-2": [{"raw": "AAAA", "mediaType": "image/png", "filename": "image-2.png"}],
    }


@pytest.mark.parametrize("returned", [("ai", "hi"), {"role": "assistant", "content": "hi"}, AIMessage("hi")])
async def test_a_message_in_any_form_that_langchain_reads_is_the_answer(returned: Any) -> None:
    def speak(_: MessagesState) -> dict[str, Any]:
        return {"messages": [returned]}

    assert artifact_text(await run(chat(speak))) == "hi"


async def test_the_result_of_a_tool_that_returns_directly_is_the_answer() -> None:
    @tool(return_direct=True)
    async def look(place: str) -> str:
        """Look."""
        return f"Nothing {place}."

    events = await run(create_agent(says(calls("look", {"place": "here"}, text="Let me see.")), [look]))
    assert (artifact_text(events), told(events)) == ("Nothing here.", {"model": "Let me see."})


async def test_the_answer_of_the_turn_before_is_never_the_answer() -> None:
    async def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("Hello.")]} if len(state["messages"]) == 1 else {}

    async with agent(chat(speak)) as served:
        first = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        assert artifact_text(await served.events(first["id"])) == "Hello."
        again = message("and now?", contextId=first["contextId"])
        second = (await served.result("SendMessage", {"message": again}))["task"]
    assert (second["status"]["state"], second.get("artifacts")) == (DONE, None)


async def test_a_message_that_comes_whole_with_its_calls_is_never_in_the_response() -> None:
    async def hand_back(_: MessagesState) -> dict[str, Any]:
        call = calls("transfer_back", {}, text="Transferring back.")
        return {"messages": [call, ToolMessage("Done.", tool_call_id="call-1", name="transfer_back")]}

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await says("one", "two", "It is 5.").ainvoke(state["messages"])]}

    events = await run(chat(hand_back, answer))
    assert not any("Transferring" in text for text in streamed(events))
    assert told(events) == {"hand_back": "Transferring back."}
