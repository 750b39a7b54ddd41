"""A sample agent as a process that is started again when it dies, and a client that comes back to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tailrace.a2a.client import AgentClient, new_http
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.events import ends
from tests.support.events import body_of, metadata, report

ROOT = Path(__file__).parents[2]


@dataclass
class RestartingAgent:
    """A process of the sample agent `name` on a socket that outlives it."""

    name: str
    folder: Path
    listener: socket.socket
    environ: dict[str, str]
    process: asyncio.subprocess.Process | None = None
    deaths: int = 0
    keeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/"

    async def keep(self) -> None:
        while True:
            descriptor = str(self.listener.fileno())
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "uvicorn", f"tests.sample_agents.{self.name}:app", "--fd", descriptor),
                *("--log-level", "warning", "--timeout-graceful-shutdown", "1"),
                cwd=ROOT,
                env=self.environ,
                pass_fds=(self.listener.fileno(),),
            )
            await self.process.wait()
            self.deaths += 1

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@contextlib.asynccontextmanager
async def restarting_agent(folder: Path, name: str = "killable", **variables: str) -> AsyncIterator[RestartingAgent]:
    """The agent, until the block ends; with a short lease."""
    fast = {"TAILRACE_LEASE_S": "1", "TAILRACE_RENEW_S": "0.2"}
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        environ = {**os.environ, **fast, "TAILRACE_DATA_DIR": str(folder), **variables}
        kept = RestartingAgent(name, folder, listener, environ)
        environ.setdefault("TAILRACE_DISPATCH", f"{name}={kept.url}")
        kept.keeper = asyncio.create_task(kept.keep())
        try:
            yield kept
        finally:
            kept.keeper.cancel()
            if kept.process is not None and kept.process.returncode is None:
                kept.process.kill()
                await kept.process.wait()


@dataclass
class Watched:
    """A task's events as a client saw them that came back with its cursor after each cut."""

    task_id: str = ""
    seqs: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Our metadata of the events of a kind."""
        return [meta for meta in map(metadata, self.events) if meta["kind"] == kind]

    @property
    def state(self) -> str:
        states = [body_of(event)["status"]["state"] for event in self.events if "artifactUpdate" not in event]
        return str(states[-1])

    @property
    def said(self) -> str:
        """What the agent's last change of state said."""
        last = next(event["statusUpdate"] for event in reversed(self.events) if "statusUpdate" in event)
        return str(last["status"]["message"]["parts"][0]["text"])

    @property
    def report(self) -> str:
        return report(self.events)


async def watch(
    agent: RestartingAgent,
    text: str,
    *,
    watched: Watched | None = None,
    message_id: str = "m-1",
    via: RestartingAgent | None = None,
) -> Watched:
    """Send `text`, or come back to what was watched; follow the task until it ends or waits.

    The text is sent by way of another process if `via` says so; after a cut `agent` is asked.
    """
    watched = watched or Watched()
    message: dict[str, Any] = {"messageId": message_id, "role": "ROLE_USER", "parts": [{"text": text}]}
    if watched.task_id:
        message["taskId"] = watched.task_id
    async with new_http() as http, asyncio.timeout(60):
        url = (via or agent).url
        params: dict[str, Any] = {"message": message}
        method, over = "SendStreamingMessage", False
        while not over:
            last = watched.seqs[-1] if watched.seqs else 0
            client = AgentClient(http, url, owner="me", settings=Settings(agent_urls=url))
            try:
                async for group in client.stream(method, params, cursor=last):
                    for incoming in group:
                        assert incoming.seq is not None
                        watched.seqs.append(incoming.seq)
                        watched.events.append(msgspec.json.decode(incoming.json))
                        body = body_of(watched.events[-1])
                        watched.task_id = body.get("taskId") or body["id"]
                        url, method, params = agent.url, "SubscribeToTask", {"id": watched.task_id}
                        over = ends(incoming.json) is not None
                    if over:  # SubscribeToTask would go on past a question
                        break
            except (AgentError, httpx.HTTPError):
                await asyncio.sleep(0.02)  # between tries to reach a process that is being started
    return watched
