"""The trace that a request, a task and a run belong to: W3C Trace Context on the wire and in a task's head.

OpenTelemetry is imported only when a request brings a trace, or when the process has an SDK: its import takes longer
than answering most requests. Without an SDK a trace is passed on as it came.

A caller's trace is continued, whoever the caller is. What it says decides nothing but where the spans are shown, and,
with OpenTelemetry's default sampler, whether they are. A header that cannot be read is left out. Baggage is not passed
on: it may hold anything, and our peers and webhooks are other people's.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import Span

logger = logging.getLogger("tailrace.tracing")

_TRACEPARENT, _TRACESTATE = "traceparent", "tracestate"
# "Vendors SHOULD propagate at least 512 characters of a combined header" (W3C Trace Context, section 3.3.1.5).
_MAX_TRACESTATE = 512


def is_on() -> bool:
    """Whether this process has an SDK that takes spans."""
    trace = sys.modules.get("opentelemetry.trace")
    return trace is not None and is_sdk(trace.get_tracer_provider)


def is_sdk(provider: Callable[[], object]) -> bool:
    """Whether this function of the API gives an SDK's provider. It raises if OTEL_PYTHON_…_PROVIDER names none."""
    try:
        return hasattr(provider(), "force_flush")  # The API's own providers do not have it.
    except Exception:
        return False


class Tracing:
    """ASGI middleware: what handles a request belongs to the trace that its headers name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _may_bring_a_trace(scope["headers"]):
            await self._app(scope, receive, send)
        else:
            with _within(_received(scope["headers"])):
                await self._app(scope, receive, send)


@contextmanager
def within(trace: str) -> Iterator[None]:
    """Let what the block does belong to the trace in a task's head; to its caller's if there is none."""
    with _within(context_of(trace)):
        yield


def carried() -> str:
    """The current trace as a task's head keeps it: `traceparent`, and after a space `tracestate`. "" if there is none.

    It is always in W3C's form, so that a process with other propagators (OTEL_PROPAGATORS) can go on with it.
    """
    return carried_by(None)


def carried_by(span: Span | None) -> str:
    """As `carried`, for this span; None is the current one."""
    if (trace := sys.modules.get("opentelemetry.trace")) is None:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    span = span if span is not None else trace.get_current_span()
    fields: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(fields, trace.set_span_in_context(span))
    return " ".join(filter(None, (fields.get(_TRACEPARENT), fields.get(_TRACESTATE))))


def context_of(text: str) -> Context | None:
    """The trace that `carried` has given; None if it is "" or none."""
    if not text:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    traceparent, _, tracestate = text.partition(" ")
    fields = {_TRACEPARENT: traceparent, _TRACESTATE: tracestate}
    return _only_its_span(TraceContextTextMapPropagator().extract(fields))


def headers(span: Span | None = None) -> dict[str, str]:
    """The headers of a request that belongs to this span; None is the current one. Empty if there is no trace."""
    if (trace := sys.modules.get("opentelemetry.trace")) is None:
        return {}
    span = span if span is not None else trace.get_current_span()
    propagator = _propagator() if span.get_span_context().is_valid else None
    if propagator is None:
        return {}
    from opentelemetry.context import Context

    fields: dict[str, str] = {}
    try:
        propagator.inject(fields, trace.set_span_in_context(span, Context()))
    except Exception as error:  # a propagator of anybody's
        logger.warning("a trace was not passed on: %s: %s", type(error).__name__, error)
        return {}
    return fields


def _may_bring_a_trace(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"traceparent" for name, _ in headers) or is_on()  # An SDK's propagators may know other headers.


def _received(headers: Iterable[tuple[bytes, bytes]]) -> Context | None:
    """The trace that a request's headers name; None if there is none that can be read."""
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        fields.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip())
    if len(fields.get(_TRACEPARENT, ())) > 1:
        del fields[_TRACEPARENT]  # Nobody knows which one counts.
    if states := fields.pop(_TRACESTATE, None):
        joined = ",".join(states)
        if len(joined) <= _MAX_TRACESTATE:
            fields[_TRACESTATE] = [joined]
    propagator = _propagator()
    if propagator is None:
        return None
    from opentelemetry.trace import get_current_span

    if get_current_span().get_span_context().is_valid:
        return None  # Something else has read the headers: an instrumentation, or the one that mounts this app.
    try:
        return _only_its_span(propagator.extract(fields))
    except Exception as error:  # a propagator of anybody's
        logger.warning("the trace of a request was not read: %s: %s", type(error).__name__, error)
        return None


@contextmanager
def _within(context: Context | None) -> Iterator[None]:
    if context is None:
        yield
        return
    from opentelemetry.context import attach, detach

    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def _only_its_span(context: Context) -> Context | None:
    """The current context with the span of `context`, and nothing else of it; None if there is no span."""
    from opentelemetry.trace import get_current_span, set_span_in_context

    span = get_current_span(context)
    return set_span_in_context(span) if span.get_span_context().is_valid else None


def _propagator() -> TextMapPropagator | None:
    """The propagator of the process; None if `OTEL_PROPAGATORS` names one that there is not."""
    return find() if (find := _find_propagator()) is not None else None


@cache
def _find_propagator() -> Callable[[], TextMapPropagator] | None:
    try:
        from opentelemetry.propagate import get_global_textmap
    except Exception as error:
        named = os.environ.get("OTEL_PROPAGATORS", "")
        logger.warning("OTEL_PROPAGATORS has value %r, so no trace is passed on: %s", named, error)
        return None
    return get_global_textmap
