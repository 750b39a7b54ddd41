"""The conformance suite's agent as a Lambda function: our runtime under the emulator, behind its Function URL.

    PORT=9999 python -m tests.tck.on_lambda

Every request goes to any free environment. Environments are frozen between requests, so nothing can stay in memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from tests.runtime.conftest import build_layer
from tests.runtime.emulator import Emulator
from tests.tck.two import proxy, serve_at_port

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = 24
CARD = "/.well-known/agent-card.json"


def front(http: httpx.AsyncClient, url: str) -> Starlette:
    """Forward requests to the function, and replace the domain in its card by this address, in place of DNS."""

    async def card(request: Request) -> Response:
        document = (await http.get(f"{url}{CARD}")).json()
        domain = document["supportedInterfaces"][0]["url"].rstrip("/")
        here = str(request.base_url).rstrip("/")
        headers = {"Cache-Control": "max-age=300", "ETag": '"tck"', "Last-Modified": "Sun, 22 Nov 2026 00:00:00 GMT"}
        return Response(json.dumps(document).replace(domain, here), media_type="application/json", headers=headers)

    return Starlette(routes=[Route(CARD, card), Mount("/", proxy(http, [url]))])


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        layer = build_layer(Path(folder) / "opt", sys.executable)
        environ = {
            "TAILRACE_DATA_DIR": f"{folder}/data",
            "TAILRACE_PUSH_INTERNAL": "1",
            # A function does not notice a disconnected caller, so each stream that the suite abandons occupies an
            # environment until it is rotated. The suite waits at most 10 s for an event.
            "TAILRACE_ROTATE_S": "12",
        }
        if "TCK_CARD" in os.environ:
            environ["TCK_CARD"] = os.environ["TCK_CARD"]
        function = Emulator(
            layer,
            ROOT,
            "tests.tck.function.handler",
            python=sys.executable,
            environ=environ,
            environments=ENVIRONMENTS,
            timeout_s=900,
            forked=True,
        )
        async with function, httpx.AsyncClient(timeout=None) as http:
            await serve_at_port(front(http, function.url))


if __name__ == "__main__":
    asyncio.run(main())
