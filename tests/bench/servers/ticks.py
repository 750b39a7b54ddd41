"""An SSE app three ways, for what lies between it and a reader: `GET /<n>` sends n events, `PAUSE_S` apart, each with
the time it was sent (ns, monotonic).

`app` is Starlette's, `handler` the same as a function's handler, `fastapi_app` the same on FastAPI, as a web adapter
would start it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from mangum import Mangum
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

PAUSE_S = 0.005


async def ticks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"data: %d\n\n" % time.monotonic_ns()
        await asyncio.sleep(PAUSE_S)


async def stream(request: Request) -> StreamingResponse:
    return StreamingResponse(ticks(int(request.path_params["count"])), media_type="text/event-stream")


app = Starlette(routes=[Route("/{count:int}", stream)])
handler = Mangum(app, lifespan="off")


def fastapi_app() -> Any:
    """The same on FastAPI, which is imported only here: it is the peer's."""
    from fastapi import FastAPI

    served = FastAPI()
    served.add_api_route("/{count}", fastapi_stream)
    return served


async def fastapi_stream(count: int) -> StreamingResponse:
    return StreamingResponse(ticks(count), media_type="text/event-stream")
