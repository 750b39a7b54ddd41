"""What is to go wrong inside a worker: a few numbers in a file that it and the harness both map.

A worker sees a change at its next step, also one that was stopped meanwhile; what is set outlives its death.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

# How far the worker's wall clock is off, in ms; how many of the next calls of the store are refused, throttled
# (refused late), and reported as failed after they were done; and how many calls have been spoiled so far.
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
        """Use up one of `field`, if there is any."""
        left = self.get(field)
        if left <= 0:
            return False
        self.set(field, left - 1)
        self.set("spoiled", self.get("spoiled") + 1)
        return True

    def heal(self) -> None:
        for field in FIELDS[:-1]:
            self.set(field, 0)
