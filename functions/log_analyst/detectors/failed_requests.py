"""Failed requests: the stretches of time in which a server answered more requests with 5xx than it usually does.

Each log is counted by itself, because a proxy and the server behind it log the same requests. A bucket stands out if
its share of 5xx is much larger than that of the calmer half of the buckets. Buckets that stand out and are near each
other are one stretch, from its first failed request to its last. A stretch counts if its share is twice that of the
time outside it, and six standard deviations more.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from math import floor, sqrt

from triage.failures import Failure
from triage.findings import State
from triage.times import iso

_BUCKETS = 240
_LEAST_SHARE, _TIMES_MORE = 0.02, 3.0
_FEWEST, _FEWEST_OUTSIDE, _STRETCH_SHARE, _SIGMAS = 5, 20, 0.05, 6.0
# A longer time without failures parts two stretches: a share of the recording, within limits in seconds.
_PAUSE_SHARE, _PAUSE_LEAST_S, _PAUSE_MOST_S = 0.1, 30.0, 600.0
_MOST = 5
GIVEN_UP = "499"  # nginx: the client has closed the connection


def failures_in(logs: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Failure]:
    """Return at most five stretches with many failed requests, the largest, in order of time.

    `logs` has, for each access log by its name, the times of its requests by their status.
    """
    found = [failure for name, by_status in logs.items() for failure in _Requests(name, by_status).failures()]
    largest = sorted(found, key=lambda each: -each.failed)[:_MOST]
    return sorted(largest, key=lambda each: each.start)


class _Requests:
    """The times of one log's requests, in order: of all, of those that failed (also by status), of those given up."""

    def __init__(self, name: str, by_status: Mapping[str, Sequence[float]]) -> None:
        self.name = name
        self.all = sorted(chain.from_iterable(by_status.values()))
        self.by_status = {status: sorted(times) for status, times in by_status.items() if status.startswith("5")}
        self.failed = sorted(chain.from_iterable(self.by_status.values()))
        self.given_up = sorted(by_status.get(GIVEN_UP, []))

    def failures(self) -> Iterator[Failure]:
        """Yield the stretches that stand out from the time outside them."""
        for first, last in self._stretches() if len(self.failed) >= _FEWEST else ():
            count, total = _between(self.failed, first, last), _between(self.all, first, last)
            outside = len(self.all) - total
            share = (len(self.failed) - count + 1) / (outside + 1)
            is_large = count >= max(_FEWEST, _STRETCH_SHARE * total, 2 * share * total) and share < 1
            if not is_large or outside < _FEWEST_OUTSIDE:
                continue
            if count - share * total >= _SIGMAS * sqrt(share * (1 - share) * total):
                yield self._failure(first, last)

    def _stretches(self) -> list[tuple[float, float]]:
        """Return the first and the last failed request of each run of buckets that stand out."""
        start, span = self.all[0], self.all[-1] - self.all[0]
        width = max(1.0, span / _BUCKETS)
        totals = Counter(floor((time - start) / width) for time in self.all)
        counts = Counter(floor((time - start) / width) for time in self.failed)
        calm = sorted(totals, key=lambda bucket: counts[bucket] / totals[bucket])[: max(1, len(totals) // 2)]
        usual = sum(counts[bucket] for bucket in calm) / sum(totals[bucket] for bucket in calm)
        least = max(_LEAST_SHARE, _TIMES_MORE * usual)
        standing_out = {bucket for bucket in counts if counts[bucket] > least * totals[bucket]}
        times = [time for time in self.failed if floor((time - start) / width) in standing_out]
        if not times:
            return []
        pause = max(min(max(_PAUSE_SHARE * span, _PAUSE_LEAST_S), _PAUSE_MOST_S), 3 * width)
        edges = [0, *(at + 1 for at, (a, b) in enumerate(pairwise(times)) if b - a > pause), len(times)]
        return [(times[a], times[b - 1]) for a, b in pairwise(edges)]

    def _failure(self, first: float, last: float) -> Failure:
        statuses = {status: _between(times, first, last) for status, times in self.by_status.items()}
        return Failure(
            start=iso(first),
            end=iso(last),
            failed=_between(self.failed, first, last),
            total=_between(self.all, first, last),
            statuses={s: n for s, n in sorted(statuses.items(), key=lambda pair: (-pair[1], pair[0])) if n},
            given_up=_between(self.given_up, first, last),
            failed_before=bisect_left(self.failed, first),
            total_before=bisect_left(self.all, first),
            failed_after=len(self.failed) - bisect_right(self.failed, last),
            total_after=len(self.all) - bisect_right(self.all, last),
            recorded_until=iso(self.all[-1]),
            state=self._state(first, last),
            logs=[self.name],
        )

    def _state(self, first: float, last: float) -> State:
        """Return whether requests went on after the failures for longer, and in larger number, than between any two."""
        inside = self.failed[bisect_left(self.failed, first) : bisect_right(self.failed, last)]
        pauses = sorted(b - a for a, b in pairwise(inside)) or [0.0]
        # The most requests that were answered between two failed ones.
        answered = max((bisect_left(self.all, b) - bisect_right(self.all, a) for a, b in pairwise(inside)), default=0)
        quiet = self.all[-1] - last
        later = len(self.all) - bisect_right(self.all, last)
        if not later or quiet <= max(2 * pauses[len(pauses) // 2], 1.0):
            return "ongoing"
        return "over" if quiet > pauses[-1] and later > answered else "unknown"


def _between(times: Sequence[float], first: float, last: float) -> int:
    return bisect_right(times, last) - bisect_left(times, first)
