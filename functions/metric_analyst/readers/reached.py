"""How far the reading of files has come, as events of progress."""

from __future__ import annotations

from collections.abc import Iterable

from tailrace import progress
from tailrace.inputs.text import Content

PROGRESS_EVENTS = 30
FEWEST_LINES = 10_000  # between two events: fewer are read before anybody looks


class Reached:
    """Reports about 30 times how many lines of `contents` were read, if they are many.

    The reader of one content calls `report` at the line `due`, so that the lines in between cost a comparison. What
    reads a content in one go has nothing to report; its lines count when it has `finished`.
    """

    def __init__(self, contents: Iterable[Content]) -> None:
        self._total = sum(content.line_count for content in contents)
        self._every = max(FEWEST_LINES, self._total // PROGRESS_EVENTS)
        self._earlier = 0  # lines of the contents that were read whole
        self.due = self._every

    def report(self, line: int) -> None:
        """`line` lines of the content that is being read were read."""
        done = self._earlier + line
        progress(f"read {done:,} of {self._total:,} lines", done=done, total=self._total)
        self.due = line + self._every

    def finished(self, content: Content) -> None:
        """`content` was read whole, and the next one begins."""
        lines = content.line_count
        if lines >= self.due:
            self.report(lines)
        self._earlier += lines
        self.due -= lines
