"""All functions as on Lambda: each has its own environments and its own Function URL.

Real bootstraps run as real processes, are frozen between invocations, and share the log. `front` stands for CloudFront,
which serves the page and the API at one address.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tailrace.aws import VIEWER_HOST
from tests.runtime.emulator import Emulator
from tests.runtime.events import DOMAIN
from tests.support.http import serve

ROOT = Path(__file__).parents[2]
SECRET = "correct-horse-battery-staple"
# A viewer occupies an environment while it watches; so does a run.
_ENVIRONMENTS = 6


@contextlib.asynccontextmanager
async def bundle(layer: Path, folder: Path, **variables: str) -> AsyncIterator[str]:
    """Start every function and yield the gateway's Function URL. All functions get `variables`."""
    shared = {"TAILRACE_DATA_DIR": str(folder), **variables}
    async with contextlib.AsyncExitStack() as stack:

        async def function(name: str, **own: str) -> str:
            emulator = Emulator(
                layer,
                ROOT / "functions",
                f"{name}.handler.handler",
                python=sys.executable,
                environ={**shared, **own},
                environments=_ENVIRONMENTS,
                forked=True,
            )
            return (await stack.enter_async_context(emulator)).url

        analysts = {name: await function(name) for name in ("log_analyst", "metric_analyst")}
        cards = await stack.enter_async_context(serve(names(analysts)))
        urls = ",".join(f"{cards}/{name}.json" for name in analysts)
        shared["TAILRACE_AGENT_URLS"] = ",".join(analysts.values())
        orchestrator = await function("orchestrator", TAILRACE_SPECIALIST_URLS=urls)
        yield await function(
            "gateway",
            TAILRACE_ORCHESTRATOR_URL=f"{orchestrator}/",
            TAILRACE_SPECIALIST_URLS=urls,
            TAILRACE_ACCESS_SECRET=SECRET,
            TAILRACE_PADDING_BYTES="2048",
            TAILRACE_FLUSH_MS="80",
        )


def names(functions: dict[str, str]) -> Starlette:
    """Replace the domain in a function's card by its loopback address, as DNS would lead to it."""

    async def card(request: Request) -> Response:
        url = functions[request.path_params["name"]]
        async with httpx.AsyncClient(timeout=60) as http:
            document = (await http.get(f"{url}/.well-known/agent-card.json")).text
        return Response(document.replace(f"https://{DOMAIN}", url), media_type="application/json")

    return Starlette(routes=[Route("/{name}.json", card)])


def front(gateway: str) -> Starlette:
    """Return an app with the page that forwards `/api/*` to the gateway, as CloudFront does."""
    http = httpx.AsyncClient(base_url=gateway, timeout=60)

    async def pass_on(request: Request) -> StreamingResponse:
        headers = {key: value for key, value in request.headers.items() if key != "host"}
        headers[VIEWER_HOST] = request.headers["host"]  # as the CloudFront function does (template.yaml)
        if "origin" in headers:  # CloudFront serves only TLS
            headers["origin"] = headers["origin"].replace("http://", "https://")
        path = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        forwarded = http.build_request(request.method, path, headers=headers, content=await request.body())
        answer = await http.send(forwarded, stream=True)
        kept = {key: value for key, value in answer.headers.items() if key in ("content-type", "cache-control")}
        return StreamingResponse(passed_on(answer), answer.status_code, kept)

    async def passed_on(answer: httpx.Response) -> AsyncIterator[bytes]:
        async with contextlib.aclosing(answer):
            async for chunk in answer.aiter_raw():
                yield chunk

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with http:
            yield

    return Starlette(
        routes=[
            Route("/api/{path:path}", pass_on, methods=["GET", "POST"]),
            Mount("/", StaticFiles(directory=ROOT / "frontend", html=True)),
        ],
        lifespan=lifespan,
    )
