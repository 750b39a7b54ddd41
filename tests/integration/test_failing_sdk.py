"""An SDK of OpenTelemetry is anybody's code: whatever it does, tasks complete and streams end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, ClassVar

import opentelemetry.metrics
import opentelemetry.trace
import pytest
from langgraph.graph import START, MessagesState, StateGraph
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, TraceFlags

from tailrace.tracing import metrics, setup
from tests.support.conditions import eventually
from tests.support.events import message
from tests.support.in_process import agent, system
from tests.support.models import says
from tests.support.recorded import Recorded

CALLER = f"00-{'a' * 32}-{'b' * 16}-01"


async def look(state: MessagesState) -> Any:
    return {"messages": [await says("seen").ainvoke("?")]}


GRAPH = StateGraph(MessagesState).add_node(look).add_edge(START, "look")


class Failing:
    """Stands for any object of an SDK: its methods make others, and the one that is named in `fails` raises."""

    fails: ClassVar[str]
    known: ClassVar[dict[str, Any]] = {
        "is_recording": True,
        "get_span_context": SpanContext(5, 6, False, TraceFlags(1)),
    }

    def __getattr__(self, name: str) -> Any:
        def method(*_: Any, **__: Any) -> Any:
            if name == self.fails:
                raise RuntimeError(f"{name} fails")
            return self.known.get(name, self)

        return method


@pytest.mark.parametrize(
    "fails", ["get_tracer", "is_recording", "get_span_context", "set_attribute", "get_meter", "add", "record"]
)
async def test_no_method_that_raises_fails_a_task(fails: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Failing, "fails", fails, raising=False)
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", Failing())
    monkeypatch.setattr(opentelemetry.metrics._internal, "_METER_PROVIDER", Failing())  # noqa: SLF001
    monkeypatch.setattr(metrics, "_meters", [])
    async with system(GRAPH, tmp_path) as sut:
        assert (await sut.read(await sut.post({"text": "go"}))).state == "TASK_STATE_COMPLETED"


async def test_processors_that_raise_fail_no_task_and_lose_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    class Processor(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            if span.name.startswith("task"):
                raise RuntimeError("no memory for a span")

        def on_end(self, span: Any) -> None:
            raise RuntimeError("nobody takes it")

    sdk = Recorded()
    sdk.traces.add_span_processor(Processor())
    sdk.install(monkeypatch)
    async with agent(GRAPH) as sut:
        sent = await sut.result("SendMessage", {"message": message("go")}, traceparent=CALLER)
        head = await sut.log.head(sent["task"]["id"])
    assert sent["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert head.trace == CALLER


async def test_a_process_sends_what_it_has_before_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uvicorn ends with the signal that stopped it: nothing that is registered with `atexit` runs."""
    monkeypatch.setattr(setup, "_LAST_FLUSH_S", 60.0)
    sent = InMemorySpanExporter()
    batches = BatchSpanProcessor(sent, schedule_delay_millis=3_600_000)
    sdk = Recorded()
    sdk.traces.add_span_processor(batches)
    sdk.install(monkeypatch)
    async with agent(GRAPH) as sut:
        await sut.result("SendMessage", {"message": message("go")})
        assert not sent.get_finished_spans()
    assert "invoke_agent hello_world" in {span.name for span in sent.get_finished_spans()}
    batches.shutdown()


async def test_an_exporter_that_hangs_does_not_keep_a_process_from_stopping(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    released, asked = threading.Event(), list[str]()

    class Stuck(SpanProcessor):
        def force_flush(self, timeout_millis: int = 0) -> bool:
            asked.append("once")
            return released.wait()

    monkeypatch.setattr(setup, "_LAST_FLUSH_S", 0.05)
    sdk = Recorded()
    sdk.traces.add_span_processor(Stuck())
    sdk.install(monkeypatch)
    try:
        for _ in range(3):
            async with agent(GRAPH):
                pass
        await eventually(lambda: asked)
        assert asked == ["once"], "there may be only one thread that hangs"
    finally:
        released.set()
    assert "traces were not sent: TimeoutError" in caplog.text
