"""What is usual for finding changes in metrics, as it is used by hand: each returns (start, end) of what it finds.

- PELT (Killick et al., 2012) of ruptures: changes of the mean, with the penalty 3·σ²·log n, σ robust, from differences.
- STL (Cleveland et al., 1990) of statsmodels with a period of a day: residuals beyond 5 robust standard deviations
  (1.4826 MAD). A series of less than two days has no period, so its median stands for it.
- A discord search: the windows of an hour whose distance to their nearest neighbour (z-normalised, by the matrix
  profile of Yeh et al., 2016) is more than 5 robust standard deviations above the median. Longer series are averaged to
  at most 4,000 samples, because the time grows with the square.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.score.series import DAY, Recording

if TYPE_CHECKING:
    from collections.abc import Callable

_ROBUST = 1.4826
_LIMIT = 5.0
_MOST = 4_000


def pelt(recording: Recording) -> list[tuple[float, float]]:
    import numpy as np
    import ruptures

    values = _values(recording)
    sigma = _ROBUST * float(np.median(np.abs(np.diff(values)))) / 2**0.5 or float(np.std(values)) or 1.0
    signal = values.reshape(-1, 1) / sigma
    found = ruptures.KernelCPD(kernel="linear", min_size=3).fit(signal).predict(pen=3 * np.log(len(values)))
    return [(recording.times[at], recording.times[at]) for at in found[:-1]]


def stl(recording: Recording) -> list[tuple[float, float]]:
    import numpy as np
    from statsmodels.tsa.seasonal import STL

    values = _values(recording)
    period = round(DAY / recording.step)
    if len(values) >= 2 * period:
        residual = np.asarray(STL(values, period=period, robust=False).fit().resid)
    else:
        residual = values - np.median(values)
    return _runs(recording.times, _beyond(np.abs(residual)), 1)


def discord(recording: Recording) -> list[tuple[float, float]]:
    import numpy as np

    values = _values(recording)
    pooled = -(-len(values) // _MOST)
    kept = len(values) // pooled * pooled
    values = values[:kept].reshape(-1, pooled).mean(axis=1)
    times = recording.times[:kept:pooled]
    window = max(8, round(3600 / (recording.step * pooled)))
    windows = np.lib.stride_tricks.sliding_window_view(values, window)
    spread = windows.std(axis=1, keepdims=True)
    shapes = (windows - windows.mean(axis=1, keepdims=True)) / np.where(spread > 1e-9, spread, 1.0)
    nearest = np.empty(len(shapes))
    for first in range(0, len(shapes), 512):
        likeness = shapes[first : first + 512] @ shapes.T
        for row in range(likeness.shape[0]):  # a window is no neighbour of those it overlaps
            at = first + row
            likeness[row, max(0, at - window // 2) : at + window // 2 + 1] = -np.inf
        nearest[first : first + 512] = np.sqrt(np.maximum(0.0, 2 * (window - likeness.max(axis=1))))
    return _runs(times, _beyond(nearest), window)


PEERS: dict[str, Callable[[Recording], list[tuple[float, float]]]] = {
    "PELT": pelt,
    "STL with MAD": stl,
    "discord search": discord,
}


def _values(recording: Recording) -> Any:
    """Return the values as an array; of a counter, its increments, which nobody would look at otherwise."""
    import numpy as np

    values = np.asarray(recording.values, dtype=float)
    if recording.kind.startswith("counter"):
        steps = np.diff(values, prepend=values[0])
        return np.where(steps < 0, values, steps)
    return values


def _beyond(values: Any) -> Any:
    import numpy as np

    middle = np.median(values)
    sigma = _ROBUST * np.median(np.abs(values - middle)) or np.std(values) or 1.0
    return values > middle + _LIMIT * sigma


def _runs(times: list[float], marked: Any, length: int) -> list[tuple[float, float]]:
    """Return the first and the last time of each run of marks; a mark stands for `length` samples."""
    found: list[tuple[float, float]] = []
    last = -2
    for at in marked.nonzero()[0].tolist():
        end = times[min(at + length, len(times)) - 1]
        found[-1:] = [(found[-1][0], end)] if at - last <= length and found else [*found[-1:], (times[at], end)]
        last = at
    return found
