"""A sample agent, the gateway and the sweeper as on Lambda, which dispatch by the Invoke API; and their viewers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tailrace.a2a.client import AgentClient, new_http
from tailrace.config import Settings
from tailrace.events import state_of
from tailrace.log import Batch, Head
from tailrace.log.sqlite import SQLiteLog
from tailrace.owner import OWNER_HEADER
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import End, follow
from tailrace.stream.sse import Parser
from tests.runtime.bundle import ROOT, SECRET
from tests.runtime.emulator import Emulator
from tests.runtime.events import function_url_event
from tests.runtime.invoke_api import InvokeApi
from tests.runtime.sandbox import Environment
from tests.support.freezing import freeze, is_stopped
from tests.support.gateway import Seen
from tests.support.http import serve
from tests.support.jsonrpc import rpc
from tests.support.leases import end_leases

SCHEDULED = json.loads((ROOT / "events" / "sweeper-schedule.json").read_text())
# How long a test waits between two sweeps: each costs three processes CPU time.
_SWEEP_S = 0.1
# No lease expires on a busy machine: a test ends it, or has SHORT_LEASES to wait for that.
_CALM = {"TAILRACE_LEASE_S": "60", "TAILRACE_RENEW_S": "0.2", "TAILRACE_HEARTBEAT_S": "0.3", "TAILRACE_RETRY_MS": "0"}
# For a run whose environment is killed. Longer than a busy machine makes a living one wait.
SHORT_LEASES = {"TAILRACE_LEASE_S": "5"}
_AWS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass
class Stage:
    """The functions and their log. The agent reads from files in `folder` where it has to die."""

    agent: Emulator
    gateway: Emulator
    sweeper: Emulator
    api: InvokeApi
    http: httpx.AsyncClient
    log: SQLiteLog
    folder: Path

    async def post(self, text: str) -> str:
        """Create a task; return its id."""
        created = await self.http.post("/api/tasks", json={"message": {"parts": [{"text": text}]}})
        assert created.status_code == 201, created.text
        return str(created.json()["id"])

    async def reply(self, task_id: str, text: str) -> int:
        """Send a reply; return the status."""
        body = {"message": {"parts": [{"text": text}]}}
        return (await self.http.post(f"/api/tasks/{task_id}/messages", json=body)).status_code

    async def log_has(self, task_id: str, state: str) -> None:
        """Wait until the task's newest event puts it into this state. This makes nobody run it."""
        async with asyncio.timeout(60):
            while (newest := await self.log.newest(task_id)) is None or state_of(newest) != state:
                await asyncio.sleep(0.01)

    async def watch(self, task_id: str) -> Seen:
        """Read the stream like a browser, which resumes with its cursor after each cut, until it ends."""
        seen = Seen()
        async with asyncio.timeout(90):
            while not seen.ended:
                with contextlib.suppress(httpx.TransportError):
                    await self._read(task_id, seen)
        return seen

    async def _read(self, task_id: str, seen: Seen) -> None:
        parser, headers = Parser(), {"Last-Event-ID": str(seen.seqs[-1])} if seen.seqs else {}
        async with self.http.stream("GET", f"/api/stream/{task_id}", headers=headers) as answer:
            assert answer.status_code in (200, 502), await answer.aread()
            async for chunk in answer.aiter_bytes():
                for message in parser.feed(chunk):
                    seen.add(message)

    async def logged(self, task_id: str) -> Seen:
        """Read the log to the task's end, without making anybody run the task."""
        seen = Seen()
        async with asyncio.timeout(60):
            async for item in follow(self.log, Feeds(self.log, Settings()), task_id, 0, idle_s=60):
                if isinstance(item, Batch):
                    for seq, event in enumerate(item.events, item.seq):
                        seen.seqs.append(seq)
                        seen.events.append(json.loads(event))
                elif isinstance(item, End):
                    seen.controls.append(("end", {"state": item.state}))
        return seen

    async def look_in_and_leave(self, task_id: str) -> None:
        """Open the agent's stream and the gateway's; close each after its first event."""
        call = rpc("SubscribeToTask", {"id": task_id})
        headers = {
            "a2a-version": "1.0",
            "accept": "text/event-stream",
            OWNER_HEADER: (await self.log.head(task_id)).owner,
        }
        async with httpx.AsyncClient(timeout=60) as http:
            async with http.stream("POST", f"{self.agent.url}/", json=call, headers=headers) as answer:
                assert "data:" in await anext(answer.aiter_text())
            async with self.http.stream("GET", f"/api/stream/{task_id}") as answer:
                await anext(answer.aiter_text())

    async def card(self) -> httpx.Response:
        async with httpx.AsyncClient(timeout=60) as http:
            return await http.get(f"{self.agent.url}/.well-known/agent-card.json")

    async def sweep(self) -> int:
        """Sweep once; return how many tasks were dispatched."""
        result = await self.sweeper.invoke(SCHEDULED)
        assert result.error is None, result.error
        return int(result.json["dispatched"])

    async def sweep_until_one_is_found(self) -> None:
        async with asyncio.timeout(60):
            while not await self.sweep():
                await asyncio.sleep(_SWEEP_S)

    async def sweep_until(self, task_id: str, state: str) -> None:
        """Sweep until the task has this state."""
        async with asyncio.timeout(60):
            while (await self.log.head(task_id)).state != state:
                await self.sweep()
                await asyncio.sleep(_SWEEP_S)

    async def send(self, params: dict[str, Any]) -> str:
        """Send the agent a message without waiting for its run; return the task's id."""
        params["configuration"]["returnImmediately"] = True
        async with new_http() as http:
            client = AgentClient(http, self.agent.url, owner="me", settings=Settings(agent_urls=self.agent.url))
            sent = await client.call("SendMessage", params)
        return str(sent["task"]["id"])

    async def stands_still(self) -> Environment:
        """Wait until the agent stands still where a file says so; return its environment."""
        async with asyncio.timeout(60):
            while not (self.folder / "standing").exists():
                await asyncio.sleep(0.01)
        (self.folder / "standing").unlink()
        return self.working()

    def working(self) -> Environment:
        """Return the only environment of the agent that has an invocation."""
        (working,) = [each for each in self.agent.environments if each.phase == "ready" and not each.waiting]
        return working

    async def end_leases(self) -> None:
        """Let the leases of the agent's environments that are gone run out now."""
        for each in self.agent.environments:
            if each.phase == "gone":
                await asyncio.to_thread(end_leases, self.folder, each.process.pid)

    async def orphaned(self, task_id: str) -> Head:
        """Wait until nobody holds the task's lease; return its head."""
        async with asyncio.timeout(60):
            while not (head := await self.log.head(task_id)).orphaned(self.log.now()):
                await asyncio.sleep(0.01)
        return head

    async def asleep(self, task_id: str) -> Head:
        """Wait until the task sleeps; return its head."""
        async with asyncio.timeout(60):
            while not (head := await self.log.head(task_id)).asleep(self.log.now()):
                await asyncio.sleep(0.01)
        return head

    async def freeze(self, environment: Environment) -> None:
        """Stop the environment's process as Lambda freezes it."""
        await freeze(environment.process.pid, self.folder)

    async def all_idle(self) -> None:
        """Return when every living environment waits for an invocation, and is frozen."""
        for environment in (*self.agent.environments, *self.gateway.environments, *self.sweeper.environments):
            await environment.until(lambda e: e.idle or e.phase == "gone")
            if environment.phase != "gone":
                await frozen(environment)


async def frozen(environment: Environment) -> None:
    """Return when the environment waits for an invocation, and its process is stopped."""
    await environment.until(lambda e: e.idle)
    async with asyncio.timeout(60):
        while not is_stopped(environment.process.pid):
            await asyncio.sleep(0.005)


def event_with_own_host(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> dict[str, Any]:
    """The event of a Function URL, but with the host that the caller has named, by HTTP."""
    headers = list(headers)
    event = function_url_event(method, target, headers, body)
    (host,) = (value for name, value in headers if name.lower() == "host")
    event["headers"] |= {"host": host, "x-forwarded-proto": "http", "x-forwarded-port": host.partition(":")[2]}
    return event


@contextlib.asynccontextmanager
async def stage(
    layer: Path, folder: Path, agent: str, *, limit_s: float = 60, reachable: bool = False, **variables: str
) -> AsyncIterator[Stage]:
    """Run `agent` behind a gateway.

    `limit_s` is the time limit of an invocation in seconds; every function gets `variables`. With `reachable`, the
    agent's card has its address on this machine, and the agent knows it, so that it can ask itself.
    """
    api = InvokeApi()
    async with contextlib.AsyncExitStack() as stack:
        invoke_url = await stack.enter_async_context(serve(api.app))
        shared = {
            **_AWS,
            **_CALM,
            "TAILRACE_DATA_DIR": str(folder),
            "AWS_ENDPOINT_URL_LAMBDA": invoke_url,
            **variables,
        }

        async def function(
            name: str,
            task_root: Path,
            handler: str,
            event: Callable[..., dict[str, Any]] = function_url_event,
            **own: str,
        ) -> Emulator:
            environ = {**shared, "AWS_LAMBDA_FUNCTION_NAME": name, **own}
            emulator = Emulator(
                *(layer, task_root, handler),
                python=sys.executable,
                environ=environ,
                environments=1 if name == "sweeper" else 8,
                timeout_s=limit_s,
                event=event,
                forked=True,
            )
            api.functions[name] = await stack.enter_async_context(emulator)
            return emulator

        event = event_with_own_host if reachable else function_url_event
        sample = await function(agent, ROOT, "tests/runtime/functions/sample/app.handler", event, SAMPLE=agent)
        if reachable:
            sample.knows(TAILRACE_AGENT_URLS=sample.url)
        dispatch = f"{agent}=arn:aws:lambda:us-east-1:123456789012:function:{agent}:live"
        gateway = await function(
            "gateway",
            ROOT / "functions",
            "gateway.handler.handler",
            TAILRACE_ORCHESTRATOR=agent,
            TAILRACE_ORCHESTRATOR_URL=f"{sample.url}/",
            TAILRACE_ACCESS_SECRET=SECRET,
            TAILRACE_DISPATCH=dispatch,
        )
        sweeper = await function("sweeper", ROOT / "functions", "sweeper.handler.handler", TAILRACE_DISPATCH=dispatch)
        headers = {"x-tailrace-secret": SECRET}
        http = httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=60)
        log = SQLiteLog(folder / "log.sqlite3")
        stack.push_async_callback(log.close)
        await stack.enter_async_context(http)
        stack.push_async_callback(api.close)
        yield Stage(sample, gateway, sweeper, api, http, log, folder)
