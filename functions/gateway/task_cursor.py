"""The cursor of a stream in another language than ours, whose reader may not know its task: `TASK:SEQ`.

It is the `id:` of the last frame of each event. A reader that was cut drops the frames after the last `id:`, and comes
back with that.
"""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

import msgspec
from starlette.requests import Request

from gateway.api_route import Parameter
from tailrace.errors import RequestError, shorten

_CURSOR = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):([0-9]{1,15})")

_KIND = Annotated[str, msgspec.Meta(pattern=f"^({_CURSOR.pattern})?$")]
TASK_CURSOR = (
    Parameter("Last-Event-ID", "The last `id:` that you have.", _KIND, "header"),
    Parameter("cursor", "The same, for who cannot send the header.", _KIND),
)


class TaskCursor(NamedTuple):
    """What a reader has: the events of the task up to `seq`."""

    task_id: str
    seq: int


def task_cursor_in(request: Request) -> TaskCursor | None:
    """The cursor in `Last-Event-ID`, or else in `?cursor=`; None without one.

    Raises:
        RequestError: it is none.
    """
    for key, text in (
        ("Last-Event-ID", request.headers.get("last-event-id")),
        ("cursor", request.query_params.get("cursor")),
    ):
        if text:
            match = _CURSOR.fullmatch(text)
            if match is None:
                right = "the `id:` of an event of this stream, TASK:SEQ"
                raise RequestError(f"{key} has value {shorten(text)!r}, but must be {right}.")
            return TaskCursor(match[1], int(match[2]))
    return None
