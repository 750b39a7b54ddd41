"""Notes on what was skipped, and why: short, even if there are ten thousand."""

from __future__ import annotations

EXAMPLES = 3
MOST_LINES = 30
# The reason for columns that were left out although they may hold something.
UNREAD = "a column of text is not read"


class Notes:
    """Collects notes by reason; each reason becomes one line with a count and up to three examples."""

    def __init__(self) -> None:
        self._by_reason: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        examples = self._by_reason.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(example)
        self._counts[reason] = self._counts.get(reason, 0) + count

    def count(self, reason: str) -> int:
        """Return how many notes have this reason."""
        return self._counts.get(reason, 0)

    def lines(self) -> list[str]:
        """Return one line a reason, in the order in which the reasons first came; after 30 only how many more."""
        lines = [self._line(reason, examples) for reason, examples in self._by_reason.items()]
        more = len(lines) - MOST_LINES
        return lines if more <= 0 else [*lines[:MOST_LINES], f"and {more:,} more notes like these"]

    def _line(self, reason: str, examples: list[str]) -> str:
        count = self._counts[reason]
        if count == 1:
            return f"{examples[0]}: {reason}"
        more = "" if count <= len(examples) else ", …"
        return f"{reason} ({count:,}): {', '.join(examples)}{more}"
