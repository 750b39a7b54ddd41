"""A task is dispatched to its agent, even if only the addresses of the agents are known."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import httpx
import msgspec
import pytest
from langgraph.graph import START, MessagesState, StateGraph

from tailrace import events
from tailrace.a2a.client import AgentClient, new_http
from tailrace.a2a.identity import task_id_of
from tailrace.agent.dispatch import Dispatch
from tailrace.config import Settings
from tailrace.events import State
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tailrace.owner import OWNER_HEADER
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message, message_of, state_of
from tests.support.in_process import CARD, agent

SECRET = "correct-horse-battery-staple"


async def test_dispatch_finds_an_agent_whose_name_differs_from_its_folder(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryLog()
    task_id = task_id_of("alice", "My Talker", "m")
    head = Head(task_id=task_id, owner="alice", context_id="c", agent="My Talker", fingerprint="f")
    hello = message_of({"text": "hello"})
    hello.task_id, hello.context_id = task_id, "c"
    head = await log.create(head, events.submitted(head.source, hello))
    named = msgspec.structs.replace(CARD, name="My Talker")
    async with (
        agent(hello_world(), log=log, run_secret=SECRET) as other,
        agent(hello_world(), log=log, card=named, run_secret=SECRET) as its_own,
        new_http() as http,
        contextlib.AsyncExitStack() as stack,
    ):
        urls = f"{other.url}/,{its_own.url}/"
        known_by_folder = f"hello_world={other.url}/,my_talker={its_own.url}/"
        dispatch = Dispatch(Settings(agent_urls=urls, dispatch=known_by_folder, run_secret=SECRET), http)
        stack.push_async_callback(dispatch.close)
        with caplog.at_level(logging.WARNING, "tailrace.dispatch"):
            assert await dispatch(head)
            await dispatch.close()
        assert caplog.records == []
        async with asyncio.timeout(60):
            while (await log.head(task_id)).state != "TASK_STATE_COMPLETED":
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("function", ["gateway", "sweeper", "another agent"])
async def test_a_function_is_never_asked_to_run_the_task_of_an_agent_that_it_is_not(
    function: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", function)
    head = Head(task_id="t", owner="alice", context_id="c", agent="My Talker", fingerprint="f")
    async with new_http() as http:
        agent = function if "agent" in function else None
        assert not await Dispatch(Settings(agent_urls="https://other.example/"), http, agent)(head)
    assert "task t was not dispatched: no place for the agent My Talker in TAILRACE_DISPATCH" in caplog.text


async def test_dispatch_reports_an_agent_without_an_address(caplog: pytest.LogCaptureFixture) -> None:
    head = Head(task_id="t", owner="alice", context_id="c", agent="My Talker", fingerprint="f")
    async with new_http() as http:
        assert not await Dispatch(Settings(), http)(head)
    assert "no place for the agent My Talker in TAILRACE_DISPATCH" in caplog.text


class CountingLog(MemoryLog):
    """A log that counts how often its events are read."""

    reads = 0

    async def read(self, *args: Any) -> list[Batch]:
        self.reads += 1
        return await super().read(*args)


async def test_a_dispatch_reads_no_event_of_the_log() -> None:
    """A run of many attempts has a dispatch for each of them, and its log may be long."""
    log = CountingLog()
    async with agent(hello_world(), log=log, run_secret=SECRET) as sut, new_http() as http:
        with_secret = {"authorization": f"Bearer {SECRET}", OWNER_HEADER: "alice"}
        task_id = str((await sut.begin("hello", **with_secret))["id"])
        async with asyncio.timeout(60):
            while (await log.head(task_id)).state != "TASK_STATE_COMPLETED":
                await asyncio.sleep(0.005)
        log.reads = 0
        dispatch = Dispatch(Settings(dispatch=f"hello_world={sut.url}/", run_secret=SECRET), http)
        assert await dispatch(await log.head(task_id))
        await dispatch.close()
        assert log.reads == 0


@pytest.mark.parametrize("prefer", ["return=minimal", "respond-async, Return=Minimal;foo=bar"])
async def test_who_prefers_a_minimal_answer_gets_a_task_as_a_list_shows_it(prefer: str) -> None:
    log = CountingLog()
    async with agent(hello_world(), log=log) as sut:
        task_id = (await sut.begin("hello"))["id"]
        await sut.finished(task_id)
        whole = await sut.result("GetTask", {"id": task_id})
        (listed,) = (await sut.result("ListTasks"))["tasks"]
        log.reads = 0
        assert await sut.result("GetTask", {"id": task_id}, prefer=prefer) == listed
        assert log.reads == 0
        assert await sut.result("GetTask", {"id": task_id}, prefer="return=representation") == whole


async def test_a_reply_and_a_cancel_may_be_answered_minimally_too() -> None:
    async with agent(hello_world()) as sut:
        task_id = (await sut.begin("ask"))["id"]
        await sut.until(task_id, lambda frame: state_of(frame.result) == "TASK_STATE_INPUT_REQUIRED")
        reply = {"message": message("twice", taskId=task_id), "configuration": {"returnImmediately": True}}
        shown = (await sut.result("SendMessage", reply, prefer="return=minimal"))["task"]
        assert (shown["id"], shown.keys() & {"artifacts", "history"}) == (task_id, set())
        other = (await sut.begin("ask"))["id"]
        await sut.until(other, lambda frame: state_of(frame.result) == "TASK_STATE_INPUT_REQUIRED")
        shown = await sut.result("CancelTask", {"id": other}, prefer="return=minimal")
        assert (shown["status"]["state"], shown.keys() & {"artifacts", "history"}) == ("TASK_STATE_CANCELED", set())


class LateHeads(MemoryLog):
    """A log whose heads do not show what an attempt has come to until `may_show` is set; its events do."""

    def __init__(self) -> None:
        super().__init__()
        self.may_show = asyncio.Event()

    async def update_state(self, task_id: str, attempt: int, state: State, *, release: bool) -> Head:
        if release:
            await self.may_show.wait()
        return await super().update_state(task_id, attempt, state, release=release)


async def test_a_minimal_answer_that_has_waited_for_an_end_says_how_the_task_ended() -> None:
    log = LateHeads()
    async with agent(hello_world(), log=log) as sut:
        shown = (await sut.result("SendMessage", {"message": message("hello")}, prefer="return=minimal"))["task"]
        log.may_show.set()
        assert shown["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_minimal_answer_to_a_cancel_says_that_the_task_is_cancelled_in_another_process_too() -> None:
    async def step(_: MessagesState) -> None:
        await asyncio.Event().wait()

    log, builder = LateHeads(), StateGraph(MessagesState).add_node("step", step).add_edge(START, "step")
    async with agent(builder, log=log, renew_s=0.1) as runner, agent(builder, log=log) as other:
        task_id = (await runner.begin("go"))["id"]
        shown = await other.result("CancelTask", {"id": task_id}, prefer="return=minimal")
        log.may_show.set()
        assert shown["status"]["state"] == "TASK_STATE_CANCELED"


@pytest.mark.parametrize("own", [True, False])
async def test_only_our_own_agents_are_told_that_nobody_reads_an_answer(own: bool) -> None:
    """A server of another's may honour that, and answer 204 without a result."""
    preferences: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        preferences.append(request.headers.get("prefer"))
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": {}})

    settings = Settings(agent_urls="http://agent.example/") if own else Settings()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        await AgentClient(http, "http://agent.example/", owner="alice", settings=settings).cancel("t")
    assert preferences == ["return=minimal" if own else None]
