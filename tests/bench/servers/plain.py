"""The limits: what uvicorn, Starlette, httpx and LangGraph do by themselves. No log, no cursor, no A2A.

Frames are as large as ours. `GET /graph/<n>`: n events of a graph, one chunk each. `GET /relay/<n>`: the same from
another such server (`BENCH_UPSTREAM`) through httpx. `GET /astream/<n>`: seconds that a graph takes for them in
process. `GET /paced`: one event every interval once the gate is open; `GET /paced-graph`: such events of a graph;
`GET /paced-relay`: these from the other server. `GET /replay/<k>`: the frames in the file `BENCH_FRAMES`, k a chunk.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypedDict

import httpx
import msgspec
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tailrace import events
from tailrace.events import Details, Source
from tests.bench.servers.pace import gate, open_gate, times

_ID = "00000000-0000-4000-8000-000000000000"
_SOURCE = Source(_ID, _ID, "orchestrator", 1)
# One for all streams, with as many connections as they need: what an author would write.
_http = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None))


class State(TypedDict, total=False):
    events: int
    asked: dict[str, Any]


async def work(state: State) -> State:
    write = get_stream_writer()
    for number in range(state["events"]):
        write({"text": "tick", "done": number})
        await asyncio.sleep(0)
    return {}


async def work_on_time(state: State) -> State:
    write, asked = get_stream_writer(), state["asked"]
    await gate(asked["gate"])
    async for due in times(asked["events"], asked["interval_s"], asked["phase"]):
        write({"text": "tick", "done": time.monotonic_ns(), "total": due})
    return {}


_graph = StateGraph(State).add_node("work", work).add_edge(START, "work").compile()
_on_time = StateGraph(State).add_node("work", work_on_time).add_edge(START, "work").compile()


def _frame(seq: int, details: Details) -> bytes:
    return b'id: %d\ndata: {"jsonrpc":"2.0","id":"%b","result":%b}\n\n' % (
        seq,
        _ID.encode(),
        events.status_update(_SOURCE, seq, "progress", details, text="tick"),
    )


async def graph(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        seq = 0
        async for data in _graph.astream({"events": request.path_params["n"]}, stream_mode="custom"):
            seq += 1
            yield _frame(seq, Details(step=_ID, done=data["done"]))

    return StreamingResponse(chunks(), media_type="text/event-stream")


def _relayed(path: str) -> Response:
    """The stream at the path of the other server, passed on."""

    async def chunks() -> AsyncIterator[bytes]:
        async with _http.stream("GET", f"{os.environ['BENCH_UPSTREAM']}{path}") as answer:
            async for chunk in answer.aiter_bytes():
                yield chunk

    return StreamingResponse(chunks(), media_type="text/event-stream")


async def relay(request: Request) -> Response:
    return _relayed(f"graph/{request.path_params['n']}")


async def astream(request: Request) -> Response:
    expected, count, start = request.path_params["n"], 0, time.perf_counter()
    async for _ in _graph.astream({"events": expected}, stream_mode="custom"):
        count += 1
    assert count == expected
    return PlainTextResponse(str(time.perf_counter() - start))


async def paced(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        asked = msgspec.json.decode(request.query_params["asked"])
        yield b"retry: 2000\n\n"
        await gate(asked["gate"])
        seq = 0
        async for due in times(asked["events"], asked["interval_s"], asked["phase"]):
            seq += 1
            yield _frame(seq, Details(step=_ID, done=time.monotonic_ns(), total=due))

    return StreamingResponse(chunks(), media_type="text/event-stream")


async def paced_graph(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        asked = msgspec.json.decode(request.query_params["asked"])
        yield b"retry: 2000\n\n"
        seq = 0
        async for data in _on_time.astream({"asked": asked}, stream_mode="custom"):
            seq += 1
            yield _frame(seq, Details(step=_ID, done=data["done"], total=data["total"]))

    return StreamingResponse(chunks(), media_type="text/event-stream")


async def paced_relay(request: Request) -> Response:
    return _relayed(f"paced-graph?{request.url.query}")


async def go(request: Request) -> Response:
    open_gate(request.path_params["name"])
    return PlainTextResponse("open")


_frames: dict[int, list[bytes]] = {}


def _cut(path: Path, together: int) -> list[bytes]:
    frames = [frame + b"\n\n" for frame in path.read_bytes().split(b"\n\n")[:-1]]
    return [b"".join(frames[at : at + together]) for at in range(0, len(frames), together)]


async def replay(request: Request) -> Response:
    together = request.path_params["k"]
    if together not in _frames:
        _frames[together] = _cut(Path(os.environ["BENCH_FRAMES"]), together)

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in _frames[together]:
            yield chunk

    return StreamingResponse(chunks(), media_type="text/event-stream")


async def ready(_: Request) -> Response:
    return PlainTextResponse("ready")


app = Starlette(
    routes=[
        Route("/", ready),
        Route("/graph/{n:int}", graph),
        Route("/relay/{n:int}", relay),
        Route("/astream/{n:int}", astream),
        Route("/paced", paced),
        Route("/paced-graph", paced_graph),
        Route("/paced-relay", paced_relay),
        Route("/gate/{name}", go, methods=["POST"]),
        Route("/replay/{k:int}", replay),
    ]
)
