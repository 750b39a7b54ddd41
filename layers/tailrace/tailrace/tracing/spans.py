"""The spans of a task: its creation, its attempts, and its requests to other agents.

- `task NAME` begins and ends when the task is created. Its context is in the task's head.
- `invoke_agent NAME` is an attempt. All attempts of a task are its children: a takeover, a hand-off and a run after a
  question are parts of what was asked for once. So they are in one trace, and a sampler that goes by the parent decides
  once. A link would begin a trace for each attempt. It says instead which request a reply came with, if that belongs
  to another trace.
- `invoke_agent NAME` of the kind CLIENT is a call of another agent, through all tries and cuts. Each of its requests is
  named after the method, like `SendStreamingMessage`.

A failure is the status ERROR and `error.type`. Its text is in no span: it may have what a user has written. Who
cancels, stops or asks has not failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tailrace.errors import AgentError
from tailrace.ports import DEFAULT_PORTS
from tailrace.tracing import names
from tailrace.tracing.context import carried_by, context_of, is_on

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from tailrace.log import Head

logger = logging.getLogger("tailrace.tracing")


@contextmanager
def creation(agent: str, task_id: str, context_id: str) -> Iterator[Creation]:
    """The span of a task's creation."""
    if not is_on():
        yield Creation(None)
        return
    from opentelemetry.trace import SpanKind

    attributes = {names.AGENT: agent, names.TASK_ID: task_id, names.CONVERSATION: context_id}
    span = begin(f"{names.TASK} {agent}", kind=SpanKind.PRODUCER, attributes=attributes)
    with ending(span):
        yield Creation(span)


class Creation:
    """The creation of a task. `trace` is for its head."""

    def __init__(self, span: Span | None) -> None:
        self._span = span
        self.trace = carried_by(span)

    def found(self, trace: str) -> None:
        """Note the trace in the stored head: if it is another one, the task was there before."""
        if self._span is not None and trace != self.trace:
            note(self._span, names.REPEATED, True)


class AttemptSpan:
    """The span of an attempt. Without an SDK it does nothing."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    @property
    def is_recording(self) -> bool:
        """Whether anybody will see the attempt's span, and so those below it."""
        return self._span is not None and self._span.is_recording()

    def ended(self, how: str, state: str = "", error: str = "") -> None:
        """Note how the attempt has ended, as `names.END` has it, and of an error its type."""
        if self._span is None:
            return
        note(self._span, names.END, how)
        if state:
            note(self._span, names.TASK_STATE, state)
        if error:
            fail(self._span, error)


@contextmanager
def attempt(head: Head, reason: str | None) -> Iterator[AttemptSpan]:
    """The span of an attempt, which is the current one in the block. `reason` is as in its fence, if it has one."""
    if not head.trace and not is_on():
        yield AttemptSpan(None)
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, get_current_span, use_span

    parent, request = context_of(head.trace), get_current_span().get_span_context()
    its_own = parent is not None and get_current_span(parent).get_span_context().trace_id == request.trace_id
    attributes: dict[str, Any] = {
        names.OPERATION: names.INVOKE_AGENT,
        names.AGENT: head.agent,
        names.CONVERSATION: head.context_id,
        names.TASK_ID: head.task_id,
        names.ATTEMPT: head.attempt,
    }
    if reason is not None:
        attributes[names.REASON] = reason
    span = begin(
        f"{names.INVOKE_AGENT} {head.agent}",
        context=parent or Context(),
        attributes=attributes,
        links=[Link(request)] if request.is_valid and not its_own else [],
    )
    with use_span(span, record_exception=False, set_status_on_exception=False), ending(span):
        yield AttemptSpan(span)


@contextmanager
def call(name: str, url: str, *interruption: type[BaseException]) -> Iterator[Span | None]:
    """The span of a call of the agent `name` at `url`, which is the current one in the block.

    An `interruption` that leaves the block is no failure: the call goes on in another attempt.
    """
    if not is_on():
        yield None
        return
    from opentelemetry.trace import SpanKind, use_span

    attributes = {names.OPERATION: names.INVOKE_AGENT, names.AGENT: name, **_place(url)}
    span = begin(f"{names.INVOKE_AGENT} {name}", kind=SpanKind.CLIENT, attributes=attributes)
    with use_span(span, record_exception=False, set_status_on_exception=False), ending(span, interruption):
        yield span


def called(span: Span | None, task_id: str | None) -> None:
    """Note which task of the agent a call has."""
    if span is not None and task_id is not None:
        note(span, names.TASK_ID, task_id)


@contextmanager
def request(method: str, url: str, version: str, task_id: str | None) -> Iterator[Span | None]:
    """The span of a request to the agent at `url`. It does not become the current one: a generator may be the block."""
    if not is_on():
        yield None
        return
    from opentelemetry.trace import SpanKind

    attributes = {names.METHOD: method, names.PROTOCOL_VERSION: version, **_place(url)}
    if task_id is not None:
        attributes[names.TASK_ID] = task_id
    span = begin(method, kind=SpanKind.CLIENT, attributes=attributes)
    with ending(span):
        yield span


@contextmanager
def ending(span: Span, interruption: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """End the span with the block, and note the error that leaves it. An `interruption` is none."""
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        note(span, names.CANCELED, True)
        raise
    except AgentError as error:
        fail(span, str(error.code) if error.code is not None else type(error).__name__)
        raise
    except BaseException as error:
        if isinstance(error, interruption):
            note(span, names.INTERRUPTED, True)
        else:
            fail(span, type(error).__name__)
        raise
    finally:
        end(span)


def begin(name: str, **options: Any) -> Span:
    """Begin a span; `options` are those of `Tracer.start_span`.

    An SDK's sampler and processors are anybody's code. If that fails, what would be below the span is below its parent.
    """
    from opentelemetry.trace import NonRecordingSpan, get_current_span, get_tracer

    try:
        span = get_tracer(names.SCOPE).start_span(name, **options)
        span.get_span_context(), span.is_recording()  # Who carries the trace on asks for both.
    except Exception as error:
        logger.warning("the span %r was not begun: %s: %s", name, type(error).__name__, error)
        return NonRecordingSpan(get_current_span(options.get("context")).get_span_context())
    return span


def note(span: Span, name: str, value: str | int | bool) -> None:
    """Give the span an attribute. This never raises; see `begin`."""
    try:
        span.set_attribute(name, value)
    except Exception as error:
        logger.warning("the attribute %r was not noted: %s: %s", name, type(error).__name__, error)


def end(span: Span) -> None:
    """End a span. This never raises; see `begin`."""
    try:
        span.end()
    except Exception as error:
        logger.warning("a span was not ended: %s: %s", type(error).__name__, error)


def fail(span: Span, error: str) -> None:
    """Give the span the status of a failure, and the type of the error. This never raises; see `begin`."""
    from opentelemetry.trace import StatusCode

    try:
        span.set_status(StatusCode.ERROR)
    except Exception as failure:
        logger.warning("a failure was not noted: %s: %s", type(failure).__name__, failure)
    note(span, names.ERROR, error)


def _place(url: str) -> dict[str, Any]:
    """The attributes of a peer. A query and a user in a URL may be secrets."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return {}  # The request will say that this is no URL.
    netloc = parts.netloc.rpartition("@")[2]
    place: dict[str, Any] = {
        names.SERVER: host,
        names.URL: parts._replace(netloc=netloc, query="", fragment="").geturl(),
    }
    return place if port is None else {**place, names.PORT: port}
