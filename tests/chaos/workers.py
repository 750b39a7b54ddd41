"""The functions as real processes that can be killed and stopped, behind proxies that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from local.functions import listen
from tests.chaos.control import Control
from tests.chaos.http import Broken, call
from tests.chaos.proxy import Proxy, proxy
from tests.chaos.waits import Waits

ROOT = Path(__file__).parents[2]
# Two processes of a function share its socket, as Lambda has several: one can take over while the other is stopped.
WORKERS = {"gateway": 2, "orchestrator": 2, "specialist_one": 2, "specialist_two": 1, "sweeper": 1}
_READY_S = 60.0
# No lease ends, and no attempt is over, only because the machine is busy.
_CALM = {"TAILRACE_LEASE_S": "60", "TAILRACE_RENEW_S": "1", "TAILRACE_ATTEMPT_S": "0"}


@dataclass
class Worker:
    """A slot for a process of a function. `pid` is 0 while no process runs."""

    name: str
    function: str
    control: Control
    pid: int = 0
    stopped: bool = False
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Workers:
    """All workers, and the proxies between them."""

    def __init__(self, folder: Path, variables: dict[str, str], imported: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self._variables = variables
        # Variables that have other values until `unsettle`.
        self._calm = _CALM
        # Modules that the parent imports for all workers, besides those that it always imports.
        self._imported = imported
        self._listeners = {name: listen(0) for name in WORKERS if name != "sweeper"}
        self.workers = [
            Worker(f"{name}-{number}", name, Control(folder / f"{name}-{number}.control"))
            for name, count in WORKERS.items()
            for number in range(count)
        ]
        # By client: browsers to the gateway, the gateway to its agent, the agent to its specialists.
        self.links: dict[str, list[Proxy]] = {}
        self._parent: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        # Descriptions of processes that ended although this harness did not kill them.
        self.died: list[str] = []
        self._killed: dict[int, Worker] = {}
        self._waits = Waits()

    def waited_s(self) -> float:
        """How long they have waited for a processor (`Waits.longest_s`)."""
        return self._waits.longest_s({worker.pid for worker in self.workers if worker.pid})

    @property
    def agent_port(self) -> int:
        """The port of the orchestrator without a proxy."""
        return self._port("orchestrator")

    def of(self, function: str) -> list[Worker]:
        return [worker for worker in self.workers if worker.function == function]

    async def kill(self, workers: list[Worker]) -> dict[int, Worker]:
        """Send SIGKILL to all of them that run, and wait until they have ended; return them by process id."""
        victims = {worker.pid: worker for worker in workers if worker.pid}
        self._killed.update(victims)
        for pid, worker in victims.items():
            worker.ended.clear()
            worker.started.clear()
            os.kill(pid, signal.SIGKILL)
            worker.pid, worker.stopped = 0, False
        await asyncio.gather(*(worker.ended.wait() for worker in victims.values()))
        return victims

    async def unsettle(self) -> None:
        """From now on leases and attempts are as short as the variables say: all processes are replaced."""
        self._calm = {}
        await self.restart(await self.kill(self.workers))
        await self.ready()

    async def restart(self, victims: dict[int, Worker]) -> None:
        """Start new processes for the workers that were killed, and wait until they run."""
        for worker in victims.values():
            self._start(worker)
        await asyncio.gather(*(worker.started.wait() for worker in victims.values()))

    def stop(self, worker: Worker) -> None:
        """Send SIGSTOP: the process stops and does not notice it."""
        if worker.pid:
            os.kill(worker.pid, signal.SIGSTOP)
            worker.stopped = True

    def go_on(self, worker: Worker) -> None:
        """Send SIGCONT: the process continues where it was stopped."""
        if worker.pid and worker.stopped:
            os.kill(worker.pid, signal.SIGCONT)
            worker.stopped = False

    def heal(self) -> None:
        """End all faults: nothing more fails, and every stopped process and connection continues."""
        for worker in self.workers:
            worker.control.heal()
            self.go_on(worker)
        for proxies in self.links.values():
            for between in proxies:
                between.go_on()

    def spoiled(self) -> int:
        """How many calls of the store have failed so far because of faults."""
        return sum(worker.control.get("spoiled") for worker in self.workers)

    async def ready(self) -> None:
        """Return when every function answers."""
        for name in self._listeners:
            port = self._port(name)
            path = "/api/health" if name == "gateway" else "/.well-known/agent-card.json"
            async with asyncio.timeout(_READY_S):
                while True:
                    with contextlib.suppress(Broken):
                        if (await call(port, "GET", path, timeout_s=5))[0] == 200:
                            break
                    await asyncio.sleep(0.05)

    def _port(self, function: str) -> int:
        port: int = self._listeners[function].getsockname()[1]
        return port

    def _start(self, worker: Worker) -> None:
        assert self._parent is not None
        assert self._parent.stdin is not None
        listener = self._listeners.get(worker.function)
        descriptor = -1 if listener is None else listener.fileno()
        variables = {**self._variables, **self._calm}
        order = {"worker": worker.name, "name": worker.function, "fd": descriptor, "variables": variables}
        self._parent.stdin.write(json.dumps(order).encode() + b"\n")

    async def _listen(self, ready: asyncio.Event) -> None:
        """Follow the messages of the parent of the workers."""
        assert self._parent is not None
        assert self._parent.stdout is not None
        by_name = {worker.name: worker for worker in self.workers}
        while line := await self._parent.stdout.readline():
            message = json.loads(line)
            if "ready" in message:
                ready.set()
            elif "started" in message:
                worker = by_name[message["started"]]
                worker.pid = message["pid"]
                worker.started.set()
            elif message["ended"] in self._killed:
                self._killed[message["ended"]].ended.set()
            else:
                dead = [worker for worker in self.workers if worker.pid == message["ended"]]
                self.died.append(f"{dead[0].name if dead else '?'} ended by itself with code {message['code']}")
                for worker in dead:
                    worker.pid = 0
                    self._start(worker)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the proxies and the workers; end them afterwards."""
        async with contextlib.AsyncExitStack() as stack:
            await self._link(stack)
            environ = {key: value for key, value in os.environ.items() if not key.startswith("TAILRACE_")}
            self._parent = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.serve", str(self.folder), *self._imported),
                cwd=ROOT,
                env=environ,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=[listener.fileno() for listener in self._listeners.values()],
                start_new_session=True,  # Ctrl-C reaches only the harness, which then ends the workers.
            )
            ready = asyncio.Event()
            self._listening = asyncio.create_task(self._listen(ready))
            try:
                waits = [asyncio.create_task(ready.wait()), asyncio.create_task(self._parent.wait())]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if not ready.is_set():
                    raise RuntimeError("the parent of the workers ended before it was ready")
                waits[1].cancel()
                for worker in self.workers:
                    self._start(worker)
                await self.ready()
                yield
            finally:
                assert self._parent.stdin is not None
                self._killed.update({worker.pid: worker for worker in self.workers})
                self._parent.stdin.close()
                await self._parent.wait()
                self._listening.cancel()
                await asyncio.gather(self._listening, return_exceptions=True)
                for listener in self._listeners.values():
                    listener.close()

    async def _link(self, stack: contextlib.AsyncExitStack) -> None:
        async def to(name: str) -> Proxy:
            return await stack.enter_async_context(proxy(self._port(name)))

        specialists = [await to("specialist_one"), await to("specialist_two")]
        agent = await to("orchestrator")
        self.links = {"browser": [await to("gateway")], "gateway": [agent], "specialists": specialists}
        urls = {"orchestrator": agent.url, "specialist_one": specialists[0].url, "specialist_two": specialists[1].url}
        self._variables = {
            "TAILRACE_DATA_DIR": str(self.folder),
            "TAILRACE_ORCHESTRATOR_URL": agent.url,
            "TAILRACE_SPECIALIST_URLS": ",".join(between.url for between in specialists),
            "TAILRACE_AGENT_URLS": ",".join(between.url for between in specialists),
            "TAILRACE_DISPATCH": ",".join(f"{name}={url}" for name, url in urls.items()),
            "CHAOS_SIDE_FILE": str(self.folder / "side.jsonl"),
            **self._variables,
        }
