"""A cancel that comes just when an attempt starts, or just when a task ends."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from gateway.app import create_app
from tailrace import Request
from tailrace.config import Settings
from tailrace.errors import Fenced
from tailrace.events import State, status_update, submitted
from tailrace.log import Batch, Head
from tailrace.log.fence import put_fence
from tailrace.log.memory import MemoryLog
from tests.sample_agents.hello_world import hello_world
from tests.support.conditions import eventually
from tests.support.events import TERMINAL, message, message_of, of_kind, state_of
from tests.support.gateway import ALICE, header_owner
from tests.support.http import serve
from tests.support.in_process import CARD, agent

pytestmark = pytest.mark.asyncio


class PausedLog(MemoryLog):
    """Returns a task's events, or writes its fence, or its head when it begins or ends, only after `go_on` is set.

    `fenced` counts the writes that were refused.
    """

    fenced = 0

    def __init__(
        self, *, at_read: bool = False, at_fence: bool = False, at_begin: bool = False, at_end: bool = False
    ) -> None:
        super().__init__()
        self._at_read = at_read
        self._at_fence = at_fence
        self.at_begin = at_begin
        self._at_end = at_end
        self.paused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.cancel_requested = asyncio.Event()
        self.go_on = asyncio.Event()

    async def append(self, task_id: str, batch: Batch) -> None:
        if self._at_fence and not self.paused.done():
            await self._pause(task_id)
        try:
            await super().append(task_id, batch)
        except Fenced:
            self.fenced += 1
            raise

    async def read(self, task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
        batches = await super().read(task_id, cursor, limit)
        if self._at_read and not self.paused.done():
            await self._pause(task_id)
        return batches

    async def update_state(self, task_id: str, attempt: int, state: Any, *, release: bool) -> Head:
        if (self._at_end and state in TERMINAL) or (self.at_begin and not self.paused.done()):
            await self._pause(task_id)
        return await super().update_state(task_id, attempt, state, release=release)

    async def request_cancel(self, task_id: str) -> Head:
        head = await super().request_cancel(task_id)
        self.cancel_requested.set()
        return head

    async def _pause(self, task_id: str) -> None:
        self.paused.set_result(task_id)
        await self.go_on.wait()


async def test_a_cancel_reaches_a_task_whose_start_hangs() -> None:
    """Its lease is renewed while an author's function decides on its thread, for as long as that takes."""
    asked, answers = threading.Event(), threading.Event()

    def thread(_: Request) -> str:
        asked.set()
        answers.wait()
        return "a thread"

    log = MemoryLog()
    options = {"thread": thread}
    try:
        async with agent(hello_world(asyncio.Event()), log=log, options=options, lease_s=600, renew_s=0.05) as served:
            sending = asyncio.create_task(served.call("SendMessage", {"message": message("go")}))
            await asyncio.to_thread(asked.wait)
            (head,) = (await log.list("local")).heads
            assert (await served.result("CancelTask", {"id": head.task_id}))["status"]["state"] == "TASK_STATE_CANCELED"
            sent = await sending
            assert sent["result"]["task"]["status"]["state"] == "TASK_STATE_CANCELED"
            assert await log.last(head.task_id) == 2, "its request and its end; it has not begun"
    finally:
        answers.set()


async def test_a_cancel_while_the_attempt_starts_stops_it_before_its_lease_is_renewed() -> None:
    log = PausedLog(at_fence=True)
    async with agent(hello_world(asyncio.Event()), log=log, lease_s=600, renew_s=300) as served:
        sending = asyncio.create_task(served.begin("slow"))
        task_id = await log.paused
        cancel = asyncio.create_task(served.result("CancelTask", {"id": task_id}))
        await log.cancel_requested.wait()
        log.go_on.set()
        assert (await cancel)["status"]["state"] == "TASK_STATE_CANCELED"
        await sending
        assert state_of((await served.events(task_id))[-1]) == "TASK_STATE_CANCELED"


async def test_a_cancel_while_a_new_task_is_claimed_is_left_to_the_code_that_claims_it() -> None:
    """It has the lease, but has not gone on yet. With it, the cancel would write as the same attempt."""
    log = PausedLog(at_read=True)
    head = Head(task_id="t", owner="local", context_id="c", agent=CARD.name)
    await log.create(head, submitted(head.source, message_of({"text": "go"})))
    async with agent(hello_world(asyncio.Event()), log=log, lease_s=600, renew_s=300) as served:
        visit = asyncio.create_task(served.result("GetTask", {"id": "t"}, last_event_id="1"))
        await log.paused
        cancel = asyncio.create_task(served.result("CancelTask", {"id": "t"}))
        await log.cancel_requested.wait()
        await served.result("ListTasks", {})  # Meanwhile the cancel goes as far as it can.
        log.go_on.set()
        assert (await cancel)["status"]["state"] == "TASK_STATE_CANCELED"
        await visit
        assert (log.fenced, (await log.head("t")).attempt) == (0, 1)


@pytest.mark.parametrize("make", [lambda update: update, lambda update: Command(goto="work", update=update)])
async def test_no_node_starts_before_it_is_known_whether_the_task_was_cancelled(make: Callable[[Any], Any]) -> None:
    """With a `Command`, LangGraph saves no checkpoint before a node that goes on with a conversation."""
    log, asked, runs = PausedLog(), list[str](), 0

    def start(request: Request) -> Any:
        asked.append(request.text)
        return make({"messages": [request.text]})

    async def work(state: MessagesState) -> None:
        nonlocal runs
        runs += 1

    graph = StateGraph(MessagesState).add_node(work).add_edge(START, "work")
    options = {"thread": "context", "input": start}
    async with agent(graph, log=log, options=options, lease_s=600, renew_s=300) as served:
        first = (await served.result("SendMessage", {"message": message("one", contextId="c")}))["task"]["id"]
        while (await log.head(first)).state not in TERMINAL:
            await asyncio.sleep(0.001)
        log.at_begin = True
        params = {"message": message("two", contextId="c"), "configuration": {"returnImmediately": True}}
        task_id = (await served.result("SendMessage", params))["task"]["id"]
        assert await log.paused == task_id
        await log.request_cancel(task_id)  # by another process
        await eventually(lambda: asked == ["one", "two"])
        for _ in range(5):
            await served.result("ListTasks", {})  # Meanwhile the graph goes as far as it can.
        log.go_on.set()
        ended = await served.finished(task_id)
    assert state_of(ended[-1]) == "TASK_STATE_CANCELED"
    assert runs == 1, "that of the first task"
    assert of_kind(ended, "node_start") == []


async def test_a_cancel_that_is_too_late_is_refused_although_the_head_is_not_up_to_date() -> None:
    log = PausedLog(at_end=True)
    async with agent(hello_world(), log=log) as runner, agent(hello_world(), log=log) as other:
        sending = asyncio.create_task(runner.begin("hello"))
        task_id = await log.paused  # its last event is in the log
        error = await other.error("CancelTask", {"id": task_id})
        log.go_on.set()
        await sending
    assert error["code"] == -32002
    assert "TASK_STATE_COMPLETED" in error["message"]


async def test_a_cancel_without_the_agent_that_is_too_late_is_refused() -> None:
    log = PausedLog()
    settings = Settings(log="memory", orchestrator_url="http://127.0.0.1:9/")  # nobody is there
    task_id = str(uuid.uuid4())
    source = Head(task_id=task_id, owner="alice", context_id="c", agent=settings.orchestrator)
    await log.create(source, submitted(source.source, message_of({"text": "go"}, message_id=task_id)))
    claimed = await log.claim(task_id, "worker", lease_s=600)
    app = create_app(settings, log=log, decide_owner=header_owner)
    async with (
        asyncio.timeout(60),
        serve(app) as url,
        httpx.AsyncClient(base_url=url, headers=ALICE, timeout=60) as http,
    ):
        cancel = asyncio.create_task(http.post(f"/api/tasks/{task_id}/cancel"))
        await log.cancel_requested.wait()
        done: State = "TASK_STATE_COMPLETED"
        await put_fence(log, claimed, lambda seq: status_update(claimed.source, seq, "state", state=done))
        await log.update_state(task_id, claimed.attempt, done, release=True)
        answer = await cancel
    assert answer.status_code == 409
    assert done in answer.json()["detail"]
