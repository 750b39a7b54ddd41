"""Failed requests: the stretches of time in which a server answered more requests with 5xx than it usually does.

Each log is counted by itself, because a proxy and the server behind it log the same requests. A bucket stands out if
its share of 5xx is much larger than that of the calmer half of the buckets. Buckets that stand out and are near each
other are one stretch, from its first failed request to its last. A stretch counts if its share is twice that of the
time outside it, and six standard deviations more.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
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
    found = [failure for name, by_status in logs.items() for failure in _in_log(name, by_status)]
    largest = sorted(found, key=lambda each: -each.failed)[:_MOST]
    return sorted(largest, key=lambda each: each.start)


def _in_log(name: str, by_status: Mapping[str, Sequence[float]]) -> list[Failure]:
    failed = {status: sorted(times) for status, times in by_status.items() if len(status) == 3 and status[0] == "5"}
    failing = sorted(time for times in failed.values() for time in times)
    if len(failing) < _FEWEST:
        return []
    requests = sorted(time for times in by_status.values() for time in times)
    given_up = sorted(by_status.get(GIVEN_UP, []))
    found = [_failure(*stretch, requests, failing, failed, given_up) for stretch in _stretches(requests, failing)]
    return [replace(each, logs=[name]) for each in found if each is not None]


def _stretches(requests: Sequence[float], failing: Sequence[float]) -> list[tuple[float, float]]:
    """Return the first and the last failed request of each run of buckets that stand out."""
    span = requests[-1] - requests[0]
    width = max(1.0, span / _BUCKETS)
    totals = Counter(floor((time - requests[0]) / width) for time in requests)
    counts = Counter(floor((time - requests[0]) / width) for time in failing)
    calm = sorted(totals, key=lambda bucket: counts[bucket] / totals[bucket])[: max(1, len(totals) // 2)]
    usual = sum(counts[bucket] for bucket in calm) / sum(totals[bucket] for bucket in calm)
    least = max(_LEAST_SHARE, _TIMES_MORE * usual)
    standing_out = {bucket for bucket in counts if counts[bucket] > least * totals[bucket]}
    times = [time for time in failing if floor((time - requests[0]) / width) in standing_out]
    if not times:
        return []
    pause = max(min(max(_PAUSE_SHARE * span, _PAUSE_LEAST_S), _PAUSE_MOST_S), 3 * width)
    edges = [0, *(at + 1 for at, (a, b) in enumerate(pairwise(times)) if b - a > pause), len(times)]
    return [(times[a], times[b - 1]) for a, b in pairwise(edges)]


def _failure(
    first: float,
    last: float,
    requests: Sequence[float],
    failing: Sequence[float],
    failed: dict[str, list[float]],
    given_up: Sequence[float],
) -> Failure | None:
    """Return the stretch with its counts; None if it does not stand out from the time outside it."""
    count, total = _between(failing, first, last), _between(requests, first, last)
    outside, failed_outside = len(requests) - total, len(failing) - count
    share = (failed_outside + 1) / (outside + 1)
    if count < max(_FEWEST, _STRETCH_SHARE * total) or outside < _FEWEST_OUTSIDE or count < 2 * share * total:
        return None
    if count - share * total < _SIGMAS * sqrt(share * (1 - share) * total) or share >= 1:
        return None
    statuses = {status: number for status in failed if (number := _between(failed[status], first, last))}
    return Failure(
        start=iso(first),
        end=iso(last),
        failed=count,
        total=total,
        statuses=dict(sorted(statuses.items(), key=lambda pair: (-pair[1], pair[0]))),
        given_up=_between(given_up, first, last),
        failed_before=bisect_left(failing, first),
        total_before=bisect_left(requests, first),
        failed_after=len(failing) - bisect_right(failing, last),
        total_after=len(requests) - bisect_right(requests, last),
        recorded_until=iso(requests[-1]),
        state=_state(first, last, requests, failing),
    )


def _state(first: float, last: float, requests: Sequence[float], failing: Sequence[float]) -> State:
    """Return whether requests went on after the failures for longer, and in larger number, than between any two."""
    inside = failing[bisect_left(failing, first) : bisect_right(failing, last)]
    pauses = sorted(b - a for a, b in pairwise(inside)) or [0.0]
    # The most requests that were answered between two failed ones.
    answered = max((bisect_left(requests, b) - bisect_right(requests, a) for a, b in pairwise(inside)), default=0)
    quiet = requests[-1] - last
    later = len(requests) - bisect_right(requests, last)
    if not later or quiet <= max(2 * pauses[len(pauses) // 2], 1.0):
        return "ongoing"
    return "over" if quiet > pauses[-1] and later > answered else "unknown"


def _between(times: Sequence[float], first: float, last: float) -> int:
    return bisect_right(times, last) - bisect_left(times, first)
