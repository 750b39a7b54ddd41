"""Whatever is lost, repeated or killed while a run sleeps and wakes, its result is the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import MessagesState

from sweeper.sweep import sweep
from tailrace import progress, write
from tailrace.a2a.client import new_http
from tailrace.agent.dispatch import Dispatch
from tailrace.config import Settings
from tailrace.log import Head
from tailrace.log.memory import MemoryLog
from tests.support.bundle import Bundle, asking, assert_each_came_once, bundle, graph
from tests.support.events import artifact_text, of_kind, said, state_of

# What may happen: the specialist reports; the run sleeps; it is woken for no reason, once or twice; wakes are lost from
# now on, or arrive again; another process takes the run and dies, whether the run sleeps or not; somebody looks.
Happening = Literal["report", "asleep", "wake", "wake twice", "deaf", "hears", "killed", "look", "sweep"]
_HAPPENINGS = Happening.__args__  # type: ignore[attr-defined]
# A run that is lost more often at one place fails, as it should.
_KILLS = 2


class FaultyLog(MemoryLog):
    """A log in which wakes are lost while it is `deaf`, and with which another process can take a task and die."""

    deaf = False

    async def wake(self, task_id: str, attempt: int) -> Head:
        return await self.head(task_id) if self.deaf else await super().wake(task_id, attempt)

    async def take_and_die(self, task_id: str) -> None:
        self._put(await self.head(task_id), lease_until=0)
        await self.claim(task_id, "a process that dies", 0.2)


@given(
    happenings=st.lists(st.sampled_from(_HAPPENINGS), max_size=6).filter(lambda all: all.count("killed") <= _KILLS),
    cancelled=st.booleans(),
)
@settings(max_examples=12)
async def test_any_order_of_events_has_the_same_result(happenings: list[Happening], cancelled: bool) -> None:
    commands = asyncio.Queue[str]()

    async def work(state: MessagesState) -> None:
        while (command := await commands.get()) != "end":
            progress(command)
        write("done")

    log = FaultyLog()
    async with bundle(log, front=asking("back"), back=graph(work)) as agents:
        task_id = (await agents.front.begin("go"))["id"]
        reading = asyncio.create_task(agents.front.finished(task_id))
        while not await agents.delegated(task_id):
            await asyncio.sleep(0.01)
        counted: Counter[str] = Counter()
        for happening in happenings:
            counted[happening] += 1
            if happening == "report":
                commands.put_nowait(f"report {counted[happening]}")
            else:
                await happen(agents, log, task_id, happening)
        log.deaf = False
        if cancelled:
            await agents.front.result("CancelTask", {"id": task_id})
        commands.put_nowait("end")
        events = await reading
        ended = "TASK_STATE_CANCELED" if cancelled else "TASK_STATE_COMPLETED"
        assert state_of(events[-1]) == ended
        [back] = await agents.delegated(task_id)
        while (await log.head(back.task_id)).state != ended:
            await asyncio.sleep(0.01)
        assert_each_came_once(events)
        reports = [said(event) for event in of_kind(events, "progress")]
        expected = [f"report {number + 1}" for number in range(counted["report"])]
        assert reports == (expected[: len(reports)] if cancelled else expected)
        if not cancelled:
            assert artifact_text(events, "back") == "done"


async def happen(agents: Bundle, log: FaultyLog, task_id: str, happening: Happening) -> None:
    head = await log.head(task_id)
    if happening == "asleep":
        await agents.asleep(task_id)
    elif happening == "deaf":
        log.deaf = True
    elif happening == "hears":
        log.deaf = False
    elif happening == "killed":
        await log.take_and_die(task_id)
    elif happening == "look":
        await agents.front.result("GetTask", {"id": task_id})
    elif happening == "sweep":
        await swept(agents)
    else:
        for _ in range(2 if happening == "wake twice" else 1):
            await log.wake(task_id, head.attempt)


async def swept(agents: Bundle) -> None:
    async with new_http() as http:
        dispatch = Dispatch(agents.settings, http)
        await sweep(agents.log, dispatch, Settings(log="memory", lease_s=0.2, renew_s=0.1))
        await dispatch.close()
