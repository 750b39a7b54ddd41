"""A gateway's front that a test can have spoil its streams: repeat events, and leave events out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable

import httpx
from serving import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

# How often an event is sent, by the cursor of the stream and the event's seq.
Times = Callable[[int, int], int]

_SEQ = re.compile(rb"^id: (\d+)$", re.MULTILINE)
_HOP_BY_HOP = ("connection", "transfer-encoding", "content-length", "content-encoding", "date")


class Doctor:
    """Passes everything on to `url`; of a stream, each event as often as `times` says."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=60)
        self.times: Times = lambda cursor, seq: 1
        self.url = ""

    async def forward(self, request: Request) -> StreamingResponse:
        headers = {"content-type": request.headers.get("content-type", "application/json")}
        there = self._http.build_request(
            request.method,
            str(request.url.replace(scheme="", netloc="")),
            headers=headers,
            content=await request.body(),
        )
        answer = await self._http.send(there, stream=True)
        streamed = answer.headers.get("content-type", "").startswith("text/event-stream")
        cursor = int(request.query_params.get("cursor", 0))
        chunks = self._doctored(answer, cursor) if streamed else answer.aiter_bytes()
        passed = {name: value for name, value in answer.headers.items() if name not in _HOP_BY_HOP}
        return StreamingResponse(chunks, answer.status_code, passed)

    async def _doctored(self, answer: httpx.Response, cursor: int) -> AsyncIterator[bytes]:
        rest = b""
        try:
            async for chunk in answer.aiter_raw():
                *frames, rest = (rest + chunk).split(b"\n\n")
                for frame in frames:
                    found = _SEQ.search(frame)
                    yield (frame + b"\n\n") * (self.times(cursor, int(found[1])) if found else 1)
        except httpx.HTTPError:
            return  # a cut is passed on as one
        finally:
            await answer.aclose()

    async def close(self) -> None:
        await self._http.aclose()


@contextlib.asynccontextmanager
async def doctoring(url: str) -> AsyncIterator[Doctor]:
    """A doctor in front of the gateway at `url`."""
    doctor = Doctor(url)
    app = Starlette(routes=[Route("/{path:path}", doctor.forward, methods=["GET", "POST"])])
    async with serve(app) as at:
        doctor.url = at
        yield doctor
    await doctor.close()
