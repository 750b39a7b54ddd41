"""A collector of OpenTelemetry for tests: a small HTTP server that takes what an OTLP exporter sends, and all else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector(ThreadingHTTPServer):
    """Takes every request; `bodies` has those of the POSTs, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[tuple[str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Span]:
        """The spans that were sent so far."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self._sent("/v1/traces")]
        return [
            span
            for request in requests
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def services(self) -> set[str]:
        """The `service.name` of all who sent spans."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self._sent("/v1/traces")]
        resources = [group.resource for request in requests for group in request.resource_spans]
        return {each.value.string_value for one in resources for each in one.attributes if each.key == "service.name"}

    def metrics(self) -> set[str]:
        """The names of the metrics that were sent so far."""
        requests = [ExportMetricsServiceRequest.FromString(body) for body in self._sent("/v1/metrics")]
        return {
            metric.name
            for request in requests
            for group in request.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
        }

    def _sent(self, path: str) -> list[bytes]:
        return [body for at, body in list(self.bodies) if at == path]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.bodies.append((self.path, body))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port of loopback."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
