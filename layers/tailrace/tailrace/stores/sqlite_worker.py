"""A thread with a connection to a SQLite file, which groups the operations of all tasks of a process.

While the thread is busy, operations queue up. When it is free, it does all of them, in one transaction if they write,
and so with one fsync. An operation takes one way to the thread and back, however many statements it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from tailrace.stores.sqlite import Deletion, begin

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

# After a transaction of many operations, the next one waits for more, unless enough have come already. PostgreSQL has
# the same in `commit_siblings` and `commit_delay`. A commit takes as much time of the processor as ten operations.
_MANY, _ENOUGH, _PAUSE_S = 4, 16, 0.005


class SQLiteWorker:
    """The thread `name`, with the connection that `connect` returns, in autocommit.

    With `transaction` it does the operations that it has at the same time in one transaction; while many come, it
    waits 5 ms for more of them. An operation that was given to it is done, also if its caller is cancelled. The
    thread begins with the deletion `first`. `unavailable` gives what to raise for an error of SQLite.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], sqlite3.Connection],
        unavailable: Callable[[sqlite3.Error], Exception],
        *,
        transaction: bool = False,
        first: Deletion | None = None,
    ) -> None:
        self._queue: queue.SimpleQueue[tuple[Operation[Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._connect = connect
        self._unavailable = unavailable
        self._transaction = transaction
        self._first = first
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, operation: Operation[T]) -> T:
        """The operation's result, from the worker's thread. An operation must not leave a cursor open.

        If it raises an exception of its own, it must not have changed anything: the others of its transaction stay. An
        error of SQLite is the outcome of all of them.

        Raises: what the operation and `unavailable` say.
        """
        return await self.start(operation)

    def start(self, operation: Operation[T]) -> asyncio.Future[T]:
        """As `run`, for a caller that is no coroutine: the future has the result, or the error."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(self._unavailable(sqlite3.OperationalError("it is closed")))
        else:
            self._queue.put((operation, future))
        return future

    async def close(self) -> None:
        """Do what was given to the worker before, and end its thread."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        with contextlib.suppress(Exception):  # The first operation tries again, and meets the error.
            self._connection = self._opened()
        before = 0
        while (first := self._queue.get()) is not None:
            if self._transaction and before >= _MANY and self._queue.qsize() < _ENOUGH:
                time.sleep(_PAUSE_S)
            jobs, closing = [first], False
            while not self._queue.empty():
                job = self._queue.get()
                if job is None:
                    closing = True
                    break
                jobs.append(job)
            outcomes = self._outcomes([operation for operation, _ in jobs])
            _report([future for _, future in jobs], outcomes)
            before = len(jobs)
            if closing:
                break
        if self._connection is not None:
            self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        connection = self._connect()
        if self._transaction:
            connection.execute("PRAGMA busy_timeout = 0")  # `begin` waits in its place
        if self._first is not None:
            self._first(connection)
        return connection

    def _outcomes(self, operations: list[Operation[Any]]) -> list[Any]:
        """As `_together`. While the file cannot be opened, that is the outcome of all operations."""
        try:
            if self._connection is None:
                self._connection = self._opened()
        except sqlite3.Error as error:
            return [self._unavailable(error)] * len(operations)
        except Exception as error:
            return [error] * len(operations)
        return self._together(self._connection, operations)

    def _together(self, connection: sqlite3.Connection, operations: list[Operation[Any]]) -> list[Any]:
        """Each operation's result, or the error it raised. An error of SQLite is the outcome of all of them."""
        outcomes: list[Any] = []
        try:
            if self._transaction:
                begin(connection)
            for operation in operations:
                try:
                    outcomes.append(operation(connection))
                except sqlite3.Error:
                    raise
                except Exception as error:
                    outcomes.append(error)
            if self._transaction:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return [self._unavailable(error)] * len(operations)
        return outcomes


async def close_all(*workers: SQLiteWorker) -> None:
    """Close workers of one file, one after the other.

    SQLite removes a file's write-ahead log at the last close. Of two connections that close together, each finds the
    other one still there, and the log stays.
    """
    for worker in workers:
        await worker.close()


def _report(futures: list[asyncio.Future[Any]], outcomes: list[Any]) -> None:
    """Set each future's outcome, on the future's event loop."""
    pairs = list(zip(futures, outcomes, strict=True))
    for loop in {future.get_loop() for future in futures}:
        with contextlib.suppress(RuntimeError):  # The loop is closed, so nobody waits for the outcomes.
            loop.call_soon_threadsafe(_set, [pair for pair in pairs if pair[0].get_loop() is loop])


def _set(pairs: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in pairs:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
