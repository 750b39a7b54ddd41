"""A route of the API that describes itself: what answers a request is also what `/api/openapi.json` tells (openapi.py).

    ApiRoute("/api/tasks", GET=Operation(self.list, "List your tasks.", answers=TaskPage, query=PAGE),
                           POST=Operation(self.create, "Begin a task.", takes=TaskBody, answers=Begun, status=201))

All methods of a path are one route, so that a 405 names them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tailrace.stream import sse

Handler = Callable[[Request], Awaitable[Response]]


class Parameter(msgspec.Struct, frozen=True):
    """A parameter that may be left out: in the query, or a header. `kind` is the type of its value."""

    name: str
    about: str
    kind: Any = str
    place: Literal["query", "header"] = "query"


class Operation(msgspec.Struct, frozen=True):
    """What a route does with one method.

    `handler` answers, and `does` says so in a sentence. `takes` is the type of the JSON in the body, and `answers` that
    of an answer's, which has the `status`; None if there is no body. `media_type` is the answer's, if it is not JSON.
    `also` has what other statuses mean than those that follow from the rest; "" is what they mean everywhere. An
    `is_open` one needs no credential.
    """

    handler: Handler
    does: str
    takes: Any = None
    answers: Any = None
    status: int = 200
    parameters: tuple[Parameter, ...] = ()
    also: Mapping[int, str] = {}
    media_type: str = "application/json"
    is_open: bool = False


class ApiRoute(Route):
    """The route of a path, with an `Operation` for each method. A HEAD is answered like its GET."""

    def __init__(self, path: str, **operations: Operation) -> None:
        self.operations = operations
        super().__init__(path, _Answering(operations), methods=list(operations))


class _Answering:
    """An ASGI app. Starlette's own for a function looks for errors once more, in all that a stream sends."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        method = "GET" if request.method == "HEAD" else request.method
        response = await self._operations[method].handler(request)
        await response(scope, receive, send)


# What a text is that may not be empty. The types that have it say so themselves, with the place.
NOT_EMPTY = msgspec.Meta(extra_json_schema={"minLength": 1})
# The parameters of every list in pages, and of every stream.
PAGE = (
    Parameter("pageSize", "How many of them, 20 by default.", Annotated[int, msgspec.Meta(ge=1, le=100)]),
    Parameter("pageToken", "The `nextPageToken` of the page before."),
)
_SEQ = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,15}$")]
CURSOR = (
    Parameter("Last-Event-ID", "The last `id:` that you have.", _SEQ, "header"),
    Parameter("cursor", "The same, for who cannot send the header.", _SEQ),
)
STREAM = sse.MEDIA_TYPE
