"""OpenTelemetry's SDK in the test's own process: the spans and the metrics that were recorded, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import opentelemetry.metrics
import opentelemetry.trace
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tailrace.tracing import metrics


class Recorded:
    """An SDK that keeps what it gets."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.traces = TracerProvider(shutdown_on_exit=False, **options)
        self.traces.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make it the SDK of this process until the test is over. The API would let nobody take it back."""
        monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", self.traces)
        monkeypatch.setattr(opentelemetry.metrics._internal, "_METER_PROVIDER", self.meters)  # noqa: SLF001
        monkeypatch.setattr(metrics, "_meters", [])

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """The spans that have ended, in this order."""
        return self._exporter.get_finished_spans()

    def one(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        (span,) = self.all(name)
        return span

    def all(self, name: str) -> list[ReadableSpan]:
        """The spans of this name."""
        return [span for span in self.spans if span.name == name]

    def path(self, span: ReadableSpan) -> list[str]:
        """The names of the spans from the outermost one to this one."""
        by_id = {each.context.span_id: each for each in self.spans}
        parent = by_id.get(span.parent.span_id) if span.parent is not None else None
        return [*(self.path(parent) if parent is not None else []), span.name]

    def points(self, metric: str) -> list[Any]:
        """The data points of a metric."""
        data = self._reader.get_metrics_data()
        found = [
            each
            for group in (data.resource_metrics if data is not None else [])
            for scope in group.scope_metrics
            for each in scope.metrics
            if each.name == metric
        ]
        return [point for each in found for point in each.data.data_points]
