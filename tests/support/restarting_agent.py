"""A sample agent as a process that is started again when it dies, and a client that reconnects to it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import msgspec

from tailrace.a2a.client import AgentClient, new_http
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.events import ends
from tests.support.events import artifact_text, body_of, metadata
from tests.support.fork_server import start_forked
from tests.support.leases import end_leases
from tests.support.processes import listen, url_of


class Process(Protocol):
    """A process, however it was started."""

    @property
    def pid(self) -> int: ...

    def send_signal(self, signal: int) -> None: ...

    async def wait(self) -> object: ...


# Starts the `app` of a module as a server on the socket; the variables are added to its environment.
Start = Callable[[socket.socket, str, Mapping[str, str]], Awaitable[Process]]


@dataclass
class RestartingAgent:
    """A process of the sample agent `name` on a socket that outlives it."""

    name: str
    folder: Path
    listener: socket.socket
    variables: dict[str, str]
    start: Start
    process: Process | None = None
    deaths: int = 0
    restarting: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"{url_of(self.listener)}/"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def run(self) -> None:
        """Start the process, and start another one whenever it ends."""
        while True:
            self.process = await self.start(self.listener, f"tests.sample_agents.{self.name}", self.variables)
            await self.process.wait()
            await asyncio.to_thread(end_leases, self.folder, self.pid)
            self.deaths += 1

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@contextlib.asynccontextmanager
async def restarting_agent(
    folder: Path, name: str = "killable", *, start: Start = start_forked, **variables: str
) -> AsyncIterator[RestartingAgent]:
    """Run the sample agent `name` until the block ends; `variables` are added to its environment.

    When its process dies, its leases end.
    """
    with listen() as listener:
        agent = RestartingAgent(name, folder, listener, {}, start)
        agent.variables = {
            "TAILRACE_RENEW_S": "0.2",
            "TAILRACE_DATA_DIR": str(folder),
            "TAILRACE_DISPATCH": f"{name}={agent.url}",
            **variables,
        }
        agent.restarting = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            agent.restarting.cancel()
            await asyncio.wait([agent.restarting])
            if agent.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    agent.process.send_signal(signal.SIGKILL)
                await agent.process.wait()


@dataclass
class Watched:
    """The events of a task, as seen by a client that reconnects with its cursor after each cut."""

    task_id: str = ""
    seqs: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The metadata of the events of a kind."""
        return [meta for meta in map(metadata, self.events) if meta["kind"] == kind]

    @property
    def state(self) -> str:
        states = [body_of(event)["status"]["state"] for event in self.events if "artifactUpdate" not in event]
        return str(states[-1])

    @property
    def said(self) -> str:
        """The message of the last change of state."""
        last = next(event["statusUpdate"] for event in reversed(self.events) if "statusUpdate" in event)
        return str(last["status"]["message"]["parts"][0]["text"])

    @property
    def response(self) -> str:
        return artifact_text(self.events)


async def watch(
    agent: RestartingAgent,
    text: str | dict[str, Any],
    *,
    watched: Watched | None = None,
    message_id: str = "m-1",
    context_id: str | None = None,
    via: RestartingAgent | None = None,
) -> Watched:
    """Send a text or a part, as a reply if `watched` has a task, and follow the task until it ends or waits.

    A new task has the `context_id`. The text is sent to `via` if there is one; after a cut the client reconnects to
    `agent`.
    """
    watched = watched or Watched()
    part = {"text": text} if isinstance(text, str) else text
    message: dict[str, Any] = {"messageId": message_id, "role": "ROLE_USER", "parts": [part]}
    if watched.task_id:
        message["taskId"] = watched.task_id
    if context_id:
        message["contextId"] = context_id
    async with new_http() as http, asyncio.timeout(300):  # hundreds of steps on a loaded machine
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
                    if over:  # SubscribeToTask would not end at a question
                        break
            except (AgentError, httpx.HTTPError):
                await asyncio.sleep(0.02)  # the process is being started again
    return watched
