"""An agent takes no more tasks and streams at once than it may. What is refused leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.graph import START, MessagesState, StateGraph

from tailrace import AgentApp, Request
from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.events import submitted
from tailrace.log import Head
from tailrace.log.head import NewOf
from tailrace.log.memory import MemoryLog
from tests.sample_agents.hello_world import hello_world
from tests.support.conditions import eventually
from tests.support.events import message, message_of, state_of
from tests.support.in_process import CARD, agent, system
from tests.support.jsonrpc import Agent, rpc

NOW = {"configuration": {"returnImmediately": True}}
DONE, WAITS = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED"


class Counter:
    """A graph that counts how many of its runs are under way, and lets them end when `gate` is set."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.now = self.most = self.runs = 0

    async def node(self, _: MessagesState) -> dict[str, Any]:
        self.runs += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await self.gate.wait()
        await asyncio.sleep(0)
        self.now -= 1
        return {}

    @property
    def builder(self) -> StateGraph[MessagesState]:
        return StateGraph(MessagesState).add_node("node", self.node).add_edge(START, "node")


async def post(served: Agent, method: str, params: Any, *, cursor: str | None = None) -> httpx.Response:
    headers = {"A2A-Version": "1.0"} | ({} if cursor is None else {"Last-Event-ID": cursor})
    return await served.http.post(served.url + "/", json=rpc(method, params), headers=headers)


async def stored(served: Agent) -> int:
    """How many tasks there are."""
    return int((await served.result("ListTasks", {}))["totalSize"])


async def test_a_start_that_hangs_gives_its_slot_to_others_and_costs_the_task_a_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, asked, answers = MemoryLog(), threading.Event(), threading.Event()
    stall_s, made, starts = 599.0, asyncio.timeout, list[asyncio.Timeout]()

    def timeout(delay: float | None) -> asyncio.Timeout:
        limit = made(delay)
        if delay == stall_s:  # it limits a start
            starts.append(limit)
        return limit

    def thread(request: Request) -> str:
        if request.text == "hang":
            asked.set()
            answers.wait()
        return request.text

    options = {"max_tasks": 1, "thread": thread}
    try:
        async with agent(hello_world(), log=log, options=options, stall_s=stall_s) as served:
            monkeypatch.setattr(asyncio, "timeout", timeout)
            hanging = {"message": message("hang", messageId="m-1"), **NOW}
            sending = asyncio.create_task(served.call("SendMessage", hanging))
            await asyncio.to_thread(asked.wait)
            refused = await served.call("SendMessage", {"message": message("go", messageId="m-2")})
            assert refused["error"]["code"] == -32603
            starts[0].reschedule(0)  # its time is over
            await sending
            done = await served.result("SendMessage", {"message": message("go", messageId="m-3")})
            assert done["task"]["status"]["state"] == DONE
            (head,) = [head for head in (await log.list("local")).heads if head.state != DONE]
            assert (head.state, head.tries) == ("TASK_STATE_SUBMITTED", 1)
    finally:
        answers.set()


async def test_a_task_beyond_the_limit_is_refused_and_leaves_nothing_behind() -> None:
    counter = Counter()
    async with agent(counter.builder, options={"max_tasks": 2}) as served:
        for number in range(2):
            await served.result("SendMessage", {"message": message("go", messageId=f"m-{number}"), **NOW})
        params = {"message": message("go", messageId="m-3", contextId="c-3"), **NOW}
        refused = await post(served, "SendMessage", params)
        assert (refused.status_code, refused.headers["retry-after"]) == (200, "5")
        assert refused.json()["error"] == {
            "code": -32603,
            "message": "This agent works on 2 tasks, its limit. Try again in 5 s.",
        }
        streamed = await post(served, "SendStreamingMessage", params)
        assert streamed.json()["error"]["code"] == -32603
        headers = {"A2A-Version": "1.0", "Content-Type": "application/json"}
        by_http = await served.http.post(served.url + "/message:send", json=params, headers=headers)
        assert (by_http.status_code, by_http.headers["retry-after"]) == (503, "5")
        assert by_http.json()["error"]["status"] == "UNAVAILABLE"
        assert await stored(served) == 2
        counter.gate.set()
        await eventually(lambda: counter.now == 0 and counter.runs == 2)
        async with asyncio.timeout(60):
            while "error" in await served.call("SendMessage", params):
                await asyncio.sleep(0.01)
        assert await stored(served) == 3


class SlowVisits(MemoryLog):
    """A log in which a task that is taken for a new one is claimed only after `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.visited, self.go_on = asyncio.Event(), asyncio.Event()

    async def claim(self, task_id: str, owner: str, lease_s: float, only: NewOf | None = None) -> Head:
        if only is not None:
            self.visited.set()
            await self.go_on.wait()
        return await super().claim(task_id, owner, lease_s, only)


async def test_a_task_is_not_refused_for_a_visit_that_starts_none() -> None:
    """Who reads a task and has its first event may have just created it. Its start has a slot until that is known."""
    log = SlowVisits()
    head = Head(task_id="t", owner="local", context_id="c", agent=CARD.name)
    await log.create(head, submitted(head.source, message_of({"text": "go"})))
    await log.claim("t", "another process", 600)
    async with agent(hello_world(), log=log, options={"max_tasks": 1}) as served:
        visit = asyncio.create_task(served.result("GetTask", {"id": "t"}, last_event_id="1"))
        await log.visited.wait()
        sending = asyncio.create_task(served.result("SendMessage", {"message": message("go")}))
        await served.result("ListTasks", {})  # The agent has the message by now.
        log.go_on.set()
        assert (await sending)["task"]["status"]["state"] == DONE
        await visit


async def test_of_many_tasks_at_the_same_time_no_more_run_than_may() -> None:
    counter = Counter()
    async with agent(counter.builder, options={"max_tasks": 3}) as served:
        answers = await asyncio.gather(
            *(served.call("SendMessage", {"message": message("go", messageId=f"m-{n}"), **NOW}) for n in range(40))
        )
        taken = [answer["result"]["task"]["id"] for answer in answers if "result" in answer]
        assert len(taken) == 3
        assert {answer["error"]["code"] for answer in answers if "error" in answer} == {-32603}
        counter.gate.set()
        for task_id in taken:
            assert state_of((await served.finished(task_id))[-1]) == DONE
    assert counter.most == 3


async def test_tasks_that_exist_already_wait_their_turn(tmp_path: Path) -> None:
    """The gateway writes a task into the log before the agent knows of it."""
    counter = Counter()
    async with system(counter.builder, tmp_path, options={"max_tasks": 2}) as sut:
        tasks = [await sut.post({"text": f"go {number}"}) for number in range(6)]
        readers = [asyncio.create_task(sut.read(task_id)) for task_id in tasks]
        await eventually(lambda: counter.runs == 2)
        counter.gate.set()
        async with asyncio.timeout(60):
            await asyncio.gather(*readers)
    assert (counter.runs, counter.most) == (6, 2)


async def test_a_new_task_does_not_overtake_one_that_waits(tmp_path: Path) -> None:
    counter = Counter()
    async with agent(counter.builder, options={"max_tasks": 1}) as served:
        first = (await served.result("SendMessage", {"message": message("go", messageId="m-1"), **NOW}))["task"]["id"]
        head = await served.log.head(first)
        for number in (2, 3):  # as a gateway does
            event = (await served.log.read(first))[0].events[0].replace(first.encode(), f"t-{number}".encode())
            await served.log.create(type(head)(
                task_id=f"t-{number}", owner=head.owner, context_id=f"c-{number}", agent=head.agent
            ), event)  # fmt: skip
            await served.result("GetTask", {"id": f"t-{number}"})
        counter.gate.set()
        for task_id in ("t-2", "t-3"):
            assert state_of((await served.finished(task_id))[-1]) == DONE
    assert counter.most == 1


async def test_a_reply_is_taken_although_the_agent_is_busy() -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate), options={"max_tasks": 1}) as served:
        asking = (await served.result("SendMessage", {"message": message("ask", messageId="m-1")}))["task"]
        assert asking["status"]["state"] == WAITS
        slow = await served.begin("slow")
        reply = message("payments", messageId="m-3", taskId=asking["id"])
        answered = (await served.result("SendMessage", {"message": reply}))["task"]
        assert answered["status"]["state"] == DONE
        gate.set()
        await served.finished(slow["id"])


async def test_a_repeated_message_finds_its_task_although_the_agent_is_busy() -> None:
    counter = Counter()
    async with agent(counter.builder, options={"max_tasks": 1}) as served:
        params = {"message": message("go", messageId="m-1"), **NOW}
        first = (await served.result("SendMessage", params))["task"]["id"]
        assert (await served.result("SendMessage", params))["task"]["id"] == first
        counter.gate.set()
        await served.finished(first)
    assert counter.runs == 1


@pytest.mark.parametrize("most", [0, -1, 2.5, "20", True])
def test_a_limit_that_is_no_number_of_tasks_is_refused_at_the_start(most: Any) -> None:
    with pytest.raises(ConfigError, match=r"max_tasks has value .*, but must be a whole number from 1, or None"):
        AgentApp(hello_world(), CARD, settings=Settings(log="memory"), max_tasks=most)


async def test_a_stream_beyond_the_limit_is_refused_and_leaves_nothing_behind() -> None:
    gate = asyncio.Event()
    async with agent(hello_world(gate), max_streams=1) as served:
        task = await served.begin("slow")
        async with served.stream("SubscribeToTask", {"id": task["id"]}, cursor=0) as frames:
            await anext(frames)
            for method, params in (
                ("SubscribeToTask", {"id": task["id"]}),
                ("SendStreamingMessage", {"message": message("hello", messageId="m-2")}),
            ):
                refused = await post(served, method, params)
                assert (refused.status_code, refused.headers["retry-after"]) == (200, "5")
                assert refused.json()["error"] == {
                    "code": -32603,
                    "message": "All 1 streams of this agent are in use. Try again in 5 s.",
                }
            by_http = await served.http.get(
                f"{served.url}/tasks/{task['id']}:subscribe", headers={"A2A-Version": "1.0"}
            )
            assert (by_http.status_code, by_http.headers["retry-after"]) == (503, "5")
            assert await stored(served) == 1
            assert "result" in await served.call("GetTask", {"id": task["id"]})
        gate.set()
        async with asyncio.timeout(60):  # until the server notices that the reader has gone
            while (await post(served, "SubscribeToTask", {"id": task["id"]}, cursor="0")).text.startswith("{"):
                await asyncio.sleep(0.01)
        await served.finished(task["id"])


async def test_a_stream_that_is_refused_for_another_reason_does_not_count() -> None:
    async with agent(hello_world(), max_streams=1) as served:
        for _ in range(3):
            assert (await served.error("SubscribeToTask", {"id": "nobody"}))["code"] == -32001
            assert (await served.error("SendStreamingMessage", {"message": {}}))["code"] == -32602
            head = await served.http.head(f"{served.url}/tasks/nobody:subscribe", headers={"A2A-Version": "1.0"})
            assert head.status_code == 404
        for number in range(3):
            params = {"message": message("hello", messageId=f"m-{number}")}
            assert state_of((await served.frames("SendStreamingMessage", params))[-1].result) == DONE
