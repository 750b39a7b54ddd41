"""LangSmith and OpenTelemetry trace an agent as they trace any LangGraph graph, also where processes freeze."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

# Ends as a frozen process that never goes on: nothing is sent when Python exits.
AGENT = """
import asyncio, os
from langgraph.graph import START, MessagesState, StateGraph
from tailrace import AgentApp, AgentCard, testing, write

async def greet(state: MessagesState) -> None:
    {node}
    write("Hello")

graph = StateGraph(MessagesState).add_node(greet).add_edge(START, "greet")
app = AgentApp(graph, AgentCard(name="traced", description="For tests.", version="1", skills=[]))
assert asyncio.run(testing.run(app, "Ada")).response == "Hello"
os._exit(0)
"""
PROVIDER = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
"""


class Collector(ThreadingHTTPServer):
    """Takes every request; `bodies` has those of the POSTs, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[tuple[str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


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


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def run(program: str, **variables: str) -> None:
    environ = {**os.environ, "AWS_LAMBDA_FUNCTION_NAME": "traced", **variables}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=environ)
    assert await process.wait() == 0


async def test_langsmith_gets_the_graph_and_its_nodes(collector: Collector) -> None:
    await run(
        AGENT.format(node="pass"),
        LANGSMITH_TRACING="true",
        LANGSMITH_ENDPOINT=collector.url,
        LANGSMITH_API_KEY="key",
        LANGSMITH_PROJECT="tests",
    )
    sent = b"".join(body for path, body in collector.bodies if path.startswith("/runs"))
    assert b'"name":"traced"' in sent
    assert b'"name":"greet"' in sent
    assert b'"content":"Ada"' in sent
    # LangSmith groups a conversation's traces by this.
    assert b'"thread_id"' in sent


async def test_an_authors_own_spans_reach_opentelemetry(collector: Collector) -> None:
    span = 'trace.get_tracer("agent").start_span("greeting").end()'
    await run(PROVIDER + AGENT.format(node=span), OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert [span.name for span in spans_of(collector)] == ["greeting"]


async def test_opentelemetry_gets_the_graph_and_its_nodes(collector: Collector) -> None:
    await run(
        PROVIDER + AGENT.format(node="pass"),
        LANGSMITH_TRACING="true",
        LANGSMITH_OTEL_ENABLED="true",
        LANGSMITH_OTEL_ONLY="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
    )
    spans = {span.name: span for span in spans_of(collector)}
    assert spans["greet"].parent_span_id == spans["traced"].span_id


def spans_of(collector: Collector) -> list[Span]:
    requests = [ExportTraceServiceRequest.FromString(body) for path, body in collector.bodies if path == "/v1/traces"]
    return [
        span
        for request in requests
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]
