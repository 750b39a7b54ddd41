"""The conformance suite's agent as a Lambda function: our runtime under the emulator, behind its Function URL.

    PORT=9999 python -m tests.tck.on_lambda

Every request goes to any of the environments that is free, which are frozen in between; nothing is kept in memory.
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
    """The function, and DNS's part: the domain that its card names leads here. The card is changed instead."""

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
            # Nobody tells a function that its caller has gone, so the streams that the suite leaves behind each hold
            # an environment until they are rotated. It waits 10 s for an event at most.
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
        )
        async with function, httpx.AsyncClient(timeout=None) as http:
            await serve_at_port(front(http, function.url))


if __name__ == "__main__":
    asyncio.run(main())
