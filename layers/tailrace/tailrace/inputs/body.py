"""Reading a request's body, up to a limit."""

from __future__ import annotations

from starlette.requests import Request

from tailrace.errors import RequestTooLarge


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        RequestTooLarge: it has more than `limit` bytes; the rest was not read.
        starlette.requests.ClientDisconnect: the client is gone.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise RequestTooLarge("The request", int(declared), limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise RequestTooLarge("The request", None, limit)
        chunks.append(chunk)
    return b"".join(chunks)
