"""Reads files into series, as the metric analyst does."""

from __future__ import annotations

from typing import Any

from metric_analyst.readers.reader import RequestMetrics, read
from metric_analyst.readers.series import Series
from tailrace.inputs.request import File, Request
from tests.unit.metric_analyst.planted import finish

T0 = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def reading(*files: tuple[str, str], data: list[Any] | None = None, text: str = "") -> RequestMetrics:
    parts = [File(filename=name, media_type="text/plain", text=content) for name, content in files]
    return finish(read(Request(text=text, data=data or [], files=parts)))


def by_name(found: RequestMetrics) -> dict[str, Series]:
    return {series.name: series for series in found.series}


def only(found: RequestMetrics) -> Series:
    assert len(found.series) == 1, found
    return found.series[0]
