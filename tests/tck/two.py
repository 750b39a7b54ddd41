"""The conformance suite's agent as two processes behind a proxy that alternates between them.

    PORT=9999 python -m tests.tck.two

So a task that one process starts is read, followed, answered and cancelled at the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import Iterator

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.support.processes import agent_of

# Headers of a connection, not of a request (RFC 9110, section 7.6.1).
_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade")


def proxy(http: httpx.AsyncClient, urls: list[str]) -> Starlette:
    """Forward requests to `urls` in turn, and stream the responses back."""
    turns = itertools.cycle(urls)

    async def forward(request: Request) -> Response:
        headers = [(name, value) for name, value in request.headers.raw if name.decode() not in _HOP]
        url = f"{next(turns)}{request.url.path}{'?' + request.url.query if request.url.query else ''}"
        forwarded = http.build_request(request.method, url, headers=headers, content=await request.body())
        answer = await http.send(forwarded, stream=True)
        response_headers = {name: value for name, value in answer.headers.items() if name not in _HOP}
        closing = BackgroundTask(answer.aclose)
        return StreamingResponse(answer.aiter_raw(), answer.status_code, response_headers, background=closing)

    return Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST", "DELETE"])])


class _Server(uvicorn.Server):
    """Does not handle signals: uvicorn's handlers would end the process before its children."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_at_port(app: Starlette) -> None:
    """Serve `app` on $PORT of loopback until SIGINT or SIGTERM."""
    port = int(os.environ["PORT"])
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, setattr, server, "should_exit", True)
    await server.serve()


async def main() -> None:
    async with (
        agent_of("tests.tck.agent") as one,
        agent_of("tests.tck.agent") as two,
        httpx.AsyncClient(timeout=None) as http,
    ):
        await serve_at_port(proxy(http, [one.rstrip("/"), two.rstrip("/")]))


if __name__ == "__main__":
    asyncio.run(main())
