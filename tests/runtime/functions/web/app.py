"""A typical function: Starlette behind Mangum."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

from mangum import Mangum
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route


async def gate(line):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["GATE"]))
    writer.write(f"{line}\n".encode())
    try:
        await reader.readexactly(1)
    finally:
        writer.transport.abort()


async def index(request: Request):
    response = JSONResponse(
        {
            "url": str(request.url),
            "cookies": request.cookies,
            "query": dict(request.query_params),
            "client": request.client and request.client.host,
            "body": (await request.body()).decode("latin-1"),
            "loop": id(asyncio.get_running_loop()),
            "opened": getattr(request.state, "opened", None),
            "remaining": request.scope["aws.context"].get_remaining_time_in_millis(),
        },
        background=BackgroundTask(print, "in the background"),
    )
    response.set_cookie("session", "s1", httponly=True)
    response.set_cookie("theme", "dark")
    return response


async def boom(request: Request):
    raise LookupError("boom")


async def endless(request: Request):
    async def chunks():
        try:
            yield b"first\n"
            await gate("streams")
            while True:
                yield b"." * 1024
                await asyncio.sleep(0)
        finally:
            print("the response was stopped")

    return StreamingResponse(chunks(), media_type="text/event-stream")


async def run(request: Request):
    """Responds at once; its run continues, also behind Mangum."""

    async def work():
        for step in ("runs", "runs on", "runs still"):
            await gate(step)
        print("the run is done")

    pending = getattr(request.scope.get("aws.context"), "pending", None)
    pending.add(asyncio.create_task(work()))
    return PlainTextResponse("accepted", 202)


@asynccontextmanager
async def lifespan(_: Starlette):
    print("opened")
    yield {"opened": True}
    print("closed")


app = Starlette(
    routes=[
        Route("/", index, methods=["GET", "POST"]),
        Route("/boom", boom),
        Route("/endless", endless),
        Route("/run", run, methods=["POST"]),
    ],
    lifespan=lifespan,
)
handler = Mangum(app, lifespan="off")
with_lifespan = Mangum(app)
