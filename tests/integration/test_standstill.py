"""An event loop that stands still is alive: its leases are kept, and no second attempt begins.

A process that is stopped as a whole is lost, as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, MessagesState, StateGraph

from tailrace import write
from tailrace.agent.lease import Lease, LeaseThread
from tailrace.config import Settings
from tailrace.errors import Fenced
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tailrace.log.sqlite import SQLiteLog
from tests.support.conditions import eventually
from tests.support.events import artifact_text, message, metadata, of_kind
from tests.support.freezing import freeze
from tests.support.in_process import agent
from tests.support.leases import end_leases
from tests.support.restarting_agent import restarting_agent, watch

pytestmark = pytest.mark.asyncio

LEASE_S = 2.0
SHORT_LEASE = {"TAILRACE_LEASE_S": f"{LEASE_S}"}


def lease_until(folder: Path) -> int:
    """When the only task's lease ends, read without the event loop; 0 if there is no task."""
    with contextlib.closing(sqlite3.connect(folder / "log.sqlite3")) as connection:
        row = connection.execute("SELECT lease_until FROM heads").fetchone()
    return int(row[0]) if row else 0


def begun(folder: Path) -> int:
    """How many times the blocking node has begun."""
    path = folder / "began"
    return len(path.read_text().splitlines()) if path.exists() else 0


async def test_no_second_attempt_begins_while_a_node_blocks_the_event_loop(tmp_path: Path) -> None:
    (tmp_path / "block").touch()
    async with (
        restarting_agent(tmp_path, "blocking", **SHORT_LEASE) as blocked,
        restarting_agent(tmp_path, "blocking", **SHORT_LEASE) as other,
    ):
        following = asyncio.create_task(watch(blocked, "go"))
        await eventually(lambda: begun(tmp_path))
        watching = asyncio.create_task(watch(other, "go"))
        first = await asyncio.to_thread(lease_until, tmp_path)
        # Three leases later it is still held, although somebody watches at a process that would take over.
        await eventually(lambda: lease_until(tmp_path) > first + 3_000 * LEASE_S)
        (tmp_path / "block").unlink()
        seen = await watching
        assert (await following).events == seen.events
    assert (seen.state, seen.response) == ("TASK_STATE_COMPLETED", "before after.")
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    assert seen.of_kind("attempt") == []
    assert begun(tmp_path) == 1


async def test_a_process_that_is_stopped_while_it_blocks_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "block").touch()
    async with restarting_agent(tmp_path, "blocking") as stopped, restarting_agent(tmp_path, "blocking") as other:
        following = asyncio.create_task(watch(stopped, "go"))
        await eventually(lambda: begun(tmp_path))
        first = await asyncio.to_thread(lease_until, tmp_path)
        await eventually(lambda: lease_until(tmp_path) > first)  # its thread has taken the renewals over
        await freeze(stopped.pid, tmp_path)
        await asyncio.to_thread(end_leases, tmp_path, stopped.pid)
        (tmp_path / "block").unlink()
        seen = await watch(other, "go")
        stopped.signal(signal.SIGCONT)
        assert (await following).events == seen.events  # a reader there sees the same events, from the log
        log = SQLiteLog(tmp_path / "log.sqlite3")
        after = await log.last(seen.task_id)
        await log.close()
    assert (seen.state, seen.response) == ("TASK_STATE_COMPLETED", "before after.")
    assert [meta["reason"] for meta in seen.of_kind("attempt")] == ["worker lost"]
    assert after == seen.seqs[-1]
    fence = seen.of_kind("attempt")[0]["seq"]
    assert {metadata(event)["attempt"] for event in seen.events[fence - 1 :]} == {2}


async def test_a_loop_that_stands_still_for_too_long_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "block").touch()
    limit = {"TAILRACE_STALL_S": "0.5", **SHORT_LEASE}
    async with (
        restarting_agent(tmp_path, "blocking", **limit) as blocked,
        restarting_agent(tmp_path, "blocking", **limit) as other,
    ):
        following = asyncio.create_task(watch(blocked, "go"))
        await eventually(lambda: begun(tmp_path))
        watching = asyncio.create_task(watch(other, "go"))
        await eventually(lambda: begun(tmp_path) >= 2)
        (tmp_path / "block").unlink()
        seen = await watching
        assert (await following).events == seen.events
    assert (seen.state, seen.response) == ("TASK_STATE_COMPLETED", "before after.")
    # The second one may stand still for too long as well.
    assert {meta["reason"] for meta in seen.of_kind("attempt")} == {"worker lost"}


async def test_a_warning_names_the_node_that_blocks_and_the_task(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def blocks(_: MessagesState) -> dict[str, Any]:
        write("still ")
        first = lease_until(tmp_path)
        give_up = time.monotonic() + 60
        while lease_until(tmp_path) < first + 2_000 * LEASE_S and time.monotonic() < give_up:
            time.sleep(0.01)  # noqa: ASYNC251 - it blocks on purpose
        write("here")
        return {}

    async def waits(_: MessagesState) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {}

    builder = StateGraph(MessagesState).add_node(blocks).add_node(waits).add_edge(START, "blocks")
    builder.add_edge(START, "waits")
    log = SQLiteLog(tmp_path / "log.sqlite3")
    with caplog.at_level(logging.WARNING, "tailrace.run"):
        async with agent(builder, log=log, lease_s=LEASE_S, renew_s=0.2) as served:
            task = (await served.result("SendMessage", {"message": message("go")}))["task"]
            events = await served.events(task["id"])
    assert artifact_text(events) == "still here"
    assert of_kind(events, "attempt") == []
    # On a busy machine the loop may stand still at other moments as well.
    named = f"in node 'blocks' of task {task['id']}"
    (warning, *_) = [each for record in caplog.records if named in (each := record.getMessage())]
    assert "stood still" in warning
    assert "asyncio.to_thread" in warning


async def test_a_blocking_call_in_a_sync_node_stops_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "block").touch()

    def blocks(_: MessagesState) -> dict[str, Any]:
        (tmp_path / "began").touch()
        while (tmp_path / "block").exists():
            time.sleep(0.01)
        write("after")
        return {}

    builder = StateGraph(MessagesState).add_node(blocks).add_edge(START, "blocks")
    log = SQLiteLog(tmp_path / "log.sqlite3")
    async with agent(builder, log=log, lease_s=LEASE_S, renew_s=0.2) as served:
        task = await served.begin("go")
        await eventually((tmp_path / "began").exists)
        first = (await log.head(task["id"])).lease_until
        async with asyncio.timeout(60):
            while (await log.head(task["id"])).lease_until < first + 2_000 * LEASE_S:
                await asyncio.sleep(0.01)
        (tmp_path / "block").unlink()
        events = await served.finished(task["id"])
    assert artifact_text(events) == "after"


class CountingLog(MemoryLog):
    """Counts renewals by the thread that made them, and refuses them once it is `fenced`."""

    def __init__(self) -> None:
        super().__init__()
        self.by_loop = self.by_thread = 0
        self.fenced = False
        self._loop = asyncio.get_running_loop()

    async def renew(self, task_id: str, attempt: int, lease_s: float) -> Head:
        if asyncio.get_running_loop() is self._loop:
            self.by_loop += 1
        else:
            self.by_thread += 1
        if self.fenced:
            raise Fenced(task_id, attempt, 0)
        return Head(task_id=task_id, owner="me", context_id="c", agent="a")


def lease_of(log: CountingLog, settings: Settings) -> Lease:
    return Lease(log, Head(task_id="t-1", owner="me", context_id="c", agent="a", attempt=1), settings)


async def test_the_thread_makes_no_request_while_the_loop_runs() -> None:
    # A loop of a busy machine may stand still for a tenth of a second.
    log, settings, over = CountingLog(), Settings(lease_s=30, renew_s=3), asyncio.Event()
    lease = lease_of(log, settings)
    with LeaseThread(settings).keeping(lease):
        keeping = asyncio.create_task(lease.keep(over, asyncio.Event(), lambda _: None))
        await eventually(lambda: log.by_loop == 2)
        over.set()
        await keeping
    assert log.by_thread == 0


async def test_a_lease_that_another_attempt_has_taken_is_renewed_no_more() -> None:
    lost, kept, settings = CountingLog(), CountingLog(), Settings(lease_s=0.4, renew_s=0.1)
    lost.fenced = True
    thread = LeaseThread(settings)
    with thread.keeping(lease_of(lost, settings)), thread.keeping(lease_of(kept, settings)):
        give_up = time.monotonic() + 60
        while kept.by_thread < 3 and time.monotonic() < give_up:
            time.sleep(0.01)  # noqa: ASYNC251 - it blocks on purpose
    assert kept.by_thread >= 3
    assert lost.by_thread == 1


class SlowFences(CountingLog):
    """Stores the fence of an attempt only when its lease was renewed three times."""

    async def append(self, task_id: str, batch: Batch) -> None:
        if batch.seq == 2:
            while self.by_loop < 3:
                await asyncio.sleep(0.01)
        await super().append(task_id, batch)


async def test_the_lease_is_renewed_while_a_takeover_takes_longer_than_it() -> None:
    """Else two processes would claim the task in turn, and after ten tries it would fail."""

    async def writes(_: MessagesState) -> None:
        write("done")

    builder = StateGraph(MessagesState).add_node(writes).add_edge(START, "writes")
    log = SlowFences()
    async with agent(builder, log=log, renew_s=0.05) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        assert artifact_text(await served.events(task["id"])) == "done"
    assert log.by_loop >= 3
