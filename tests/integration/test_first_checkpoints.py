"""A process that is lost while it saves the two checkpoints with which a graph begins, in a conversation."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from tailrace.log.memory import MemoryLog
from tests.support.conditions import eventually
from tests.support.events import message, state_of
from tests.support.in_process import agent

pytestmark = pytest.mark.asyncio


class Chat(TypedDict):
    """A state to which the same message can be added twice."""

    messages: Annotated[list[AnyMessage], operator.add]


class LosingSaver(InMemorySaver):
    """Saves all checkpoints except those of a graph that begins whose source is `loses`. `saves` counts both kinds."""

    loses = ""
    saves = 0

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        self.saves += 1
        if metadata["source"] == self.loses:
            return await asyncio.get_running_loop().create_future()
        return await super().aput(config, checkpoint, metadata, new_versions)


@pytest.mark.parametrize("lost", ["input", "loop"])
async def test_either_of_the_first_two_checkpoints_may_be_lost(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are saved at the same time. The next attempt goes on from the other one, and the input counts once."""
    log, saver, seen = MemoryLog(), LosingSaver(), list[list[Any]]()
    monkeypatch.setattr("langgraph.checkpoint.memory.InMemorySaver", lambda **_: saver)

    async def work(state: Chat) -> dict[str, Any]:
        seen.append([each.content for each in state["messages"]])
        return {"messages": [AIMessage("done")]}

    graph = StateGraph(Chat).add_node(work).add_edge(START, "work")
    async with agent(graph, log=log, options={"thread": "context"}) as stopped:
        await stopped.result("SendMessage", {"message": message("one", contextId="c")})
        saver.loses, saver.saves = lost, 0
        two = {"message": message("two", contextId="c"), "configuration": {"returnImmediately": True}}
        task_id = (await stopped.result("SendMessage", two))["task"]["id"]
        await eventually(lambda: saver.saves == 2)
    saver.loses = ""
    async with agent(graph, log=log, options={"thread": "context"}) as next_one:
        ended = (await next_one.frames("SubscribeToTask", {"id": task_id}, cursor=1))[-1]
    assert state_of(ended.result) == "TASK_STATE_COMPLETED"
    assert seen == [["one"], ["one", "done", "two"]]
