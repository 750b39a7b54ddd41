"""The faults inside a worker: a few numbers in a file that the worker and the harness both map into memory.

A worker sees a change at once, and one that was stopped sees it when it continues. The numbers outlive the worker.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

# The error of the worker's wall clock in ms; how many of the next calls of the store are refused, throttled (refused
# late), and carried out but reported as failed; and how many calls have failed so far.
FIELDS = ("clock_ms", "refuse", "throttle", "lose", "spoiled")
_NUMBER = struct.Struct("q")
_SIZE = _NUMBER.size * len(FIELDS)


class Control:
    """The numbers of one worker, by name."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)

    def get(self, field: str) -> int:
        number: int = _NUMBER.unpack_from(self._map, FIELDS.index(field) * _NUMBER.size)[0]
        return number

    def set(self, field: str, value: int) -> None:
        _NUMBER.pack_into(self._map, FIELDS.index(field) * _NUMBER.size, value)

    def take(self, field: str) -> bool:
        """Reduce `field` by one, unless it is 0; return whether it was reduced."""
        left = self.get(field)
        if left <= 0:
            return False
        self.set(field, left - 1)
        self.set("spoiled", self.get("spoiled") + 1)
        return True

    def heal(self) -> None:
        for field in FIELDS[:-1]:
            self.set(field, 0)
