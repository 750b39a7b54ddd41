"""The trace of a request: W3C Trace Context is read as strictly as its specification says, and never fails anything."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import baggage, propagate
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import get_current_span

from tailrace.tracing import context
from tailrace.tracing.context import Tracing, carried, context_of, headers, within
from tests.support.recorded import Recorded

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
Headers = list[tuple[bytes, bytes]]


def seen_by(received: Headers) -> dict[str, str]:
    """What is sent on by an app behind the middleware that gets these headers."""
    seen: dict[str, str] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(headers())

    asyncio.run(Tracing(app)({"type": "http", "headers": received}, None, None))  # type: ignore[arg-type]
    assert headers() == {}, "the trace has outlived its request"
    return seen


def traced(*parents: str, **others: str) -> Headers:
    fields = [("traceparent", each) for each in parents] + list(others.items())
    return [(name.encode(), value.encode("latin-1")) for name, value in fields]


@pytest.mark.parametrize("parent", [PARENT, f"  {PARENT} ", f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-03"])
def test_a_callers_trace_goes_on(parent: str) -> None:
    assert seen_by(traced(parent))["traceparent"].split("-")[1:3] == [TRACE, SPAN]


def test_a_version_of_the_future_is_read_as_far_as_it_is_known() -> None:
    assert seen_by(traced(f"cc-{TRACE}-{SPAN}-01-more"))["traceparent"] == PARENT


@pytest.mark.parametrize(
    "parents",
    [
        ("",),
        ("nonsense",),
        (PARENT.upper(),),
        (f"ff-{TRACE}-{SPAN}-01",),
        (f"00-{'0' * 32}-{SPAN}-01",),
        (f"00-{TRACE}-{'0' * 16}-01",),
        (f"{PARENT}-more",),
        (f"{PARENT}, {PARENT}",),
        (PARENT, PARENT),
        (PARENT[:-3],),
        ("00-" + "é" * 32 + f"-{SPAN}-01",),
        (PARENT * 1000,),
    ],
)
def test_what_is_no_traceparent_is_left_out(parents: tuple[str, ...]) -> None:
    assert seen_by(traced(*parents, tracestate="a=1")) == {}


def test_tracestate_goes_along_and_comes_in_several_headers() -> None:
    received = [*traced(PARENT, tracestate="a=1"), (b"tracestate", b"b=2")]
    assert seen_by(received) == {"traceparent": PARENT, "tracestate": "a=1,b=2"}


@pytest.mark.parametrize("state", ["nonsense", "", "a=" + "x" * 600, ",".join(f"k{n}=v" for n in range(100)), "a=\x00"])
def test_a_tracestate_that_cannot_be_used_costs_nothing_else(state: str) -> None:
    assert seen_by(traced(PARENT, tracestate=state)) == {"traceparent": PARENT}


def test_baggage_is_not_passed_on() -> None:
    assert seen_by(traced(PARENT, baggage="user=Ada")) == {"traceparent": PARENT}
    with within(f"{PARENT}"):
        assert baggage.get_all() == {}


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([b"traceparent", b"tracestate", b"baggage"]), st.binary(max_size=80))))
def test_no_header_fails_a_request(received: Headers) -> None:
    seen = seen_by(received)
    assert set(seen) <= {"traceparent", "tracestate"}


@given(st.text(max_size=120))
def test_no_text_in_a_head_fails_a_run(text: str) -> None:
    found = context_of(text)
    assert found is None or get_current_span(found).get_span_context().is_valid


def test_what_a_head_has_leads_back_to_the_trace() -> None:
    assert carried() == ""
    for text in (PARENT, f"{PARENT} a=1,b=2"):
        with within(text):
            assert carried() == text
    with within(PARENT), within(""):
        assert carried() == PARENT


def test_a_span_of_an_instrumentation_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has read the headers before, as that of ASGI does."""
    sdk = Recorded()
    sdk.install(monkeypatch)
    with sdk.traces.get_tracer("asgi").start_as_current_span("GET /") as span:
        sent: list[dict[str, str]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            sent.append(headers())

        asyncio.run(Tracing(app)({"type": "http", "headers": traced(PARENT)}, None, None))  # type: ignore[arg-type]
    assert sent[0]["traceparent"].split("-")[2] == f"{span.get_span_context().span_id:016x}"


@pytest.fixture
def asked_anew() -> Iterator[None]:
    context._find_propagator.cache_clear()  # noqa: SLF001
    yield
    context._find_propagator.cache_clear()  # noqa: SLF001


@pytest.mark.usefixtures("asked_anew")
def test_a_propagator_that_there_is_not_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenTelemetry raises while it is imported, with `OTEL_PROPAGATORS=typo`."""
    monkeypatch.setenv("OTEL_PROPAGATORS", "typo")
    monkeypatch.delitem(sys.modules, "opentelemetry.propagate")
    with caplog.at_level(logging.WARNING):
        assert seen_by(traced(PARENT)) == {}
    assert "OTEL_PROPAGATORS has value 'typo'" in caplog.text


def test_a_propagator_that_fails_fails_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(TextMapPropagator):
        fields: ClassVar[set[str]] = set()

        def extract(self, *_: Any, **__: Any) -> Any:
            raise ValueError("unreadable")

        def inject(self, *_: Any, **__: Any) -> None:
            raise ValueError("unwritable")

    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Failing())
    assert seen_by(traced(PARENT)) == {}
    with within(PARENT):
        assert headers() == {}
