"""Agents and a gateway behind real HTTP servers in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from langgraph.graph import StateGraph

from gateway.app import create_app
from tailrace import AgentApp, AgentCard, Skill
from tailrace.config import Settings
from tailrace.log import EventLog
from tailrace.log.memory import MemoryLog
from tailrace.log.sqlite import SQLiteLog
from tailrace.owner import DecideOwner
from tests.support.gateway import ALICE, System, header_owner
from tests.support.http import serve
from tests.support.jsonrpc import Agent

CARD = AgentCard(
    name="hello_world",
    description="Says hello, for tests.",
    version="1.2.3",
    skills=[Skill(id="talk", name="Talk", description="Says hello.", tags=["test"], examples=["hello"])],
)


def new_log() -> EventLog:
    """Make the log of an agent for which a test names none."""
    return MemoryLog()


@contextlib.asynccontextmanager
async def agent(
    graph: Any,
    *,
    log: EventLog | None = None,
    card: AgentCard = CARD,
    limit_s: float | None = 120,
    store: str = "memory",
    options: dict[str, Any] | None = None,
    listener: socket.socket | None = None,
    **settings: Any,
) -> AsyncIterator[Agent]:
    """Serve `graph` as an agent over HTTP, and fail after `limit_s`. `options` are passed to AgentApp.

    `store` keeps everything except the log. A fixture that outlives a test needs `limit_s=None`: another asyncio task
    closes it than the one that opened it, which a timeout does not allow.
    """
    log = log or new_log()
    app = AgentApp(graph, card, settings=Settings(log=store, **settings), log=log, **(options or {}))
    limit = contextlib.nullcontext() if limit_s is None else asyncio.timeout(limit_s)
    async with limit, serve(app, listener) as url, httpx.AsyncClient(timeout=60) as http:
        yield Agent(http, url, log)
    await log.close()


@contextlib.asynccontextmanager
async def system(
    builder: StateGraph[Any, Any, Any, Any],
    folder: Path,
    *,
    options: dict[str, Any] | None = None,
    decide_owner: DecideOwner = header_owner,
    **changes: Any,
) -> AsyncIterator[System]:
    """Serve `builder` as the orchestrator behind a gateway, with the environment's settings and these `changes`.

    `options` are passed to AgentApp, except `input_modes`, which the card gets.
    """
    settings = replace(Settings.load(), data_dir=str(folder), **changes)
    options = options or {}
    modes = {"input_modes": options.pop("input_modes")} if "input_modes" in options else {}
    card = AgentCard(name="orchestrator", description="For tests.", version="1", skills=[], **modes)
    log = SQLiteLog(folder / "log.sqlite3")
    async with serve(AgentApp(builder, card, settings=settings, **options)) as agent_url:
        gateway_settings = replace(settings, orchestrator_url=f"{agent_url}/")
        app = create_app(gateway_settings, log=log, decide_owner=decide_owner)
        async with (
            serve(app) as url,
            httpx.AsyncClient(base_url=url, headers=ALICE, timeout=60) as http,
        ):
            yield System(url, log, http)
    await log.close()
