"""Reads metrics in JSON, by their shape:

| from | shape |
|---|---|
| CloudWatch GetMetricData | `{"MetricDataResults": [{"Id", "Label", "Timestamps", "Values"}]}` |
| CloudWatch GetMetricStatistics | `{"Label", "Datapoints": [{"Timestamp", "Average", "Unit"}]}` |
| Prometheus query_range | `{"data": {"resultType": "matrix", "result": [{"metric", "values"}]}}` |
| Graphite, Grafana | `[{"target", "datapoints": [[value, time]]}]` |
| records | `[{"time", "cpu", "mem"}]`, also one a line |
| plain | `{"cpu": [[time, value]]}` |

A shape may be nested up to three levels deep in other objects. No content raises an error. The readers are generators,
so that the event loop can run in between; they return what they read.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Generator, Iterable
from typing import Any

from metric_analyst.notes import Notes
from metric_analyst.readers.cells import cell_number
from metric_analyst.readers.table import Column, MetricTable, column_of, table_of
from metric_analyst.readers.times import parse_time
from metric_analyst.readers.units import cloudwatch_unit
from triage.alert import fields_in
from triage.times import epoch

# Other line ends, like U+2028 and form feeds, may be in a string.
_LINE_END = re.compile(r"\r\n|\n|\r")
DEEPEST = 3
_PAUSE = 1_000  # samples, records or lines between two yields
# A record with one of these keys is a log line, even if it has numbers.
_LOG_KEYS = frozenset(("message", "msg", "level", "severity", "log", "@message", "levelname", "logger"))
_TIME_KEYS = ("time", "timestamp", "ts", "@timestamp", "date", "datetime", "Timestamp", "Time", "t", "_time", "epoch")
_STATISTICS = ("Average", "Sum", "Maximum", "Minimum", "SampleCount")


def read_json(text: str, source: str, notes: Notes) -> Generator[None, None, MetricTable]:
    """Read the table in a JSON document or in JSON lines; an empty one with a note if there is none."""
    try:
        document = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        document = yield from _json_lines(text)
        if document is None:
            notes.add("not valid JSON", source)
            return MetricTable([], [])
    try:
        return (yield from read_document(document, source, notes))
    except RecursionError:
        notes.add("nested too deeply", source)
        return MetricTable([], [])


def read_document(document: Any, source: str, notes: Notes) -> Generator[None, None, MetricTable]:
    """Read the table in decoded JSON. An alert without metrics needs no note."""
    columns: list[Column] = []
    for column in _walk(document, source, notes, DEEPEST):
        if column is None:
            yield
        else:
            columns.append(column)
    empty = [column for column in columns if column.empty]
    for column in empty:
        notes.add("no values", f"{source} {column.name!r}")
    if not columns and not (isinstance(document, dict) and (set(document) <= {"alert"} or fields_in(document))):
        notes.add("JSON, but not metrics of a known shape", source)
    return table_of(columns)


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


def _walk(node: Any, source: str, notes: Notes, depth: int) -> Generator[Column | None, None, None]:
    yield None
    if isinstance(node, dict):
        columns = yield from _known(node, source, notes)
        if columns is not None:
            yield from columns
        elif depth:
            for key, value in node.items():
                if key == "alert":
                    continue
                if (plain := (yield from _points(value))) is not None:
                    yield column_of(str(key), plain)
                elif isinstance(value, (dict, list)):
                    yield from _walk(value, source, notes, depth - 1)
    elif isinstance(node, list) and node:
        records = [item for item in node if isinstance(item, dict)]
        if len(records) == len(node) and _time_key(records) is not None:
            yield from (yield from _records(records, source, notes))
        elif depth:
            for item in node:
                yield from _walk(item, source, notes, depth - 1)


def _known(node: dict[str, Any], source: str, notes: Notes) -> Generator[None, None, list[Column] | None]:
    if isinstance(node.get("MetricDataResults"), list):
        columns: list[Column] = []
        for result in node["MetricDataResults"]:
            columns += yield from _cloudwatch(result, source, notes)
        return columns
    if isinstance(node.get("Datapoints"), list):
        return (yield from _statistics(node))
    if "resultType" in node and isinstance(node.get("result"), list):
        return (yield from _prometheus(node["result"], source, notes))
    if node.get("status") == "error" and "error" in node:
        notes.add(f"the query failed: {str(node['error'])[:200]}", source)
        return []
    if isinstance(node.get("datapoints"), list):
        points = (_sample(p[1], p[0]) for p in node["datapoints"] if isinstance(p, list) and len(p) >= 2)
        return [(yield from _column(str(node.get("target") or node.get("name") or "datapoints"), points))]
    for key in ("values", "points", "data", "samples"):
        if "name" in node and (plain := (yield from _points(node.get(key)))) is not None:
            return [column_of(str(node["name"]), plain)]
    return None


def _cloudwatch(result: Any, source: str, notes: Notes) -> Generator[None, None, list[Column]]:
    if not isinstance(result, dict):
        return []
    times, values = result.get("Timestamps"), result.get("Values")
    name = str(result.get("Label") or result.get("Id") or "metric")
    if not isinstance(times, list) or not isinstance(values, list):
        notes.add("Timestamps or Values are missing", f"{source} {name!r}")
        return []
    if len(times) != len(values):
        notes.add("Timestamps and Values differ in length; the longer one is cut", f"{source} {name!r}")
    if result.get("StatusCode") not in (None, "Complete"):
        notes.add(f"CloudWatch says {str(result['StatusCode'])[:40]}: some values are missing", f"{source} {name!r}")
    return [(yield from _column(name, (_sample(t, v) for t, v in zip(times, values, strict=False))))]


def _statistics(node: dict[str, Any]) -> Generator[None, None, list[Column]]:
    label = str(node.get("Label") or "metric")
    points = [p for p in node["Datapoints"] if isinstance(p, dict)]
    present = [name for name in _STATISTICS if any(name in point for point in points)]
    out = []
    for statistic in present:
        samples = [_sample(p.get("Timestamp"), p.get(statistic)) for p in points]
        unit = cloudwatch_unit(next((p["Unit"] for p in points if "Unit" in p), None))
        name = label if len(present) == 1 else f"{label} ({statistic})"
        out.append((yield from _column(name, samples, unit)))
    return out


def _prometheus(results: list[Any], source: str, notes: Notes) -> Generator[None, None, list[Column]]:
    series = [r for r in results if isinstance(r, dict)]
    names = series_names([r["metric"] if isinstance(r.get("metric"), dict) else {} for r in series])
    out = []
    for name, result in zip(names, series, strict=True):
        values = result.get("values")
        if not isinstance(values, list):
            single = result.get("value")
            values = [single] if isinstance(single, list) else []
        samples = (_sample(p[0], p[1]) for p in values if isinstance(p, list) and len(p) >= 2)
        out.append((yield from _column(name, samples)))
    if not out:
        notes.add("the query returned no series", source)
    return out


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


def _time_key(records: list[dict[str, Any]]) -> str | None:
    sample = records[:20]
    if sum(bool(_LOG_KEYS & record.keys()) for record in sample) > len(sample) / 2:
        return None
    for key in _TIME_KEYS:
        if sum(_time(record.get(key)) is not None for record in sample) >= 0.8 * len(sample):
            return key
    return None


def _records(records: list[dict[str, Any]], source: str, notes: Notes) -> Generator[None, None, list[Column]]:
    key = _time_key(records)
    assert key is not None
    columns: dict[str, Column] = {}
    label = next((n for n in ("name", "metric", "series") if isinstance(records[0].get(n), str)), None)
    skipped = 0
    for number, record in enumerate(records):
        if number % _PAUSE == 0:
            yield
        time = _time(record.get(key))
        if time is None:
            skipped += 1
            continue
        numbers = {k: v for k, v in record.items() if k not in (key, label) and isinstance(v, (int, float, type(None)))}
        for field, value in numbers.items():
            name = str(field)
            if label is not None:
                name = str(record.get(label)) if len(numbers) == 1 else f"{field} ({record.get(label)})"
            column = columns.setdefault(name, column_of(name, ()))
            column.add(time, _number(value))
    if skipped:
        notes.add(
            f"{source}: records skipped, because there is no time in {key!r}",
            f"{skipped:,} of {len(records):,}",
            skipped,
        )
    return [c for c in columns.values() if not c.empty]


def _column(
    name: str, samples: Iterable[tuple[float, float | None] | None], unit: str = ""
) -> Generator[None, None, Column]:
    """Read the samples that have a time into a column."""
    column = column_of(name, (), unit)
    for number, sample in enumerate(samples):
        if number % _PAUSE == 0:
            yield
        if sample is not None:
            column.add(*sample)
    return column


def _points(value: Any) -> Generator[None, None, list[tuple[float, float | None]] | None]:
    """Read `[[time, value], …]` into samples; None if it is no such list."""
    if not isinstance(value, list) or not value:
        return None
    if not all(isinstance(p, list) and len(p) == 2 for p in value):
        return None
    samples = []
    for number, (time, point) in enumerate(value):
        if number % _PAUSE == 0:
            yield
        if (sample := _sample(time, point)) is not None:
            samples.append(sample)
    return samples if len(samples) >= 0.8 * len(value) else None


def _sample(time: Any, value: Any) -> tuple[float, float | None] | None:
    seconds = _time(time)
    return None if seconds is None else (seconds, _number(value))


def _time(value: Any) -> float | None:
    if isinstance(value, str):
        return parse_time(value)
    number = _number(value)
    return None if number is None or isinstance(value, bool) else epoch(number)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return cell_number(value)
    if not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
