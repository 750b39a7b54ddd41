"""Numbers, durations and changes in words."""

from __future__ import annotations

from datetime import UTC, datetime

from metric_analyst.detectors.change import Change

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float, unit: str = "") -> str:
    """Three or four digits that matter, with the unit: `40.2/s`, `95.3%`, `1.25 GB`, `480 ms`."""
    prefix = ""
    if unit in ("bytes", "bytes/s"):
        for size, sign in _PREFIXES:
            if abs(value) >= size:
                value, prefix = value / size, sign
                break
    text = _digits(value)
    if unit == "":
        return text
    if unit in ("%", "°C"):
        return f"{text}{unit}" if unit == "%" else f"{text} {unit}"
    if unit == "count/s":
        return f"{text}/s"
    if prefix:
        return f"{text} {prefix}{unit.replace('bytes', 'B')}"
    return f"{text} {unit}"


def _digits(value: float) -> str:
    size = abs(value)
    if size and (size < 1e-4 or size >= 1e15):
        return f"{value:.3g}"
    if size >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return (
        f"{value:.{1 if size >= 100 else 2 if size >= 10 else 3}f}".rstrip("0").rstrip(".")
        if size >= 1
        else f"{value:.3g}"
    )


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 90:
        return f"{_digits(round(seconds, 1))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def clock(seconds: float, *, date: bool) -> str:
    """`10:02:15` in UTC, with the date in front of it where that is not plain."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def summary(change: Change, unit: str) -> str:
    """One sentence, without the series' name and the time: what a table's cell or a list's item says."""
    before, after = number(change.before, unit), number(change.after, unit)
    if change.type == "flat_line":
        lasted = duration(change.end - change.start)
        if change.detail.get("kind") == "missing":
            usual = f"one every {duration(change.detail['usual_step_s'])} before"
            if change.returned:
                return f"no samples for {lasted} ({usual}), then back"
            return f"no samples any more ({usual}), while others were recorded for another {lasted}"
        low, high = (number(change.detail[key], unit) for key in ("usual_low", "usual_high"))
        end = f"for {lasted}, then it moved again" if change.returned else f"for {lasted}, to the end"
        return f"stuck at {after} {end} ({low} to {high} before)"
    direction = "rose" if change.magnitude > 0 else "fell"
    if change.type == "drift":
        speed = f"{number(change.detail['per_hour'], unit)} an hour"
        return f"{direction} steadily from {before} to {after} in {duration(change.end - change.start)} ({speed})"
    times = _times(change)
    if change.type == "spike":
        samples = f"{change.samples} sample{'s' if change.samples != 1 else ''}"
        return f"{samples} {'up' if change.magnitude > 0 else 'down'} to {after}{times}, {before} around"
    if change.returned:
        return f"{direction} from {before} to {after}{times} for {duration(change.end - change.start)}, then came back"
    return f"{direction} from {before} to {after}{times} and stayed"


def _times(change: Change) -> str:
    low, high = sorted((abs(change.before), abs(change.after)))
    if low == 0 or change.before * change.after < 0 or not 1.5 <= high / low < 1000:
        return ""
    return f" (×{high / low:.1f})" if change.magnitude * change.before > 0 else f" (÷{high / low:.1f})"
