"""What a browser may send, checked field by field before anything is done."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from starlette.requests import Request

from gateway.problems import Problem
from tailrace.a2a.types import UserMessage, UserPart, convert
from tailrace.decoding import MAX_DEPTH, decode_json, too_deep
from tailrace.errors import JsonError, RequestError, TooDeep, shorten
from tailrace.inputs.body import read_body
from tailrace.stream.reader import parse_cursor

T = TypeVar("T")

_TASK_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAX_KEY = 255
IDEMPOTENCY_KEY = Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_KEY)]


def _has(name: str) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"type": "string"}}}


# Exactly one content, as `UserPart` has it: a null counts as absent, but for a `data` that is alone.
_TEXTS = [_has(name) for name in ("text", "raw", "url")]
_DATA = {"required": ["data"], "properties": {"data": {"not": {"type": "null"}}}}
_NULL = {"required": ["data"], "properties": {"data": {"type": "null"}}, "not": {"anyOf": _TEXTS}}
_ONE_CONTENT = msgspec.Meta(extra_json_schema={"oneOf": [*_TEXTS, _DATA, _NULL]})


class BrowserPart(UserPart, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    pass


class BrowserMessage(msgspec.Struct, forbid_unknown_fields=True, rename="camel", omit_defaults=True, kw_only=True):
    """An A2A 1.0 message whose `role` and `messageId` may be left out."""

    parts: Annotated[list[Annotated[BrowserPart, _ONE_CONTENT]], msgspec.Meta(extra_json_schema={"minItems": 1})]
    message_id: str | None = None
    role: Literal["ROLE_USER"] = "ROLE_USER"
    context_id: str | None = None
    reference_task_ids: list[str] | None = None
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("Expected `parts` with at least one part, got []")
        if too_deep(self.metadata):
            raise ValueError(
                f"Expected `metadata` nested at most {MAX_DEPTH} levels deep, got one that is nested deeper"
            )


class MessageBody(msgspec.Struct, forbid_unknown_fields=True):
    message: BrowserMessage


class TaskBody(MessageBody, forbid_unknown_fields=True):
    """A message that begins a task, and the name of the agent that gets it; None for the default agent."""

    agent: str | None = None


async def read_task(request: Request, limit: int) -> TaskBody:
    """Return what a request's body says about a new task. Raises as `read_message` does."""
    return await read_json(request, limit, TaskBody, '{"message": {"parts": [{"text": "…"}]}}')


async def read_message(request: Request, limit: int) -> BrowserMessage:
    """Return the message in a request's body.

    Raises:
        RequestError, RequestTooLarge: the body cannot be used; the message says why.
    """
    example = '{"message": {"parts": [{"text": "…"}]}}'
    return (await read_json(request, limit, MessageBody, example)).message


async def read_json(request: Request, limit: int, kind: type[T], example: str) -> T:
    """Return a request's body as `kind`. The error for a body that is not JSON has the `example`.

    Raises:
        RequestError, RequestTooLarge: the body cannot be used; the message says why.
    """
    body = await read_body(request, limit)
    try:
        value = decode_json(body)
    except TooDeep:
        raise
    except JsonError as error:
        raise RequestError(f"{error} Send {example}.") from None
    return convert(value, kind)


def complete(message: BrowserMessage, *, message_id: str, task_id: str, context_id: str) -> UserMessage:
    """Return the message as A2A defines it, with all its ids."""
    return UserMessage(
        message_id=message_id,
        role="ROLE_USER",
        parts=list(message.parts),
        task_id=task_id,
        context_id=context_id,
        metadata=message.metadata,
        reference_task_ids=message.reference_task_ids,
    )


def idempotency_key(request: Request, message: BrowserMessage) -> str:
    """Return the key that a repeated request has again: the header, else the message's id, else a new one.

    Raises:
        RequestError: the header is empty or too long.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return message.message_id or str(uuid.uuid4())
    if not key or len(key) > _MAX_KEY:
        raise RequestError(f"Idempotency-Key has {len(key)} characters, but must have between 1 and {_MAX_KEY}.")
    return key


def task_id_in(request: Request) -> str:
    """Return the task id in the path.

    Raises:
        Problem: 404, no task can have this id.
    """
    task_id: str = request.path_params["task_id"]
    if not _TASK_ID.fullmatch(task_id):
        raise Problem(404, f"There is no task {shorten(task_id)!r}.")
    return task_id


def cursor_in(request: Request) -> int:
    """Return the cursor: `Last-Event-ID` if there is one, else `?cursor=`, else 0.

    Raises:
        RequestError: the cursor is not a seq.
    """
    if cursor := request.headers.get("last-event-id"):
        return parse_cursor(cursor, "Last-Event-ID")
    if cursor := request.query_params.get("cursor"):
        return parse_cursor(cursor, "cursor")
    return 0


def page_size_in(request: Request) -> int:
    """Return the `pageSize` in the query, 20 by default.

    Raises:
        RequestError: it is not a whole number between 1 and 100.
    """
    size = request.query_params.get("pageSize") or "20"
    if not (size.isascii() and size.isdigit() and 1 <= int(size) <= 100):
        raise RequestError(f"pageSize has value {shorten(size)!r}, but must be a whole number between 1 and 100.")
    return int(size)
