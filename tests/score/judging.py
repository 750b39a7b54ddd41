"""Which of a recording's faults were found, and what else was said."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tests.score.series import Recording


class Judgement(msgspec.Struct, frozen=True):
    """`found` is whether each fault was found; `extra` is how many findings belong to none."""

    found: bool
    extra: int


def judge(recording: Recording, findings: Sequence[tuple[float, float]]) -> Judgement:
    """Judge findings by their `(start, end)` in seconds since the epoch.

    A fault is found by what overlaps it and begins, at the earliest, half its length or ten samples before it. It may
    end anywhere: what stays is seen to the end. A clean recording has no fault to be found.
    """
    hits: set[int] = set()
    extra = 0
    for start, end in findings:
        of = [k for k, (first, last) in enumerate(recording.places) if _meet(start, end, first, last, recording.step)]
        hits.update(of)
        extra += not of
    return Judgement(bool(recording.places) and len(hits) == len(recording.places), extra)


def _meet(start: float, end: float, first: float, last: float, step: float) -> bool:
    early = max((last - first) / 2, 10 * step)
    late = 2 * step
    return first - early <= start <= last + late and end >= first - late
