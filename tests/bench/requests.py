"""`requests`: how many requests to DynamoDB wait for each other before a user sees the first sign of the graph.

A gateway and an agent in one process, over moto, where each request takes at least a fixed time. Counted from the POST
that begins a task until the event with which the graph's first node starts is durable: the longest row of requests each
of which begins after the one before it has ended. On AWS each takes some milliseconds, and all else next to nothing.
Once for the first task of a context, and once for a later one.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import httpx
from botocore.client import BaseClient
from langgraph.graph import START, MessagesState, StateGraph

from gateway.app import create_app
from tailrace import AgentApp, AgentCard, write
from tailrace.agent.checkpoints.store import definition
from tailrace.config import Settings
from tailrace.log.table import create_table
from tests.bench.report import Aim, Report, say
from tests.support.fast_moto import moto_server
from tests.support.gateway import ALICE, header_owner
from tests.support.http import serve

# How long a request takes at least: long beside all that is between two of them.
_REQUEST_S = 0.2


class _Request(NamedTuple):
    began: float
    ended: float
    starts_node: bool


async def _work(state: MessagesState) -> None:
    await asyncio.sleep(_REQUEST_S)  # so that its start is an item by itself, which is small and not compressed
    write("done")


async def bench(folder: Path, runs: int) -> Report:
    first, later = list[float](), list[float]()
    builder = StateGraph(MessagesState)
    builder.add_node("work", _work)
    builder.add_edge(START, "work")
    card = AgentCard(name="orchestrator", description="Writes a word.", version="1", skills=[])
    with _slow_dynamodb() as (settings, requests):
        async with serve(AgentApp(builder, card, settings=settings)) as agent_url:
            app = create_app(replace(settings, orchestrator_url=f"{agent_url}/"), decide_owner=header_owner)
            async with serve(app) as url, httpx.AsyncClient(base_url=url, headers=ALICE, timeout=60) as http:
                await _one_after_the_other(http, requests, None)  # what is done once in a process
                for run in range(runs):
                    context_id, count = await _one_after_the_other(http, requests, None)
                    first.append(count)
                    later.append((await _one_after_the_other(http, requests, context_id))[1])
                    say(f"requests: run {run + 1} of {runs}")
    report = Report()
    report.add("requests in a row, first task of a context", "", first, aim=Aim("≤", 5))
    report.add("requests in a row, later task", "", later)
    return report


async def _one_after_the_other(
    http: httpx.AsyncClient, requests: list[_Request], context_id: str | None
) -> tuple[str, int]:
    """Run a task to its end. Return its context, and how many requests came in a row before its first node started."""
    requests.clear()
    message = {"parts": [{"text": "go"}], **({"contextId": context_id} if context_id else {})}
    task = (await http.post("/api/tasks", json={"message": message})).json()
    async with http.stream("GET", f"/api/stream/{task['id']}") as stream:
        async for _ in stream.aiter_bytes():
            pass
    at = min((each for each in requests if each.starts_node), key=lambda each: each.began)
    count = 1
    while before := [each for each in requests if each.ended <= at.began]:
        at, count = max(before, key=lambda each: each.ended), count + 1
    return str(task["contextId"]), count


@contextmanager
def _slow_dynamodb() -> Iterator[tuple[Settings, list[_Request]]]:
    """Settings for empty tables of a slow DynamoDB; and its requests, which are added when they have ended."""
    requests: list[_Request] = []
    call: Any = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001

    def slow(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        began = time.monotonic()
        time.sleep(_REQUEST_S)
        try:
            return call(client, operation, parameters)
        finally:
            starts_node = operation == "PutItem" and _starts_node(parameters["Item"])
            requests.append(_Request(began, time.monotonic(), starts_node))

    environ = dict(os.environ)
    names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        with moto_server() as endpoint:
            os.environ.update(names, AWS_ENDPOINT_URL_DYNAMODB=endpoint, AWS_EC2_METADATA_DISABLED="true")
            table, checkpoints = (f"{name}-{uuid.uuid4().hex[:12]}" for name in ("log", "checkpoints"))
            client = boto3.client("dynamodb")
            create_table(client, table)
            client.create_table(**definition(checkpoints))
            BaseClient._make_api_call = slow  # type: ignore[attr-defined]  # noqa: SLF001
            yield Settings(log="dynamodb", table=table, checkpoint_table=checkpoints), requests
    finally:
        BaseClient._make_api_call = call  # type: ignore[attr-defined]  # noqa: SLF001
        os.environ.clear()
        os.environ.update(environ)


def _starts_node(item: dict[str, Any]) -> bool:
    """Whether an item of the log, which is not compressed if it is small, has the start of a node."""
    return any(b'"kind":"node_start"' in value["B"] for value in item.values() if "B" in value)
