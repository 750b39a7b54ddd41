"""However many processes have a run at the same time, another agent gets one task for each call."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.graph import MessagesState
from starlette.types import Receive, Scope, Send

from tailrace import AgentApp, AgentCard, delegate, write
from tailrace.a2a.client import AgentClient, new_http
from tailrace.config import Settings
from tailrace.errors import Fenced
from tailrace.log.memory import MemoryLog
from tests.contract.log_tasks import Clock
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.bundle import graph
from tests.support.events import artifact_text, message_of, of_kind, state_of
from tests.support.http import serve
from tests.support.in_process import agent

LEASE_S = 10.0


def card(name: str) -> AgentCard:
    return AgentCard(name=name, description="For tests.", version="1", skills=[])


async def test_an_attempt_whose_task_another_process_has_claimed_asks_nobody() -> None:
    """That process may have looked for checkpoints before this node's was saved: then it asks under another id."""
    clock, met = Clock(), list[BaseException]()
    log = MemoryLog(clock=clock)
    raised = asyncio.Event()

    async def asks(state: MessagesState) -> None:
        (head,) = (await log.list("alice")).heads
        clock.now += LEASE_S + 1
        await log.claim(head.task_id, "another process", LEASE_S)
        try:
            await delegate(url, "hello")
        except BaseException as error:
            met.append(error)
            raised.set()
            raise

    gate = Gate()
    specialist = AgentApp(waits_at_gate(gate), card("one"), settings=Settings(log="memory"), log=log)
    async with asyncio.timeout(60), new_http() as http, serve(specialist) as url:
        settings = Settings(log="memory", lease_s=LEASE_S, specialist_urls=url, agent_urls=url)
        async with serve(AgentApp(graph(asks), card("asks"), settings=settings, log=log)) as caller:
            client = AgentClient(http, caller, owner="alice", settings=Settings(agent_urls=caller))
            sent = await client.send(message_of({"text": "go"}))
            assert sent.task is not None
            await raised.wait()
            assert isinstance(met[0], Fenced)
            assert (await log.list(f"alice/{sent.task.id}")).heads == []
            assert not gate.reached.is_set()


async def test_an_attempt_that_must_end_waits_for_no_agents_card_and_the_next_one_asks_once() -> None:
    log, asked, answers = MemoryLog(), asyncio.Event(), asyncio.Event()

    async def asks(state: MessagesState) -> None:
        write((await delegate(url, "hello")).text)

    async def greets(state: MessagesState) -> None:
        write("hello")

    app = AgentApp(graph(greets), card("one"), settings=Settings(log="memory"), log=log)

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            asked.set()
            await answers.wait()
        await app(scope, receive, send)

    async with asyncio.timeout(60), serve(slow) as url:
        ending: dict[str, Any] = {"attempt_s": 40.5, "handoff_s": 40, "specialist_urls": url, "agent_urls": url}
        async with agent(graph(asks), log=log, **ending) as caller:
            task_id = (await caller.begin("go"))["id"]
            await asked.wait()
            while not of_kind(await caller.events(task_id), "handoff"):
                await asyncio.sleep(0.01)
            answers.set()
            events = await caller.finished(task_id)
            assert (state_of(events[-1]), artifact_text(events)) == ("TASK_STATE_COMPLETED", "hello")
            assert len((await log.list(f"local/{task_id}")).heads) == 1
