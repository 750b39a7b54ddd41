"""Turns changes into findings: which matter, and how much."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import msgspec

from metric_analyst.detectors.change import Change
from metric_analyst.detectors.robust import median
from metric_analyst.readers.series import Series
from metric_analyst.wording import brief, summary
from triage.alert import Alert
from triage.findings import Finding, in_order
from triage.times import iso

MOST_FINDINGS = 50
MOST_POINTS = 60
LEAST_SHARE = 0.02
FULL_SHARE = 0.10  # share of the level from which a change keeps its whole confidence
LEAST_PERCENT = 1.0


class SeriesChange(msgspec.Struct, frozen=True):
    """A change and its series."""

    series: Series
    change: Change


def matters(changed: SeriesChange) -> bool:
    """Return whether a change is large enough: 2% of the level, one point of a percentage, any flat line.

    Statistics alone are certain of the 4 kB by which a quiet process grows.
    """
    change = changed.change
    if change.type == "flat_line":
        return True
    if changed.series.unit == "%":
        return abs(change.magnitude) >= LEAST_PERCENT
    return _share(change) >= LEAST_SHARE


def _share(change: Change) -> float:
    level = max(abs(change.before), abs(change.after))
    return abs(change.magnitude) / level if level else 0.0


def confidence(changed: SeriesChange) -> float:
    """Return the confidence, 0 to 1: the detector's, but less for changes of a few percent."""
    change = changed.change
    if change.type == "flat_line" or changed.series.unit == "%" or _share(change) >= FULL_SHARE:
        return change.confidence
    return round(change.confidence * (0.6 + 0.4 * _share(change) / FULL_SHARE), 2)


def relation(change: Change, alert: Alert) -> str | None:
    """Return whether a change started `before`, `in` or `after` the alert's window; None without a window."""
    ends = [end for end in (alert.start, alert.end) if end is not None]
    if not ends:
        return None
    return "before" if change.start < min(ends) else "in" if change.start <= max(ends) else "after"


def importance(changed: SeriesChange, alert: Alert) -> float:
    """Return the weight by which changes are ranked.

    It is high for a change with much confidence, large for its series, and in or shortly before the alert's window.
    """
    change = changed.change
    weight = confidence(changed) * (0.5 + 0.5 * min(1.0, _share(change) if change.type != "flat_line" else 1.0))
    ends = [end for end in (alert.start, alert.end) if end is not None]
    if not ends or min(ends) - max(max(ends) - min(ends), 900.0) <= change.start <= max(ends):
        return weight
    # A change long before the alert, or after it, is seldom its cause, unless it lasts into the window.
    return weight * (0.7 if change.start <= max(ends) and change.end >= min(ends) else 0.5)


def findings(changed: Sequence[SeriesChange], alert: Alert) -> tuple[list[Finding], int]:
    """Return the 50 most important findings in order of time, and how many more there are.

    `evidence` has `before` and `after` (in the series' unit), `samples`, `method`, `returned`, `rank` (1 is the most
    important), `alert` (before, in or after its window; missing without one) and `series`: at most 60 `[time, value]`
    around the change.
    """
    mattering = [each for each in changed if matters(each)]
    mattering.sort(key=lambda each: (-importance(each, alert), each.change.start))
    listed = [_finding(each, rank, alert) for rank, each in enumerate(mattering[:MOST_FINDINGS], 1)]
    return in_order(listed), len(mattering) - len(listed)


def _finding(changed: SeriesChange, rank: int, alert: Alert) -> Finding:
    series, change = changed.series, changed.change
    evidence: dict[str, Any] = {
        "before": brief(change.before),
        "after": brief(change.after),
        "samples": change.samples,
        "method": change.method,
        "returned": change.returned,
        "rank": rank,
        **{key: brief(value) if isinstance(value, float) else value for key, value in change.detail.items()},
        "series": excerpt(series, change),
    }
    if "peak_at" in change.detail:
        evidence["peak_at"] = iso(change.detail["peak_at"])
    if where := relation(change, alert):
        evidence["alert"] = where
    if change.later is not None:
        evidence["later"] = brief(change.later)
    return Finding(
        type=change.type,
        subject=series.name,
        start=iso(change.start),
        end=iso(change.end),
        magnitude=brief(change.magnitude),
        unit="s" if change.type == "flat_line" else series.unit,
        confidence=confidence(changed),
        summary=f"{series.name}: {summary(change, series.unit)}",
        evidence=evidence,
        state=change.state,
        early_s=brief(change.early),
        late_s=brief(change.late),
    )


def excerpt(series: Series, change: Change) -> list[list[str | float]]:
    """Return at most 60 samples around the change as `[time, value]`.

    They start as long before the change as it lasts, at least 12 steps. More samples are reduced to the medians of
    equal stretches or, for a spike, to the most extreme values.
    """
    times, values, step = series.times, series.values, series.step
    lasting = max(change.end - change.start, 12 * step)
    low, high = change.start - lasting, change.end + max(lasting / 4, 12 * step)
    picks = range(bisect_left(times, low), bisect_right(times, high))
    groups = [picks[k * len(picks) // MOST_POINTS : (k + 1) * len(picks) // MOST_POINTS] for k in range(MOST_POINTS)]
    out: list[list[str | float]] = []
    for group in groups if len(picks) > MOST_POINTS else [[i] for i in picks]:
        middle = median([values[i] for i in group])
        if change.type == "spike":
            middle = max((values[i] for i in group), key=lambda v: abs(v - change.before))
        out.append([iso(times[group[len(group) // 2]]), brief(middle)])
    return out
