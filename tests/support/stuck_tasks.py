"""Tasks that no worker can start, in a memory log whose clock moves only when the test moves it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypedDict

import msgspec
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from tailrace.a2a.client import new_http
from tailrace.a2a.task import snapshot
from tailrace.agent.graph import AgentGraph
from tailrace.agent.service import Tasks
from tailrace.config import Settings
from tailrace.events import submitted
from tailrace.log import Head
from tailrace.log.memory import MemoryLog
from tests.support.events import message_of

OWNER = "alice"
# Event 1 of a task that an earlier version created: JSON too deep for Python's recursion.
TOO_DEEP = b'{"task":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"metadata":{"kind":"state"}}}'
UNREADABLE = b'{"task": {"history": 5, "metadata": {"kind":"state"}}}'


class Stuck:
    """The tasks of the agent `a`, with leases of 10 s by `clock`."""

    def __init__(self, tasks: Tasks, log: MemoryLog) -> None:
        self.tasks = tasks
        self.log = log

    now = 1_700_000_000.0

    async def create(self, task_id: str, event: bytes | None = None, agent: str = "a") -> Head:
        """Create a task that no worker has started; `event` replaces its valid event 1."""
        head = Head(task_id=task_id, owner=OWNER, context_id="c", agent=agent)
        message = message_of({"text": "go"}, message_id=task_id)
        return await self.log.create(head, event or submitted(head.source, message))

    async def look(self, task_id: str) -> Head:
        """Let a lease expire and have the agent check the task, as a viewer does; return its head after that."""
        self.now += 11
        await self.tasks.ensure_running(await self.log.head(task_id))
        await self.tasks.until_idle()
        return await self.log.head(task_id)

    async def looks_until_over(self, task_id: str) -> int:
        """Count the checks until the task is finished."""
        for look in range(1, 100):
            if (await self.look(task_id)).state.endswith(("COMPLETED", "FAILED", "CANCELED")):
                return look
        raise AssertionError(await self.log.head(task_id))

    async def said(self, task_id: str) -> str:
        """The message of the newest event."""
        (batch,) = await self.log.read(task_id, await self.log.last(task_id) - 1)
        status: dict[str, Any] = msgspec.json.decode(batch.events[-1])["statusUpdate"]["status"]
        return str(status["message"]["parts"][0]["text"])

    async def state(self, task_id: str) -> str:
        """The result of GetTask."""
        return (await snapshot(self.log, task_id)).task.status.state


class State(TypedDict, total=False):
    messages: list[Any]


@contextlib.asynccontextmanager
async def stuck(saver: BaseCheckpointSaver[Any] | None = None) -> AsyncIterator[Stuck]:
    """Make an agent whose graph does nothing and ends."""

    async def nothing(state: State) -> State:
        return State()

    graph = StateGraph(State).add_node("nothing", nothing).add_edge(START, "nothing")
    this: Stuck
    log = MemoryLog(clock=lambda: this.now)
    dispatch: Any = _dispatch
    async with new_http() as http, asyncio.timeout(300):
        compiled: Any = graph.compile(checkpointer=saver or InMemorySaver())
        tasks = Tasks(log, Settings(), AgentGraph("a", compiled), http, dispatch)
        this = Stuck(tasks, log)
        yield this
        await tasks.close()


async def _dispatch(_: Head) -> bool:
    return True
