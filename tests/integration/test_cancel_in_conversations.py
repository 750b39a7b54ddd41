"""A working task of a conversation is cancelled, and the next message comes: it begins where the thread was before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from tailrace import write
from tailrace.agent import attempt
from tests.integration.test_conversations import recalled
from tests.integration.test_gateway_contexts import DONE, post, say
from tests.support.events import message
from tests.support.in_process import agent, system
from tests.support.jsonrpc import Agent

CANCELED = "TASK_STATE_CANCELED"


class Waiting:
    """A graph that writes what its thread has heard. At "wait" it waits, and cleans up after it was cancelled."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.canceled = asyncio.Event()
        self.cleaned = asyncio.Event()

    async def recall(self, state: MessagesState) -> None:
        heard = [each.text for each in state["messages"] if isinstance(each, HumanMessage)]
        write(", ".join(heard))
        if heard[-1] == "wait":
            self.reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.canceled.set()
                await self.cleaned.wait()

    @property
    def graph(self) -> StateGraph[Any, Any, Any, Any]:
        return StateGraph(MessagesState).add_node("recall", self.recall).add_edge(START, "recall")


async def begin_waiting(served: Agent, waiting: Waiting) -> str:
    """Begin a task that waits; return its id."""
    params = {"message": message("wait", contextId="c"), "configuration": {"returnImmediately": True}}
    task = (await served.result("SendMessage", params))["task"]["id"]
    await waiting.reached.wait()
    return str(task)


async def test_the_next_message_goes_on_from_before_the_cancelled_task() -> None:
    waiting = Waiting()
    waiting.cleaned.set()
    async with agent(waiting.graph) as served:
        assert await recalled(served, "one", contextId="c") == "one"
        task = await begin_waiting(served, waiting)
        assert (await served.result("CancelTask", {"id": task}))["status"]["state"] == CANCELED
        assert await recalled(served, "two", contextId="c") == "one, two"


async def test_the_next_message_is_refused_until_the_cancelled_task_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "CLEANUP_S", 60)
    waiting = Waiting()
    async with agent(waiting.graph) as served:
        assert await recalled(served, "one", contextId="c") == "one"
        task = await begin_waiting(served, waiting)
        canceling = asyncio.create_task(served.result("CancelTask", {"id": task}))
        await waiting.canceled.wait()
        error = await served.error("SendMessage", {"message": message("two", contextId="c")})
        assert (error["code"], task in error["message"]) == (-32004, True)
        waiting.cleaned.set()
        assert (await canceling)["status"]["state"] == CANCELED
        assert await recalled(served, "two", contextId="c") == "one, two"


async def test_at_the_gateway_the_next_message_goes_on_from_before_the_cancelled_task(tmp_path: Path) -> None:
    waiting = Waiting()
    waiting.cleaned.set()
    async with system(waiting.graph, tmp_path) as sut:
        assert (await say(sut, "one", "c"))[1:] == (DONE, "one")
        task = (await post(sut, "wait", "c")).json()["id"]
        await waiting.reached.wait()
        assert (await sut.http.post(f"/api/tasks/{task}/cancel")).status_code == 202
        assert (await say(sut, "two", "c"))[1:] == (DONE, "one, two")
        assert (await sut.read(task)).state == CANCELED
