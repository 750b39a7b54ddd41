"""Requests of the benchmarks: a task at our gateway, and a stream of the SDK's server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tests.bench.client import Connection, Sink
from tests.bench.report import BenchError
from tests.bench.sinks import Counter, Watch
from tests.support.events import message
from tests.support.jsonrpc import rpc

_AT_ONCE = 16


async def post_task(gateway: Connection, **asked: Any) -> str:
    """Create a task that does what `asked` says (see `servers/agent.py`); return its id."""
    answer = await gateway.ask("POST", "/api/tasks", body={"message": {"parts": [{"data": asked}]}})
    return str(answer.json()["id"])


async def one_by_one(gateway: Connection, tasks: int) -> tuple[list[float], list[float]]:
    """Create tasks one after another, each when the last has ended.

    Returns for each the time from its POST to its first event at the client, and to the first of its graph, in ms.
    """
    first, graph = list[float](), list[float]()
    for _ in range(tasks):
        watch, start = Watch(b"id: 1\n", b'"kind":"progress"'), time.monotonic_ns()
        task_id = await post_task(gateway, events=1)
        await gateway.ask("GET", f"/api/stream/{task_id}", sink=watch)
        first.append((watch.seen[b"id: 1\n"] - start) / 1e6)
        graph.append((watch.seen[b'"kind":"progress"'] - start) / 1e6)
    return first, graph


async def stream_sdk(sdk: Connection, events: int, sink: Sink) -> None:
    """Send SendStreamingMessage to the SDK's server, and read its stream to the end."""
    request = rpc("SendStreamingMessage", {"message": message(str(events))})
    await sdk.ask("POST", "/", 120, body=request, headers={"A2A-Version": "1.0"}, sink=sink)


async def until(counters: Sequence[Counter], count: int, timeout_s: float) -> None:
    """Wait until every stream has `count` events; raise `BenchError` after `timeout_s`."""
    give_up = time.monotonic() + timeout_s
    while behind := sum(counter.count < count for counter in counters):
        if time.monotonic() > give_up:
            raise BenchError(
                f"{behind} of {len(counters)} streams had fewer than {count} events after {timeout_s:.0f} s."
            )
        await asyncio.sleep(0.01)


async def some_at_once(work: Callable[[int], Awaitable[None]], count: int) -> None:
    """Run `work(0)` to `work(count - 1)`, a few at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))
