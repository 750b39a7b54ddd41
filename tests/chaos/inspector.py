"""The log and the checkpoints as they are on disk, read by plain SQL: no code of the project stands in between."""

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
    """One event of the log: where it stands, which attempt the log says put it there, and its bytes."""

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
        (what,) = self.body.values()
        meta: dict[str, Any] = what["metadata"][META]
        return meta

    @property
    def state(self) -> str | None:
        """The state that this event changes the task to, None when it changes none."""
        if self.meta["kind"] != "state":
            return None
        state: str = (self.body.get("statusUpdate") or self.body["task"])["status"]["state"]
        return state


@dataclass(frozen=True)
class Head:
    """What of a task's head the checker looks at."""

    task: str
    owner: str
    agent: str
    state: str
    attempt: int
    lease_owner: str | None

    @property
    def pid(self) -> int:
        """The process that took the lease last, as its name for itself has it; 0 for nobody."""
        parts = (self.lease_owner or "").split("-")
        return int(parts[-2]) if len(parts) > 2 and parts[-2].isdigit() else 0


class StoreInspector(ABC):
    """What stands in a stack's store."""

    @abstractmethod
    def newest(self, task: str) -> int:
        """The seq of the task's newest event that is committed, 0 when there is none."""

    @abstractmethod
    def entries(self, task: str, after: int = 0) -> list[Entry]:
        """The task's events in items that begin after the seq `after`, in the order of the table's key.

        The seq is the item's own plus the place in it: that there are no holes is for the checker to find.
        """

    @abstractmethod
    def tail(self, task: str) -> Entry | None:
        """The task's newest event."""

    @abstractmethod
    def head(self, task: str) -> Head | None:
        """The task's head."""

    @abstractmethod
    def delegations(self, task: str) -> list[Head]:
        """The heads of the tasks that `task` has at specialists."""

    @abstractmethod
    def claimed(self) -> list[Head]:
        """The heads of at least all unfinished tasks that were ever claimed."""

    @abstractmethod
    def saved_steps(self, task: str) -> set[str]:
        """The steps of a task whose outcome is in a checkpointer, so that they need not run again."""

    def ended_as(self, head: Head) -> str:
        """The state of a task by its log, which counts, if it has ended; else by its head, which follows."""
        newest = self.tail(head.task)
        return newest.state if newest is not None and newest.state in TERMINAL else head.state

    def run_by(self, pid: int) -> list[Head]:
        """The unfinished tasks whose lease was last taken by the process `pid`."""
        return [head for head in self.claimed() if head.pid == pid and head.state not in (*TERMINAL, WAITING)]

    @abstractmethod
    def close(self) -> None:
        """Let go of the store."""


def unpacked(seq: int, attempt: int, count: int, packed: bytes) -> list[Entry]:
    """The events of an item: JSON texts joined by line breaks, zlib around them when that is shorter."""
    events = (zlib.decompress(packed) if packed[0] == 0x78 else packed).split(b"\n")
    assert len(events) == count, f"item {seq} says it has {count} events, and has {len(events)}"
    return [Entry(seq + place, attempt, event) for place, event in enumerate(events)]


class SQLiteInspector(StoreInspector):
    """The files of one stack in `folder`, opened to be read only."""

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
        found = self._heads("task_id = ?", task)
        return found[0] if found else None

    def delegations(self, task: str) -> list[Head]:
        return self._heads("owner LIKE ?", f"%/{task}")

    def claimed(self) -> list[Head]:
        # Those of finished tasks are many in a long campaign, and nobody runs them.
        return self._heads("lease_owner IS NOT NULL")

    def saved_steps(self, task: str) -> set[str]:
        found: set[str] = set()
        for path in self._folder.glob("checkpoints-*.sqlite3"):
            if path not in self._checkpoints:
                self._checkpoints[path] = _open(path)
            with contextlib.suppress(sqlite3.OperationalError):  # before its first use it has no tables
                rows = self._checkpoints[path].execute(
                    "SELECT DISTINCT task_id FROM writes WHERE thread_id LIKE ? "
                    "AND channel NOT IN ('__interrupt__', '__error__', '__resume__', '__scheduled__')",
                    (f"{task}-%",),
                )
                found.update(row[0].partition("@")[0] for row in rows)
        return found

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
