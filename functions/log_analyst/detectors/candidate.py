"""A candidate: a change that is not in words yet."""

from __future__ import annotations

import msgspec

from log_analyst.readers.mining import Template
from triage.findings import FindingType


class Candidate(msgspec.Struct, frozen=True):
    """A change of the template `row`, or if it is None, of the whole logs named `name`.

    `start` and `end` are seconds since the epoch, `count` is how many lines came, and `confidence` is from 0 to 1.
    `expected` is how many lines were expected; for a new or rare template it is how many came before the window. A
    burst and a silence are in the timeline's buckets from `begin` to `stop` (exclusive). `cells` are the lines of whole
    logs, by bucket.
    """

    type: FindingType
    row: Template | None
    name: str
    level: int
    start: float
    end: float
    count: int
    expected: float
    confidence: float
    begin: int = 0
    stop: int = 0
    cells: list[int] = []
