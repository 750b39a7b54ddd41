"""What a node or a tool calls to be seen: `progress`, `write`, `result`, `file`; and `request`, what it was asked.

All of it is no-op outside a graph that Tailrace runs, so that nodes can be called by themselves in a test;
only `request` has nothing to give there and says so.
"""

from __future__ import annotations

import base64
from contextvars import ContextVar
from typing import Any, Literal, TypedDict

from tailrace.authoring.metadata import check
from tailrace.authoring.run_context import DelegatedTask
from tailrace.decoding import check_depth
from tailrace.errors import shorten
from tailrace.events import Kind
from tailrace.inputs.request import Request

# How our own emissions are told from an author's use of LangGraph's stream writer.
MARK = "__tailrace__"

_request: ContextVar[Request] = ContextVar("tailrace_request")


class Emission(TypedDict, total=False):
    """What travels through LangGraph's custom stream to the runner."""

    __tailrace__: Literal["status", "text", "artifact"]
    kind: Kind
    step: str | None
    artifact: str
    text: str | None
    part: dict[str, Any]
    details: dict[str, Any]


def progress(text: str, *, done: int | None = None, total: int | None = None) -> None:
    """Say how far the work is: an event of kind `progress`, with counts if there are any."""
    emit("progress", text=text, done=done, total=total)


def write(text: str, *, artifact: str = "report") -> None:
    """Add to a streamed text artifact, by default the `report` (Markdown).

    Raises:
        ValueError: one of them is no text.
    """
    _check_texts(text=text, artifact=artifact)
    _send({MARK: "text", "artifact": artifact, "text": text})


def result(name: str, data: Any) -> None:
    """Give a result: the artifact `name` with one data part, plain JSON.

    A later result of the same name replaces it.

    Raises:
        TooDeep: the data is nested deeper than 64 levels.
        ValueError: the name is no text.
    """
    _check_texts(name=name)
    check_depth(data, f"The data of result({name!r})")
    _send({MARK: "artifact", "artifact": name, "part": {"data": data}})


def file(
    name: str, content: str | bytes = b"", *, url: str = "", filename: str = "", media_type: str = "text/plain"
) -> None:
    """Give a file: the artifact `name` with its content, or with the `url` where it is.

    `filename` is `name` unless given. A later file of the same name replaces it.

    Raises:
        ValueError: what has to be a text is none.
    """
    _check_texts(name=name, url=url, filename=filename, media_type=media_type)
    raw = content.encode() if isinstance(content, str) else content
    part: dict[str, Any] = {"url": url} if url else {"raw": base64.b64encode(raw).decode()}
    part |= {"filename": filename or name, "mediaType": media_type}
    _send({MARK: "artifact", "artifact": name, "part": part})


def emit(kind: Kind, *, text: str | None = None, step: str | None = None, **details: Any) -> None:
    """Emit a status update of any kind. For agents that show more than progress, as the orchestrator does.

    `details` go into the event's metadata (docs/PROTOCOL.md, section 2.3). `step` is the current node's execution
    unless given. With an `origin`, the event is passed on from another agent, whose name is `agent` (section 2.6).

    Raises:
        ValueError: something has a value that it cannot have.
    """
    details = {key: value for key, value in details.items() if value is not None}
    if isinstance(asked := details.get("asked"), DelegatedTask):
        details["asked"] = {"url": asked.url, "task": asked.task, "since": asked.since}
    check({"kind": kind, "text": text, "step": step, **details})
    _send({MARK: "status", "kind": kind, "text": text, "step": step, "details": details})


def request() -> Request:
    """Everything the user has sent to the current task.

    Raises:
        LookupError: there is no current task.
    """
    try:
        return _request.get()
    except LookupError:
        raise LookupError("request() was called outside a task; it is for the nodes and tools of a graph.") from None


def set_request(request: Request) -> None:
    """Make `request` what `request()` gives in this context and those begun from it."""
    _request.set(request)


def current_step() -> str | None:
    """The execution of the node that is running: LangGraph's id of it, the same after a resume."""
    from langgraph.config import get_config

    try:
        namespace = get_config().get("metadata", {}).get("langgraph_checkpoint_ns", "")
    except RuntimeError:
        return None
    return step_of(namespace)


def step_of(namespace: str) -> str | None:
    """The innermost step in a checkpoint namespace `node:step|node:step…`."""
    return namespace.rpartition(":")[2] or None


def _check_texts(**given: Any) -> None:
    for key, value in given.items():
        if not isinstance(value, str):
            raise ValueError(f"{key} has value {shorten(repr(value))}, but must be a text.")


def _send(emission: dict[str, Any]) -> None:
    # LangGraph is imported by whoever runs a graph; without one there is nobody to tell.
    from langgraph.config import get_stream_writer

    try:
        writer = get_stream_writer()
    except (RuntimeError, KeyError):
        return
    # What is passed on from another agent is on a step of that agent's, or on none.
    if emission.get("step") is None and "origin" not in emission.get("details", {}):
        emission["step"] = current_step()
    writer(emission)
