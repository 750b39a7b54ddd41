"""`checkpoints`: what a graph's checkpoints cost in DynamoDB, and whether a killed run goes on right. Needs Java.

A chain of 5 nodes, each of which adds 2 KB to the state that compressing does not make much smaller. Requests and
units are what DynamoDB Local, Amazon's own, says they took; units are 1 KB written or 4 KB read. Peer:
langgraph-checkpoint-aws on the same table. "Wrong after a kill": the run is killed before each of its requests in
turn, and resumed; how many of those runs come to another result than one that nobody killed.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import operator
import random
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, TypedDict

import boto3
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph

from tailrace.agent.checkpoints.dynamodb import DynamoDBSaver
from tailrace.agent.checkpoints.sqlite import open_sqlite
from tailrace.agent.checkpoints.store import definition
from tailrace.stores.dynamodb import new_client
from tests.bench.dynamodb import KilledError, Meter, local_dynamodb
from tests.bench.report import Aim, Report, say

_NODES = 5
_BYTES = 2_000
_DAY_S = 86_400
_PEER = "langgraph-checkpoint-aws"

# A saver, and the client that its requests go through.
Opened = tuple[BaseCheckpointSaver[Any], Any]
Open = Callable[[str], Awaitable[Opened]]


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]
    last: str


async def bench(folder: Path, runs: int) -> Report:
    figures: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    report = Report()
    logging.getLogger("langgraph_checkpoint_aws").setLevel(logging.CRITICAL)  # it tells of each write it does not find
    with local_dynamodb():
        table = _table()
        for run in range(runs):
            for name, open_saver in (("ours", _ours), ("peer", _peer)):
                await _measure(lambda what, value, name=name: figures[name, what].append(value), open_saver, table)
            async with open_sqlite(folder / "checkpoints.sqlite3", _DAY_S) as saver:
                figures["sqlite", "ms"].append(await _timed(saver))
            say(f"checkpoints: run {run + 1} of {runs}")
        for name, open_saver in (("ours", _ours), ("peer", _peer)):
            wrong, kills = await _wrong(open_saver, table)
            figures[name, "wrong"].append(wrong)
            report.notes.append(f"checkpoints: {'ours' if name == 'ours' else _PEER} was killed {kills} times.")
    for what, title, unit, aim in (
        ("requests", "checkpoints: requests a node", "", Aim("≤", 3)),
        ("written", "checkpoints: write units a node", "", None),
        ("resume", "checkpoints: requests to resume", "", None),
        ("read", "checkpoints: read units to resume", "", None),
        ("ms", "checkpoints: a node, saved", "ms", None),
        ("wrong", "checkpoints: wrong after a kill", "runs", Aim("=", 0)),
    ):
        report.add(title, unit, figures["ours", what], _PEER, figures["peer", what], aim)
    report.add("checkpoints: a node, saved in SQLite", "ms", figures["sqlite", "ms"])
    return report


async def _measure(note: Callable[[str, float], None], open_saver: Open, table: str) -> None:
    async with _opened(open_saver, table) as (saver, meter):
        note("ms", await _timed(saver))
        note("requests", meter.requests / _NODES)
        note("written", meter.written / _NODES)
    thread = str(uuid.uuid4())
    async with _opened(open_saver, table) as (saver, _):
        await _run(saver, thread)
    async with _opened(open_saver, table) as (saver, meter):
        await _chain().compile(checkpointer=saver).aget_state({"configurable": {"thread_id": thread}})
        note("resume", meter.requests)
        note("read", meter.read)


async def _wrong(open_saver: Open, table: str) -> tuple[int, int]:
    """How many runs end otherwise than they should, of how many killed before one of their requests."""
    async with _opened(open_saver, table) as (saver, meter):
        expected = await _run(saver, str(uuid.uuid4()))
        requests = meter.requests
    wrong = 0
    for number in range(1, requests):
        thread = str(uuid.uuid4())
        async with _opened(open_saver, table) as (saver, meter):
            meter.deadly = number
            with suppress(KilledError):
                await _run(saver, thread)
        async with _opened(open_saver, table) as (saver, _):
            wrong += await _run(saver, thread) != expected
    return wrong, requests - 1


async def _timed(saver: BaseCheckpointSaver[Any]) -> float:
    """Milliseconds a node, checkpoints and all."""
    start = time.perf_counter()
    await _run(saver, str(uuid.uuid4()))
    return (time.perf_counter() - start) * 1000 / _NODES


async def _run(saver: BaseCheckpointSaver[Any], thread: str) -> Any:
    """Run the chain to its end, from where it is."""
    chain = _chain().compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": thread}}
    begun = (await chain.aget_state(config)).created_at
    return await chain.ainvoke(None if begun else {"said": ["begun"]}, config, durability="sync")


def _chain() -> StateGraph[State]:
    def node(number: int) -> Any:
        noise = base64.b64encode(random.Random(number).randbytes(_BYTES)).decode()[:_BYTES]

        async def add(_: State) -> State:
            return {"said": [noise], "last": f"node {number}"}

        return add

    names = [f"node {number}" for number in range(_NODES)]
    nodes = [(name, node(number)) for number, name in enumerate(names)]
    return StateGraph(State).add_sequence(nodes).add_edge(START, names[0])


@asynccontextmanager
async def _opened(open_saver: Open, table: str) -> AsyncIterator[tuple[BaseCheckpointSaver[Any], Meter]]:
    saver, client = await open_saver(table)
    try:
        yield saver, Meter(client)
    finally:
        if isinstance(saver, DynamoDBSaver):
            await saver.close()
        else:
            client.close()


async def _ours(table: str) -> Opened:
    client = await asyncio.to_thread(new_client, 8)
    return DynamoDBSaver(table, lifetime_s=8 * _DAY_S, refresh_s=7 * _DAY_S, client=client), client


async def _peer(table: str) -> Opened:
    from langgraph_checkpoint_aws import DynamoDBSaver as Peer

    saver = Peer(table, ttl_seconds=8 * _DAY_S)
    return saver, saver.client


def _table() -> str:
    name = f"checkpoints-{uuid.uuid4().hex[:12]}"
    boto3.client("dynamodb").create_table(**definition(name))
    return name
