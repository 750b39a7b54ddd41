"""Reads the log and the checkpoints from disk by plain SQL, without any code of the project."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

META = "urn:tailrace:a2a:resume:1"
TERMINAL = frozenset({"TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"})
WAITING = "TASK_STATE_INPUT_REQUIRED"


@dataclass(frozen=True)
class Entry:
    """One event of the log: its seq, the attempt that wrote it according to the log, and its bytes."""

    seq: int
    attempt: int
    event: bytes

    @cached_property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.event)
        return body

    @cached_property
    def meta(self) -> dict[str, Any]:
        """The metadata of the resume extension."""
        (payload,) = self.body.values()
        meta: dict[str, Any] = payload["metadata"][META]
        return meta

    @property
    def state(self) -> str | None:
        """The state that this event changes the task to, or None."""
        if self.meta["kind"] != "state":
            return None
        state: str = (self.body.get("statusUpdate") or self.body["task"])["status"]["state"]
        return state


@dataclass(frozen=True)
class Head:
    """The fields of a task's head that the checker reads."""

    task: str
    owner: str
    agent: str
    state: str
    attempt: int
    lease_owner: str | None

    @property
    def pid(self) -> int:
        """The id of the process that took the lease last, from the lease's owner; 0 if no process did."""
        parts = (self.lease_owner or "").split("-")
        return int(parts[-2]) if len(parts) > 2 and parts[-2].isdigit() else 0


class StoreInspector(ABC):
    """Reads the store of a running system."""

    @abstractmethod
    def newest(self, task: str) -> int:
        """The seq of the task's newest committed event, 0 if it has none."""

    @abstractmethod
    def entries(self, task: str, after: int = 0) -> list[Entry]:
        """The task's events in items that begin after the seq `after`, in the order of the table's key.

        An event's seq is the item's seq plus the event's index in the item. The checker looks for holes.
        """

    @abstractmethod
    def tail(self, task: str) -> Entry | None:
        """The task's newest event, or None."""

    @abstractmethod
    def head(self, task: str) -> Head | None:
        """The task's head, or None."""

    @abstractmethod
    def delegations(self, task: str) -> list[Head]:
        """The heads of the tasks that `task` has delegated to specialists."""

    @abstractmethod
    def claimed(self) -> list[Head]:
        """The heads of all unfinished tasks that were ever claimed; there may be others among them."""

    @abstractmethod
    def saved_steps(self, task: str) -> set[str]:
        """The steps of a task, and of its context's earlier ones, that need not run again: their results are saved."""

    def ended_as(self, head: Head) -> str:
        """The task's terminal state in its log; if it has none, the state in its head, which is updated later."""
        newest = self.tail(head.task)
        return newest.state if newest is not None and newest.state in TERMINAL else head.state

    def run_by(self, pid: int) -> list[Head]:
        """The heads of the unfinished tasks whose lease the process `pid` took last."""
        return [head for head in self.claimed() if head.pid == pid and head.state not in (*TERMINAL, WAITING)]

    @abstractmethod
    def close(self) -> None:
        """Close the store."""


def unpacked(seq: int, attempt: int, count: int, packed: bytes) -> list[Entry]:
    """The events of an item: JSON texts joined by line breaks, compressed with zlib if that is shorter."""
    events = (zlib.decompress(packed) if packed[0] == 0x78 else packed).split(b"\n")
    assert len(events) == count, f"item {seq} has the count {count}, and {len(events)} events"
    return [Entry(seq + index, attempt, event) for index, event in enumerate(events)]


class SQLiteInspector(StoreInspector):
    """Reads the files in `folder`, which it opens read-only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = _open(folder / "log.sqlite3")
        self._checkpoints: dict[Path, sqlite3.Connection] = {}

    def newest(self, task: str) -> int:
        row = self._log.execute(
            "SELECT seq + count - 1 FROM items WHERE task_id = ? ORDER BY seq DESC LIMIT 1", (task,)
        ).fetchone()
        return int(row[0]) if row else 0

    def entries(self, task: str, after: int = 0) -> list[Entry]:
        rows = self._log.execute(
            "SELECT seq, attempt, count, packed FROM items WHERE task_id = ? AND seq > ? ORDER BY seq", (task, after)
        )
        return [entry for row in rows.fetchall() for entry in unpacked(*row)]

    def tail(self, task: str) -> Entry | None:
        row = self._log.execute(
            "SELECT seq, attempt, count, packed FROM items WHERE task_id = ? ORDER BY seq DESC LIMIT 1", (task,)
        ).fetchone()
        return unpacked(*row)[-1] if row else None

    def head(self, task: str) -> Head | None:
        heads = self._heads("task_id = ?", task)
        return heads[0] if heads else None

    def delegations(self, task: str) -> list[Head]:
        return self._heads("owner LIKE ?", f"%/{task}")

    def claimed(self) -> list[Head]:
        # Not all heads: in a long campaign most tasks have ended, and their lease has no owner.
        return self._heads("lease_owner IS NOT NULL")

    def saved_steps(self, task: str) -> set[str]:
        steps: set[str] = set()
        thread = next((entry.meta["thread"] for entry in self.entries(task) if "thread" in entry.meta), "")
        for path in self._folder.glob("checkpoints-*.sqlite3"):
            if path not in self._checkpoints:
                self._checkpoints[path] = _open(path)
            with contextlib.suppress(sqlite3.OperationalError):  # A new file has no tables yet.
                rows = self._checkpoints[path].execute(
                    "SELECT DISTINCT task_id FROM writes WHERE thread_id = ? "
                    "AND channel NOT IN ('__interrupt__', '__error__', '__resume__', '__scheduled__')",
                    (thread,),
                )
                steps.update(row[0].partition("@")[0] for row in rows)
        return steps

    def close(self) -> None:
        for connection in (self._log, *self._checkpoints.values()):
            connection.close()

    def _heads(self, where: str, *values: str) -> list[Head]:
        rows = self._log.execute(
            f"SELECT task_id, owner, agent, state, attempt, lease_owner FROM heads WHERE {where}", values
        )
        return [Head(*row) for row in rows.fetchall()]


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10, isolation_level=None)
