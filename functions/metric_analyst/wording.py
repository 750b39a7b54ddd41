"""Numbers and changes in words."""

from __future__ import annotations

from metric_analyst.detectors.change import Change
from triage.wording import counted, duration

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float, unit: str = "") -> str:
    """Return three or four significant digits with the unit: `40.2/s`, `95.3%`, `1.25 GB`, `480 ms`."""
    prefix = ""
    if unit in ("bytes", "bytes/s"):
        for size, sign in _PREFIXES:
            if abs(value) >= size:
                value, prefix = value / size, sign
                break
    text = _digits(value)
    if unit in ("", "%", "count/s"):
        return f"{text}{unit.removeprefix('count')}"
    return f"{text} {prefix}{unit.replace('bytes', 'B') if prefix else unit}"


def brief(value: float) -> float:
    """Return the value as findings have it: the sentence and a table made of the finding round the same number."""
    return float(f"{value:.6g}")


def _digits(value: float) -> str:
    size = abs(value)
    if 0 < size < 1 or size >= 1e15:
        return f"{value:.3g}"
    if size >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{brief(value):.{1 if size >= 100 else 2 if size >= 10 else 3}f}".rstrip("0").rstrip(".")


def summary(change: Change, unit: str) -> str:
    """Return a change in words, without the series' name and its time, for a table's cell or a list."""
    about = "about " if change.compared or change.type == "drift" else ""
    before, after = (f"{about}{number(value, unit)}" for value in (change.before, change.after))
    length = duration(change.end - change.start)
    if change.type == "flat_line":
        return _flat_line(change, after, length, unit)
    direction = "rose" if change.magnitude > 0 else "fell"
    if change.type == "drift":
        speed = f"{number(change.detail['per_hour'], unit)} an hour"
        end = ", to the end of the recording" if change.state == "ongoing" else ""
        return f"{direction} steadily from {before} to {after} in {length} ({speed}){end}"
    what = f"{direction} from {before} to {after}{_factor(change)}"
    if change.type == "spike":
        sign = "up" if change.magnitude > 0 else "down"
        what = f"{counted(change.samples, 'sample')} {sign} to {after}{_factor(change)}, from {before} before"
    elif change.state != "ongoing" and change.samples > 1:
        what += f" for {length}"
    if change.compared:
        return f"{what}, then came back" if change.returned else f"{what}; no return was found"
    if change.state == "ongoing":
        return f"{what}, to the end of the recording"
    if change.later is None:
        return f"{what}; the recording ends too soon after it to tell whether it came back"
    return f"{what}, then {'came back' if change.came_back else f'was at {number(change.later, unit)}'}"


def _flat_line(change: Change, after: str, length: str, unit: str) -> str:
    if change.detail.get("kind") == "missing":
        usual = f"one every {duration(change.detail['usual_step_s'])} before"
        if change.returned:
            return f"no samples for {length} ({usual}), then they came again"
        return f"no more samples ({usual}), while the recording went on for {length}"
    low, high = (number(change.detail[key], unit) for key in ("usual_low", "usual_high"))
    end = f"for {length}, then it moved again" if change.returned else f"for {length}, to the end of the recording"
    return f"stuck at {after} {end} ({low} to {high} before)"


def _factor(change: Change) -> str:
    low, high = sorted((abs(change.before), abs(change.after)))
    if low == 0 or change.before * change.after < 0 or not 1.5 <= high / low < 1000:
        return ""
    return f" (×{high / low:.1f})" if change.magnitude * change.before > 0 else f" (÷{high / low:.1f})"
