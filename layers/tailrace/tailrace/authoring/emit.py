"""What a node or a tool calls: `progress`, `write`, `result`, `file` and `emit` report, `request` returns the input.

Outside a graph that Tailrace runs these do nothing, so that a test can call a node by itself; only `request` raises.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.authoring import run_context
from tailrace.authoring.emission import RESPONSE, EmittedArtifact, EmittedStatus, EmittedText, ForwardedKind, checked
from tailrace.errors import shorten
from tailrace.events import DelegatedTask, Details, Origin, Part, Target, plain
from tailrace.events.metadata import MAX_INTEGER
from tailrace.inputs.request import Request

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.runtime import Runtime

_request: ContextVar[Request] = ContextVar("tailrace_request")


def progress(text: str, *, done: float | None = None, total: float | None = None) -> None:
    """Report progress: an event of kind `progress` on the current node's step.

    Args:
        text: what is being done, for people.
        done: how much of the work is done, in any unit; at most 2**53.
        total: how much there is, in the same unit.

    Raises:
        ValueError: an argument has a value that it cannot have. Nothing was emitted.

    Example:
        async def compare(state: MessagesState) -> None:
            for done in range(1, 4):
                progress("comparing with the day before", done=done, total=3)
    """
    if type(text) is str and _is_count(done) and _is_count(total):  # almost every time: it need not be checked again
        send(EmittedStatus("progress", text, None, Details(step=current_step(), done=done, total=total)))
    else:
        emit("progress", text=text, done=done, total=total)


def write(text: str, *, artifact: str = RESPONSE) -> None:
    """Append text to a streamed text artifact.

    Args:
        text: Markdown. Pieces are joined as they are, so a piece brings its own line ends.
        artifact: the artifact's name. What chat models stream goes to `response` too.

    Raises:
        ValueError: an argument is not text. Nothing was emitted.

    Example:
        async def summarize(state: MessagesState) -> None:
            write("Nothing changed. ")
            write("The details are in the appendix.")
            write("3 files were compared.", artifact="appendix")
    """
    _check_texts(text=text, artifact=artifact)
    runtime = _runtime()
    _give(runtime, EmittedText(artifact, text, current_step(), _tried_in(runtime)))


def result(name: str, data: Any) -> None:
    """Give a result: an artifact of one data part. A later result of the same name replaces it.

    Args:
        name: the artifact's name.
        data: anything that JSON can hold; dates, decimals, sets, dataclasses and pydantic models become JSON.
            In the log an event takes at most 390,000 bytes, compressed if that is less.

    Raises:
        NotJson: the data has a value that JSON cannot hold; the error names its path. Nothing was emitted.
        TooDeep: the data is nested deeper than 64 levels. Nothing was emitted.
        ValueError: the name is not text. Nothing was emitted.

    Example:
        async def find(state: MessagesState) -> None:
            result("findings", {"findings": [{"subject": "latency", "confidence": 0.9}]})
    """
    _check_texts(name=name)
    data = plain(data, f"The data of result({name!r})")
    send(EmittedArtifact(name, Part(data=data), current_step()))


def file(
    name: str, content: str | bytes = b"", *, url: str = "", filename: str = "", media_type: str = "text/plain"
) -> None:
    """Give a file: an artifact of one file part. A later file of the same name replaces it.

    Args:
        name: the artifact's name.
        content: the file's content; text is encoded as UTF-8. It travels in the event as base64.
        url: where the file is, in place of its content.
        filename: what the file is called; `name` by default.
        media_type: the file's media type.

    Raises:
        ValueError: an argument that has to be text is not. Nothing was emitted.

    Example:
        async def plot(state: MessagesState) -> None:
            file("plot", "<svg/>", filename="latency.svg", media_type="image/svg+xml")
            file("archive", url="https://example.com/logs.zip", media_type="application/zip")
    """
    _check_texts(name=name, url=url, filename=filename, media_type=media_type)
    part = Part(filename=filename or name, media_type=media_type)
    if url:
        part.url = url
    else:
        raw = content.encode(errors="replace") if isinstance(content, str) else content
        part.raw = base64.b64encode(raw).decode()
    send(EmittedArtifact(name, part, current_step()))


def emit(
    kind: ForwardedKind,
    *,
    text: str | None = None,
    step: str | None = None,
    parent: str | None = None,
    name: str | None = None,
    done: float | None = None,
    total: float | None = None,
    input: str | None = None,
    output: str | None = None,
    error: str | None = None,
    interrupted: bool | None = None,
    targets: Sequence[Target] | None = None,
    asked: DelegatedTask | None = None,
    agent: str | None = None,
    origin: Origin | None = None,
    at: int | None = None,
    reason: str | None = None,
    supersedes: Sequence[str] | None = None,
) -> None:
    """Emit a status update of any kind, for agents that show more than progress. The orchestrator is one.

    docs/PROTOCOL.md, section 2.3, says what each kind means and which of the keys it has. A key that is None is left
    out of the event.

    Args:
        kind: what happened: "route", "node_start", "node_end", "tool_start", "tool_complete" or "progress"; with an
            `origin` also "attempt" or "handoff".
        text: what happened, for people.
        step: the execution of a node or tool; the current node's by default.
        parent: the step around it.
        name: the node's or tool's name.
        done, total: counts, as in `progress`.
        input, output, error: a tool call's arguments, its result, and why it failed.
        interrupted: in a "node_end" or "tool_complete", whether the node asks the user and runs again with the answer.
        targets: the agents that are asked, and why.
        asked: the task at another agent that this tool step waits for. A later attempt goes on with it.
        agent: the agent that did it, if that is another one.
        origin: the event of another agent that this one forwards (section 2.6). It needs an `agent`.
        at: when it happened at the other agent, in ms since the epoch.
        reason, supersedes: in a forwarded "attempt", why it began and which steps it supersedes.

    Raises:
        ValueError: an argument has a value that it cannot have. Nothing was emitted.
    """
    if step is None and origin is None:  # a forwarded event is on a step of the other agent, or on none
        step = current_step()
    if isinstance(asked, DelegatedTask):
        asked = msgspec.structs.replace(asked, cursor=0)
    details = Details(
        step=step,
        parent=parent,
        name=name,
        done=done,
        total=total,
        input=input,
        output=output,
        error=error,
        interrupted=interrupted,
        targets=None if targets is None else list(targets),
        asked=asked,
        origin=origin,
        at=at,
        reason=reason,
        supersedes=None if supersedes is None else list(supersedes),
    )
    send(checked(EmittedStatus(kind, text, agent, details)))


def request() -> Request:
    """Everything that the user has sent to the current task: its text, data and files, replies included.

    Raises:
        LookupError: there is no current task.

    Example:
        async def count_lines(state: MessagesState) -> None:
            for log in request().files:
                write(f"{log.filename} has {sum(1 for _ in log.lines())} lines.")
    """
    try:
        return _request.get()
    except LookupError:
        raise LookupError("request() was called outside a task; it is for the nodes and tools of a graph.") from None


def set_request(request: Request) -> Token[Request]:
    """Make `request()` return `request` in this context, and in those that are copied from it."""
    return _request.set(request)


def current_step() -> str | None:
    """The current node's step: LangGraph's id for its execution, which a resume keeps. None outside a graph."""
    get_config, _ = _langgraph()
    try:
        namespace = get_config().get("metadata", {}).get("langgraph_checkpoint_ns", "")
    except RuntimeError:
        return None
    return step_of(namespace)


def step_of(namespace: str) -> str | None:
    """The innermost step of a checkpoint namespace `node:step|node:step…`; None if it is empty.

    Of the graphs that a step calls, the second one and those after it have a number in theirs: `node:step|1`.
    """
    outer, _, inner = namespace.rpartition("|")
    if outer and inner.isdecimal():
        inner = outer.rpartition("|")[2]
    return inner.rpartition(":")[2] or None


@lru_cache(maxsize=1_000)
def places_in(namespace: str) -> tuple[tuple[str, str | None], ...]:
    """The nodes of a checkpoint namespace, the innermost last: the name of each, and its step if the namespace has it.

    A subgraph with `checkpointer=True` has a namespace without the steps around it: `node|node…`.
    """
    parts = [each.partition(":") for each in namespace.split("|") if each and not each.isdecimal()]
    return tuple((name, step or None) for name, _, step in parts)


def names_of(namespace: str) -> str:
    """The names of the nodes in a checkpoint namespace, as `node|node…`."""
    return "|".join(name for name, _ in places_in(namespace))


def _is_count(value: object) -> bool:
    return value is None or type(value) is float or (type(value) is int and abs(value) <= MAX_INTEGER)


def _check_texts(**arguments: Any) -> None:
    for key, value in arguments.items():
        if not isinstance(value, str):
            raise ValueError(f"{key} has value {shorten(repr(value))}, but must be a text.")


def send(emission: EmittedStatus | EmittedText | EmittedArtifact) -> None:
    """Give an emission to the run that the caller is part of.

    A thread that a node has started by itself is not part of LangGraph's context. If this process has one run, it is
    that run's; otherwise the emission is lost, and a warning says so once.
    """
    _give(_runtime(), emission)


def tried() -> int:
    """How often LangGraph has begun the current node: 1, or more after retries."""
    return _tried_in(_runtime())


def _runtime() -> Runtime[Any] | None:
    """What LangGraph has for the current node; None outside a graph."""
    _, get_runtime = _langgraph()
    try:
        return get_runtime()
    except (RuntimeError, KeyError):
        return None


@cache  # An import statement takes longer than what it imports here.
def _langgraph() -> tuple[Callable[[], RunnableConfig], Callable[[], Runtime[Any]]]:
    """What tells where a node is. It is imported here, because only a process that runs a graph has LangGraph."""
    from langgraph.config import get_config
    from langgraph.runtime import get_runtime

    return get_config, get_runtime


def _tried_in(runtime: Runtime[Any] | None) -> int:
    execution = None if runtime is None else runtime.execution_info
    return 1 if execution is None else execution.node_attempt


def _give(runtime: Runtime[Any] | None, emission: EmittedStatus | EmittedText | EmittedArtifact) -> None:
    if runtime is None:
        run_context.send_from_outside(emission)
    else:
        runtime.stream_writer(emission)
