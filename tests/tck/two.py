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
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

ROOT = Path(__file__).parents[2]
READY_S = 60
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


@contextlib.asynccontextmanager
async def process() -> AsyncIterator[str]:
    """Run the agent on a free port; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.tck.agent"), cwd=ROOT, env={**os.environ, "PORT": str(port)}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(READY_S), httpx.AsyncClient() as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    (await http.get(f"{url}/.well-known/agent-card.json")).raise_for_status()
                    break
                await asyncio.sleep(0.1)
        yield url
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


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
    async with process() as one, process() as two, httpx.AsyncClient(timeout=None) as http:
        await serve_at_port(proxy(http, [one, two]))


if __name__ == "__main__":
    asyncio.run(main())
