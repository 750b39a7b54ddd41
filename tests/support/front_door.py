"""A gateway that knows only machines with tokens, in front of an agent that is asked by nobody else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from deploy.tokens import make
from gateway.app import create_app
from tailrace.access.store import MemoryCredentials
from tailrace.config import Settings
from tailrace.log import EventLog
from tailrace.log.memory import MemoryLog
from tests.support.http import serve
from tests.support.in_process import CARD, agent
from tests.support.jsonrpc import Agent

RUN_SECRET = "correct-horse-battery-staple"


@dataclass
class FrontDoor:
    """`agent` is the agent at its own address; `url` is its address at the gateway."""

    url: str
    http: httpx.AsyncClient
    agent: Agent
    log: EventLog
    credentials: MemoryCredentials
    tokens: dict[str, str] = field(default_factory=dict)

    async def token(self, name: str = "ci", *scopes: str) -> str:
        """A token of this name, each time the same one."""
        if name not in self.tokens:
            made = await make(self.credentials, name, scopes or ("read", "write"), 1)
            self.tokens[name] = made.splitlines()[0]
        return self.tokens[name]

    async def bearer(self, name: str = "ci", *scopes: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {await self.token(name, *scopes)}"}


@contextlib.asynccontextmanager
async def front_door(
    graph: Any, *, log: EventLog | None = None, limit_s: float | None = 120, heartbeat_s: float = 15.0, **settings: Any
) -> AsyncIterator[FrontDoor]:
    """Serve `graph` as the default agent, `hello_world`, behind a gateway with these `settings`."""
    log, credentials = log or MemoryLog(), MemoryCredentials()
    async with agent(graph, log=log, run_secret=RUN_SECRET, limit_s=limit_s, heartbeat_s=heartbeat_s) as served:
        chosen = Settings(
            log="memory",
            orchestrator=CARD.name,
            orchestrator_url=f"{served.url}/",
            run_secret=RUN_SECRET,
            **settings,
        )
        app = create_app(chosen, log=log, credentials=credentials, decide_owner=lambda _: None)
        async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
            yield FrontDoor(f"{url}/agents/{CARD.name}", http, served, log, credentials)
