"""Reads metrics in JSON, by their shape:

| from | shape |
|---|---|
| CloudWatch GetMetricData | `{"MetricDataResults": [{"Id", "Label", "Timestamps", "Values"}]}` |
| CloudWatch GetMetricStatistics | `{"Label", "Datapoints": [{"Timestamp", "Average", "Unit"}]}` |
| Prometheus query_range | `{"data": {"resultType": "matrix", "result": [{"metric", "values"}]}}` |
| Graphite, Grafana | `[{"target", "datapoints": [[value, time]]}]` |
| records | `[{"time", "cpu", "mem"}]`, also one a line |
| plain | `{"cpu": [[time, value]]}`, `{"name": "cpu", "values": [[time, value]]}` |

A shape may be nested up to three levels deep in other objects. No content raises an error. The readers are generators,
so that the event loop can run in between; they return what they read.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from metric_analyst.notes import Notes
from metric_analyst.readers.table import Column, MetricTable
from metric_analyst.readers.units import cloudwatch_unit
from triage.alert import fields_in
from triage.cells import cell_number
from triage.timestamps import time_in

# Other line ends, like U+2028 and form feeds, may be in a string.
_LINE_END = re.compile(r"\r\n|\n|\r")
DEEPEST = 3
_PAUSE = 1_000  # samples, records or lines between two yields
_SAMPLED = 20  # of a list, which tell what it holds
_MOSTLY = 0.8
# A record with one of these keys is a log line, even if it has numbers.
_LOG_KEYS = frozenset(("message", "msg", "level", "severity", "log", "@message", "levelname", "logger"))
_TIME_KEYS = ("time", "timestamp", "ts", "@timestamp", "date", "datetime", "Timestamp", "Time", "t", "_time", "epoch")
_STATISTICS = ("Average", "Sum", "Maximum", "Minimum", "SampleCount")


class _Found(NamedTuple):
    """A series in a document: its samples are (time, value) as they stand there."""

    name: str
    samples: Iterable[Any]
    unit: str = ""


def read_json(text: str, source: str, notes: Notes) -> Generator[None, None, MetricTable]:
    """Read the table in a JSON document or in JSON lines; an empty one with a note if there is none."""
    try:
        document = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        document = yield from _json_lines(text)
        if document is None:
            notes.add("not valid JSON", source)
            return MetricTable([], [])
    return (yield from read_document(document, source, notes))


def read_document(document: Any, source: str, notes: Notes) -> Generator[None, None, MetricTable]:
    """Read the table in decoded JSON. An alert without metrics needs no note."""
    columns: list[Column] = []
    for found in _series(document, source, notes, DEEPEST):
        column = Column(found.name, unit=found.unit)
        timeless = 0
        for number, (written, value) in enumerate(found.samples):
            if number % _PAUSE == 0:
                yield
            time = time_in(written)
            timeless += time is None
            if time is not None:
                column.add(time, _number(value))
        columns.append(column)
        if timeless:
            notes.add("samples without a time are left out", f"{source} {found.name!r}", timeless)
    if not columns and not (isinstance(document, dict) and (set(document) <= {"alert"} or fields_in(document))):
        notes.add("JSON, but not metrics of a known shape", source)
    return MetricTable(columns, sorted({time for column in columns for time in column.times}))


def _json_lines(text: str) -> Generator[None, None, list[Any] | None]:
    records = []
    for number, line in enumerate(_LINE_END.split(text)):
        if number % _PAUSE == 0:
            yield
        if line.strip():
            try:
                records.append(json.loads(line, strict=False))
            except (ValueError, RecursionError):
                return None
    return records or None


def _series(node: Any, source: str, notes: Notes, depth: int) -> Iterator[_Found]:
    """Yield the series in a value, and in what it holds down to a depth."""
    if isinstance(node, dict):
        known = _known(node, source, notes)
        if known is not None:
            yield from known
        elif depth:
            for key, value in node.items():
                if _are_points(value):
                    yield _Found(str(node.get("name", key)), value)
                elif key != "alert":
                    yield from _series(value, source, notes, depth - 1)
    elif isinstance(node, list) and node:
        records = [item for item in node if isinstance(item, dict)]
        key = _time_key(records) if len(records) == len(node) else None
        if key is not None:
            yield from _of_records(records, key)
        elif depth:
            for item in node:
                yield from _series(item, source, notes, depth - 1)


def _known(node: dict[str, Any], source: str, notes: Notes) -> Iterable[_Found] | None:
    """Return the series in an object of a known shape; None if it has another."""
    match node:
        case {"MetricDataResults": list(results)}:
            return chain.from_iterable(_cloudwatch(each, source, notes) for each in results if isinstance(each, dict))
        case {"Datapoints": list(points)}:
            return _statistics(str(node.get("Label") or "metric"), [p for p in points if isinstance(p, dict)])
        case {"resultType": _, "result": list(results)}:
            return _prometheus([each for each in results if isinstance(each, dict)], source, notes)
        case {"status": "error", "error": reason}:
            notes.add(f"the query failed: {str(reason)[:200]}", source)
            return []
        case {"datapoints": list(points)}:
            name = node.get("target") or node.get("name") or "datapoints"
            return [_Found(str(name), ((time, value) for value, time in _pairs(points)))]
    return None


def _cloudwatch(result: dict[str, Any], source: str, notes: Notes) -> Iterator[_Found]:
    times, values = result.get("Timestamps"), result.get("Values")
    name = str(result.get("Label") or result.get("Id") or "metric")
    if not isinstance(times, list) or not isinstance(values, list):
        notes.add("Timestamps or Values are missing", f"{source} {name!r}")
        return
    if len(times) != len(values):
        notes.add("Timestamps and Values differ in length; the longer one is cut", f"{source} {name!r}")
    if result.get("StatusCode") not in (None, "Complete"):
        notes.add(f"CloudWatch says {str(result['StatusCode'])[:40]}: some values are missing", f"{source} {name!r}")
    yield _Found(name, zip(times, values, strict=False))


def _statistics(label: str, points: list[dict[str, Any]]) -> Iterator[_Found]:
    unit = cloudwatch_unit(next((point["Unit"] for point in points if "Unit" in point), None))
    present = [name for name in _STATISTICS if any(name in point for point in points)]
    for statistic in present:
        name = label if len(present) == 1 else f"{label} ({statistic})"
        yield _Found(name, ((point.get("Timestamp"), point.get(statistic)) for point in points), unit)


def _prometheus(results: list[dict[str, Any]], source: str, notes: Notes) -> Iterator[_Found]:
    if not results:
        notes.add("the query returned no series", source)
    names = series_names([r["metric"] if isinstance(r.get("metric"), dict) else {} for r in results])
    for name, result in zip(names, results, strict=True):
        values = result.get("values")
        yield _Found(name, _pairs(values if isinstance(values, list) else [result.get("value")]))


def series_names(metrics: list[dict[str, Any]]) -> list[str]:
    """Return `name{label="value"}` for each, with the labels in which they differ; with all if a name is missing."""
    values = Counter((key, str(metric[key])) for metric in metrics for key in metric)
    names = []
    for metric in metrics:
        base = str(metric.get("__name__", ""))
        labels = {k: str(v) for k, v in metric.items() if k != "__name__"}
        telling = {k: v for k, v in labels.items() if values[(k, v)] < len(metrics)}
        shown = telling if base or telling else labels
        inside = ",".join(f'{key}="{value}"' for key, value in sorted(shown.items()))
        names.append((base + (f"{{{inside}}}" if inside else "")) or "value")
    return names


def _of_records(records: list[dict[str, Any]], key: str) -> Iterator[_Found]:
    """Yield the series of the numbers in records, which are samples at the time in their `key`."""
    label = next((n for n in ("name", "metric", "series") if isinstance(records[0].get(n), str)), None)
    samples: dict[str, list[tuple[Any, Any]]] = {}
    for record in records:
        numbers = {k: v for k, v in record.items() if k not in (key, label) and isinstance(v, (int, float, type(None)))}
        for field, value in numbers.items():
            name = str(field)
            if label is not None:
                name = str(record.get(label)) if len(numbers) == 1 else f"{field} ({record.get(label)})"
            samples.setdefault(name, []).append((record.get(key), value))
    for name, points in samples.items():
        if any(value is not None for _, value in points):
            yield _Found(name, points)


def _time_key(records: list[dict[str, Any]]) -> str | None:
    sample = records[:_SAMPLED]
    if sum(bool(_LOG_KEYS & record.keys()) for record in sample) > len(sample) / 2:
        return None
    keys = (key for key in _TIME_KEYS if _are_times([record.get(key) for record in sample]))
    return next(keys, None)


def _pairs(points: Iterable[Any]) -> Iterator[Any]:
    """Yield the first two values of each point; what is no point is left out."""
    return (point[:2] for point in points if isinstance(point, list) and len(point) >= 2)


def _are_points(value: Any) -> bool:
    """Return whether a value is `[[time, value], …]`."""
    if not isinstance(value, list) or not all(isinstance(p, list) and len(p) == 2 for p in value):
        return False
    return bool(value) and _are_times([time for time, _ in value[:_SAMPLED]])


def _are_times(values: list[Any]) -> bool:
    return sum(time_in(value) is not None for value in values) >= _MOSTLY * len(values)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return cell_number(value)
    if not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
