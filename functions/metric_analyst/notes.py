"""Notes on what was skipped, and why: short, even if there are ten thousand."""

from __future__ import annotations

from collections import Counter, defaultdict

EXAMPLES = 3
MOST_LINES = 30
# The reason for columns that were left out although they may hold something.
UNREAD = "a column of text is not read"


class Notes:
    """Collects notes by reason; each reason becomes one line with a count (`counts`) and up to three examples."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = defaultdict(list)

    def add(self, reason: str, example: str, count: int = 1) -> None:
        self.counts[reason] += count
        if len(self._examples[reason]) < EXAMPLES:
            self._examples[reason].append(example)

    def lines(self) -> list[str]:
        """Return one line a reason, in the order in which the reasons first came; after 30 only how many more."""
        lines = [self._line(reason, count) for reason, count in self.counts.items()]
        more = len(lines) - MOST_LINES
        return lines if more <= 0 else [*lines[:MOST_LINES], f"and {more:,} more notes like these"]

    def _line(self, reason: str, count: int) -> str:
        examples = self._examples[reason]
        more = "" if count <= len(examples) else ", …"
        return f"{examples[0]}: {reason}" if count == 1 else f"{reason} ({count:,}): {', '.join(examples)}{more}"
