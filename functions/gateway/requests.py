"""What a browser may send, checked field by field before anything is done."""

from __future__ import annotations

import re
import uuid
from typing import Any, Literal, TypeVar

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


class BrowserPart(UserPart, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    pass


class BrowserMessage(msgspec.Struct, forbid_unknown_fields=True, rename="camel", omit_defaults=True, kw_only=True):
    """An A2A 1.0 message whose `role` and `messageId` may be left out."""

    parts: list[BrowserPart]
    message_id: str | None = None
    role: Literal["ROLE_USER"] = "ROLE_USER"
    context_id: str | None = None
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


async def read_message(request: Request, limit: int) -> BrowserMessage:
    """The message in a request's body.

    Raises:
        RequestError, RequestTooLarge: it cannot be used, and why.
    """
    example = '{"message": {"parts": [{"text": "…"}]}}'
    return (await read_json(request, limit, MessageBody, example)).message


async def read_json(request: Request, limit: int, kind: type[T], example: str) -> T:
    """A request's body as `kind`. The `example` is for who sends no JSON at all.

    Raises:
        RequestError, RequestTooLarge: it cannot be used, and why.
    """
    body = await read_body(request, limit)
    try:
        given = decode_json(body)
    except TooDeep:
        raise
    except JsonError as error:
        raise RequestError(f"{error} Send {example}.") from None
    return convert(given, kind)


def complete(message: BrowserMessage, *, message_id: str, task_id: str, context_id: str) -> UserMessage:
    """The message as A2A has it: with its ids, and nothing left out."""
    return UserMessage(
        message_id=message_id,
        role="ROLE_USER",
        parts=list(message.parts),
        task_id=task_id,
        context_id=context_id,
        metadata=message.metadata,
    )


def idempotency_key(request: Request, message: BrowserMessage) -> str:
    """Under which key the same request may come again: the header's, the message's id, else a fresh one.

    Raises:
        RequestError: the header is empty or too long.
    """
    given = request.headers.get("idempotency-key")
    if given is None:
        return message.message_id or str(uuid.uuid4())
    if not given or len(given) > _MAX_KEY:
        raise RequestError(f"Idempotency-Key has {len(given)} characters, but must have between 1 and {_MAX_KEY}.")
    return given


def task_id_in(request: Request) -> str:
    """The task id in the path. What cannot be an id is answered like an unknown one."""
    task_id: str = request.path_params["task_id"]
    if not _TASK_ID.fullmatch(task_id):
        raise Problem(404, f"There is no task {shorten(task_id)!r}.")
    return task_id


def cursor_in(request: Request) -> int:
    """The cursor: `Last-Event-ID` if there is one, else `?cursor=`, else 0.

    Raises:
        RequestError: it is no seq.
    """
    if given := request.headers.get("last-event-id"):
        return parse_cursor(given, "Last-Event-ID")
    if given := request.query_params.get("cursor"):
        return parse_cursor(given, "cursor")
    return 0


def page_size_in(request: Request) -> int:
    """The `pageSize` asked for, 20 by default.

    Raises:
        RequestError: it is no number between 1 and 100.
    """
    given = request.query_params.get("pageSize") or "20"
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= 100):
        raise RequestError(f"pageSize has value {shorten(given)!r}, but must be a whole number between 1 and 100.")
    return int(given)
