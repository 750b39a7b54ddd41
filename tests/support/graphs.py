"""Graphs of a few nodes, a model that streams, and what a run of them says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.graph import START, MessagesState, StateGraph

from tests.support.events import artifact_text, message, metadata, of_kind, said, state_of
from tests.support.in_process import agent

Events = list[dict[str, Any]]


class Model(GenericFakeChatModel):
    """Streams its replies word by word; tool calls come in one piece."""

    def bind_tools(self, *_: Any, **__: Any) -> Any:
        """Return the model as it is: its replies are known."""
        return self


def model(*replies: str | BaseMessage, **options: Any) -> Model:
    """Return a model that gives these replies, one after the other."""

    def messages() -> Iterator[BaseMessage]:
        for reply in replies:
            yield AIMessage(reply) if isinstance(reply, str) else reply

    return Model(messages=messages(), **options)  # type: ignore[arg-type]


def graph(*nodes: Callable[..., Any], **named: Any) -> StateGraph[MessagesState]:
    """Return a graph that runs the nodes in sequence."""
    sequence: list[Any] = [*nodes, *named.items()]
    first = next(iter(named)) if not nodes else nodes[0].__name__
    return StateGraph(MessagesState).add_sequence(sequence).add_edge(START, first)


async def run(builder: Any, text: str = "hello", **options: Any) -> Events:
    """Run the graph once; return its events. `options` are passed to AgentApp."""
    async with agent(builder, options=options) as served:
        task = (await served.result("SendMessage", {"message": message(text)}))["task"]
        events = await served.events(task["id"])
        texts = [each["parts"][0]["text"] for each in task.get("artifacts", []) if each["name"] == "response"]
        assert texts in ([], [artifact_text(events)])  # the task has the same text as its stream
        return events


def named(events: Events, kind: str) -> dict[str, dict[str, Any]]:
    """Return the metadata of the events of a kind, by the names of their steps."""
    return {metadata(event)["name"]: metadata(event) for event in of_kind(events, kind)}


def failure(events: Events) -> str:
    """Return why the task has failed. No stack trace is in its events."""
    assert state_of(events[-1]) == "TASK_STATE_FAILED"
    text = said(events[-1])
    wire = str(events)
    assert "Traceback" not in wire
    assert 'File "' not in wire
    assert ".py" not in wire
    return text
