"""A thread for a SQLite file groups what all tasks of a process write."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tailrace.errors import LogUnavailable
from tailrace.stores import sqlite_worker
from tailrace.stores.sqlite_worker import SQLiteWorker

pytestmark = pytest.mark.asyncio


class Worker(SQLiteWorker):
    """A worker whose operations can be held up. `transactions` has what each did, in order."""

    def __init__(self) -> None:
        self.transactions: list[list[int]] = []
        self.free = threading.Event()

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            connection.set_trace_callback(self._see)
            return connection

        super().__init__("worker", connect, lambda error: error, transaction=True)

    def _see(self, statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            self.transactions.append([])

    def give(self, number: int, *, waits: bool = False) -> asyncio.Task[None]:
        def operation(_: sqlite3.Connection) -> None:
            self.transactions[-1].append(number)
            if waits:
                self.free.wait()

        return asyncio.create_task(self.run(operation))


async def _at_once(worker: Worker, count: int) -> None:
    """Give the worker `count` operations that come while it does another one, and so share a transaction."""
    tasks = [worker.give(0, waits=True)]
    while not worker.transactions:
        await asyncio.sleep(0.001)
    tasks += [worker.give(number) for number in range(1, count + 1)]
    await asyncio.sleep(0)  # they are in its queue now
    worker.free.set()
    await asyncio.gather(*tasks)


async def test_while_many_operations_come_a_transaction_waits_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, come = Worker(), threading.Event()
    await _at_once(worker, 4)
    monkeypatch.setattr(sqlite_worker, "time", SimpleNamespace(sleep=lambda _: come.wait()))
    waiting = worker.give(5)
    await asyncio.sleep(0)
    later = worker.give(6)
    await asyncio.sleep(0)
    come.set()
    await asyncio.gather(waiting, later)
    await worker.close()
    assert worker.transactions == [[0], [1, 2, 3, 4], [5, 6]]


async def test_an_operation_waits_for_no_other_while_few_come(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(sqlite_worker, "time", SimpleNamespace(sleep=slept.append))
    worker = Worker()
    await _at_once(worker, 3)
    await worker.give(4)
    await worker.close()
    assert worker.transactions == [[0], [1, 2, 3], [4]]
    assert not slept


async def test_operations_hear_that_the_file_cannot_be_opened_and_go_on_when_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "missing"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(folder / "log.db", isolation_level=None, check_same_thread=False)

    worker = SQLiteWorker("worker", connect, lambda error: LogUnavailable(f"The log: {error}."), transaction=True)
    with pytest.raises(LogUnavailable, match="unable to open database file"):
        await worker.run(lambda connection: connection.execute("CREATE TABLE t (n)").fetchall())
    folder.mkdir()
    assert await worker.run(lambda connection: connection.execute("SELECT 1").fetchall()) == [(1,)]
    await worker.close()
