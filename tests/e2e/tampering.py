"""A proxy in front of a gateway that repeats and leaves out events of its streams."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.support.http import serve
from tests.support.processes import Stack

# How many copies of an event are sent, by the cursor of the stream and the event's seq.
Copies = Callable[[int, int], int]

_SEQ = re.compile(rb"^id: (\d+)$", re.MULTILINE)
_HOP_BY_HOP = ("connection", "transfer-encoding", "content-length", "content-encoding", "date")


class TamperingProxy:
    """Passes requests on to `target`, which lets it in, and sends each event of a stream as often as `copies` says."""

    def __init__(self, target: Stack) -> None:
        self._http = target.client()
        self.copies: Copies = lambda cursor, seq: 1
        self.url = ""

    async def forward(self, request: Request) -> StreamingResponse:
        forwarded = self._http.build_request(
            request.method,
            str(request.url.replace(scheme="", netloc="")),
            headers={"content-type": request.headers.get("content-type", "application/json")},
            content=await request.body(),
        )
        response = await self._http.send(forwarded, stream=True)
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        cursor = int(request.query_params.get("cursor", 0))
        chunks = self._tamper(response, cursor) if is_stream else response.aiter_bytes()
        headers = {name: value for name, value in response.headers.items() if name not in _HOP_BY_HOP}
        return StreamingResponse(chunks, response.status_code, headers)

    async def _tamper(self, response: httpx.Response, cursor: int) -> AsyncIterator[bytes]:
        rest = b""
        try:
            async for chunk in response.aiter_raw():
                *frames, rest = (rest + chunk).split(b"\n\n")
                for frame in frames:
                    seq = _SEQ.search(frame)
                    yield (frame + b"\n\n") * (self.copies(cursor, int(seq[1])) if seq else 1)
        except httpx.HTTPError:
            return  # the gateway cut the stream: so does the proxy
        finally:
            await response.aclose()

    async def close(self) -> None:
        await self._http.aclose()


@contextlib.asynccontextmanager
async def tampering(target: Stack) -> AsyncIterator[TamperingProxy]:
    """Start a proxy in front of the gateway at `target`."""
    proxy = TamperingProxy(target)
    app = Starlette(routes=[Route("/{path:path}", proxy.forward, methods=["GET", "POST"])])
    async with serve(app) as url:
        proxy.url = url
        yield proxy
    await proxy.close()
