"""How long processes have waited for a processor: the checker may have one while those it checks have none."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path


class Waits:
    """Adds up the waits of processes, which come and go."""

    def __init__(self) -> None:
        self._by_pid: dict[int, float] = {}  # in seconds
        self._longest_s = 0.0

    def longest_s(self, pids: Collection[int]) -> float:
        """How long they have waited so far: between two calls, as long as the one of them that waited longest."""
        now = {pid: _waited_s(pid) for pid in pids}
        self._longest_s += max((now[pid] - self._by_pid[pid] for pid in now.keys() & self._by_pid), default=0.0)
        self._by_pid = now
        return self._longest_s


def _waited_s(pid: int) -> float:
    """How long the main thread of a process has been runnable without running; 0 if the system does not tell it.

    Source: the kernel's Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat.
    """
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0
