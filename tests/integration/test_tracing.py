"""LangSmith and OpenTelemetry trace an agent as they trace any LangGraph graph, also where processes freeze."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator

import pytest

from tests.support.collector import Collector, collecting

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


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


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


async def test_an_authors_own_provider_stays_and_its_spans_are_sent(collector: Collector) -> None:
    span = 'trace.get_tracer("agent").start_span("greeting").end()'
    await run(PROVIDER + AGENT.format(node=span), OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    spans = {span.name: span for span in collector.spans()}
    assert len(spans) == len(collector.spans()), "sent by two providers"
    assert spans["greeting"].parent_span_id == spans["node greet"].span_id
    assert spans["node greet"].parent_span_id == spans["invoke_agent traced"].span_id


async def test_opentelemetry_gets_the_graph_and_its_nodes(collector: Collector) -> None:
    await run(
        PROVIDER + AGENT.format(node="pass"),
        LANGSMITH_TRACING="true",
        LANGSMITH_OTEL_ENABLED="true",
        LANGSMITH_OTEL_ONLY="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
    )
    spans = {span.name: span for span in collector.spans()}
    assert spans["greet"].parent_span_id == spans["traced"].span_id
