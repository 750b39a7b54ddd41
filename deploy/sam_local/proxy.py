"""The way to `sam local start-api`: for a browser, with the page, and for containers, to the agents in others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Generator, Mapping

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from deploy.sam_local.invocations import Invocations
from local.site import FRONTEND, PageHeaders
from tailrace.network.cookies import no_cookies

_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# No time limit: sam ends containers that do not answer.
FOREVER = httpx.Timeout(None)
_HOP_BY_HOP = ("connection", "content-length", "transfer-encoding")
# Docker accepts connections for a container before its function listens. sam gives up after 0.7 s then, and answers
# 502, where Lambda would wait.
_TRIES = 5


class Proxy:
    """Forwards requests to `sam local start-api`. It returns whole responses, because sam does not stream."""

    def __init__(self, target: str) -> None:
        self._http = httpx.AsyncClient(base_url=target, timeout=FOREVER, trust_env=False, cookies=no_cookies())
        self.invocations = Invocations(self._http)

    async def pass_on(self, request: Request) -> Response:
        headers = [pair for pair in request.headers.raw if pair[0].decode() not in _HOP_BY_HOP]
        url = httpx.URL(path=request.url.path, query=request.url.query.encode())
        body = await request.body()
        try:
            for _ in range(_TRIES):
                answer = await self._http.request(request.method, url, headers=headers, content=body)
                if not _had_no_container(answer.status_code, answer.headers):
                    break
        except httpx.HTTPError as error:
            return Response(f"sam local start-api: {error or type(error).__name__}\n", 502)
        passed = Response(answer.content, answer.status_code)
        passed.raw_headers = [
            *(pair for pair in answer.headers.raw if pair[0].lower().decode() not in _HOP_BY_HOP),
            (b"content-length", str(len(answer.content)).encode()),
        ]
        return passed

    async def call_agent(self, request: Request) -> Response:
        """Pass a container's request on to an agent. While that one's container is not there, it has no room yet."""
        answer = await self.pass_on(request)
        if not _had_no_container(answer.status_code, answer.headers):
            return answer
        return Response(answer.body, 503, {"Retry-After": "1"}, media_type="application/json")

    def page(self, uploads: str) -> Starlette:
        """Return an app with the page and the API, as with CloudFront. `uploads` is the origin of uploads."""
        return Starlette(
            routes=[
                Route("/api/{rest:path}", self.pass_on, methods=_ALL_METHODS),
                Mount("/", PageHeaders(StaticFiles(directory=FRONTEND, html=True), uploads=uploads)),
            ]
        )

    def agents(self) -> Starlette:
        """Return an app with the agents, for the containers: to ask them, and to invoke them."""
        ask = Route("/agents/{rest:path}", self.call_agent, methods=_ALL_METHODS)
        return Starlette(routes=[ask, self.invocations.route])

    async def close(self) -> None:
        await self.invocations.close()
        await self._http.aclose()


def _had_no_container(status: int, headers: Mapping[str, str]) -> bool:
    """Whether this is sam's own answer for a container that did not answer."""
    return status == 502 and headers.get("content-type") == "application/json"


class _Server(uvicorn.Server):
    """Does not handle Ctrl-C, which `run` does."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
