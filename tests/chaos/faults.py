"""Carries out the faults of a plan on the processes, connections and stores that exist at that moment."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.chaos.http import Broken, call
from tests.chaos.inspector import Entry, StoreInspector
from tests.chaos.plan import Fault
from tests.chaos.proxy import Connection, Proxy
from tests.chaos.watch import Watch, Watched
from tests.chaos.workers import Worker, Workers

# How often each link is hit, relative to the others.
_LINKS = {"browser": 5, "gateway": 3, "specialists": 2, "store": 3}


class Faults:
    """Carries out faults. `done` counts them by kind; `journal` says what was hit and when."""

    def __init__(self, workers: Workers, inspector: StoreInspector, watch: Watch, *, lease_s: float) -> None:
        self._workers = workers
        self._inspector = inspector
        self._watch = watch
        self._lease_s = lease_s
        self.done: Counter[str] = Counter()
        self.journal: list[str] = []
        # Steps that were saved when the process of their task was killed: task, step, attempt and time.
        self.saved: list[tuple[str, str, int, float]] = []
        self._began = time.monotonic()

    async def carry_out(self, fault: Fault, watched: Watched | None, is_watched: Callable[[str], bool]) -> None:
        """Carry out `fault`; return when its effect is over."""
        rng, what = random.Random(fault.choice), None
        task = watched.task if watched else ""
        if fault.kind.startswith("kill"):
            what = await self._kill(fault, task, is_watched, rng)
        elif fault.kind.startswith("stop"):
            what = await self._stop(fault, task, is_watched, rng)
        elif fault.kind.startswith("store"):
            what = self._spoil(fault, task, rng)
        elif fault.kind == "clock jumps":
            what = await self._jump(fault, task, rng)
        elif fault.kind.endswith("dispatch"):
            what = await self._dispatch(fault, watched, rng)
        else:
            what = await self._disconnect(fault, rng)
        self.done[fault.kind] += what is not None
        what = what or "there was nothing to hit, so it does not count"
        self._record(f"{fault.kind}, planned for task {fault.task} at {fault.at} ({task}): {what}")

    def _record(self, what: str) -> None:
        self.journal.append(f"{time.monotonic() - self._began:8.3f} {what}")

    # Processes

    async def _kill(self, fault: Fault, task: str, is_watched: Callable[[str], bool], rng: random.Random) -> str | None:
        what = fault.kind.removeprefix("kill ")
        self._watch.disturb()
        victims = await self._workers.kill(self._workers.workers if what == "all" else [self._victim(what, task, rng)])
        for pid in victims:
            for head in self._inspector.run_by(pid):
                self._note_saved(head.task)
            self._watch.orphan(pid, is_watched)
        await asyncio.sleep(fault.size * 0.3)
        await self._workers.restart(victims)
        return str({worker.name: pid for pid, worker in victims.items()}) if victims else None

    async def _stop(self, fault: Fault, task: str, is_watched: Callable[[str], bool], rng: random.Random) -> str | None:
        """Stop a process for longer than its leases last, so that it is a zombie when it continues."""
        gateway = fault.kind == "stop gateway"
        functions = ["gateway"] if gateway else ["orchestrator", "orchestrator", "specialist_one"]
        victim = self._victim(rng.choice(functions), task, rng)
        others = [other for other in self._workers.of(victim.function) if other is not victim]
        if not victim.pid or victim.stopped or any(other.stopped or not other.pid for other in others):
            return None  # the last running process of a function is spared
        pid = victim.pid
        self._watch.disturb()
        self._workers.stop(victim)
        self._watch.orphan(pid, is_watched)
        for_s = self._lease_s * (1.3 + 1.5 * fault.size)
        await asyncio.sleep(for_s)
        if victim.pid == pid:
            self._workers.go_on(victim)
        return f"{victim.name}, pid {pid}, for {for_s:.2f} s"

    def _victim(self, what: str, task: str, rng: random.Random) -> Worker:
        """The function's process that runs `task` or a task delegated by it, or else any process of the function."""
        function = rng.choice(("specialist_one", "specialist_two")) if what == "specialist" else what
        if not task:
            heads = []
        elif what == "specialist" or function == "specialist_one":
            heads = self._inspector.delegations(task)
        else:
            heads = [head] if (head := self._inspector.head(task)) is not None else []
        running = {head.pid for head in heads}
        runners = [worker for worker in self._workers.workers if worker.pid in running and worker.pid]
        if function not in ("gateway", "sweeper") and runners:
            return rng.choice(runners)
        return rng.choice(self._workers.of(function))

    def _note_saved(self, task: str) -> None:
        """Note what is saved now that the task's process is dead: no later attempt has to repeat it."""
        entries, at = self._inspector.entries(task), time.monotonic()
        if not entries:
            return
        saved = self._inspector.saved_steps(task)
        for step in {entry.meta["step"] for entry in entries if _is_good_end(entry)} & saved:
            self.saved.append((task, step, entries[-1].attempt, at))

    # The store and the clock

    def _spoil(self, fault: Fault, task: str, rng: random.Random) -> str:
        victim = self._anybody(task, rng)
        field, most = {"refuses": ("refuse", 8), "throttles": ("throttle", 6), "loses answers": ("lose", 4)}[
            fault.kind.removeprefix("store ")
        ]
        count = 1 + int(fault.size * most)
        self._watch.disturb()
        victim.control.set(field, count)
        return f"{victim.name}, the next {count} calls"

    async def _jump(self, fault: Fault, task: str, rng: random.Random) -> str:
        victim = self._anybody(task, rng)
        off_ms = rng.choice((-1, 1)) * int(300 + fault.size * 4_000)
        for_s = 0.3 + rng.random() * 1.5
        self._watch.disturb()
        self._watch.clock_wrong(abs(off_ms) / 1000)
        victim.control.set("clock_ms", off_ms)
        await asyncio.sleep(for_s)
        victim.control.set("clock_ms", 0)
        self._watch.disturb()
        await asyncio.sleep(self._lease_s / 2)  # every lease has been renewed by then
        self._watch.clock_right(abs(off_ms) / 1000)
        return f"{victim.name} by {off_ms} ms for {for_s:.2f} s"

    def _anybody(self, task: str, rng: random.Random) -> Worker:
        """The process that runs the task in half of the cases, or else any process."""
        if rng.random() < 0.5:
            return self._victim("orchestrator", task, rng)
        return rng.choice(self._workers.workers)

    # Connections

    async def _disconnect(self, fault: Fault, rng: random.Random) -> str | None:
        links = list(self._workers.links)
        link = rng.choices(links, [_LINKS[name] for name in links])[0]
        between = rng.choice(self._workers.links[link])
        share = rng.choice((0.0, 0.3, 1.0))
        hit = between.pick(rng, share)
        if not hit:
            return None
        if link != "browser":
            self._watch.disturb()
        what = f"{len(hit)} of {len(between.open)} connections, {link}"
        match fault.kind:
            case "cut reset" | "cut fin":
                for connection in hit:
                    connection.cut("reset" if fault.kind == "cut reset" else "fin")
            case "half-close":
                side: Any = rng.choice(("client", "server"))
                for connection in hit:
                    connection.half_close(side)
                what += f", towards the {side}"
            case "trickle":
                for connection in hit:
                    connection.trickle += 20 + int(fault.size * 400)
            case "stall":
                what += await self._stall(between, hit if share < 1 else None, 0.2 + fault.size * 1.8)
        return what

    async def _stall(self, between: Proxy, hit: list[Connection] | None, for_s: float) -> str:
        if hit is None:
            between.stall()
        for connection in hit or []:
            connection.stall()
        await asyncio.sleep(for_s)
        if hit is None:
            between.go_on()
        for connection in hit or []:
            connection.go_on()
        self._watch.disturb()
        return f"{', and new ones,' if hit is None else ''} for {for_s:.2f} s"

    # Dispatches

    async def _dispatch(self, fault: Fault, watched: Watched | None, rng: random.Random) -> str | None:
        """Dispatch a task again: several times at once, or long after it was needed."""
        if watched is None or not watched.entries:
            return None
        count, delay_s = 2 + int(fault.size * 4), 0.0
        if fault.kind == "delayed dispatch":
            count, delay_s = 1, 0.3 + fault.size * 3
        await asyncio.sleep(delay_s)
        message = watched.entries[0].body["task"]["history"][0]
        methods: list[tuple[str, dict[str, Any]]] = [
            ("GetTask", {"id": watched.task}),
            ("SendMessage", {"message": message, "configuration": {"returnImmediately": True}}),
        ]
        port = self._workers.agent_port
        answers = await asyncio.gather(*(_rpc(port, *rng.choice(methods)) for _ in range(count)))
        return f"{count} after {delay_s:.2f} s, answered {answers}"


async def _rpc(port: int, method: str, params: dict[str, Any]) -> str:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"A2A-Version": "1.0", "x-tailrace-owner": "local"}
    with contextlib.suppress(Broken):
        _, answer = await call(port, "POST", "/", headers=headers, body=body, timeout_s=10)
        error = answer.get("error")
        return f"{method} {error['code']} {error['message']}" if error else f"{method} ok"
    return f"{method} broken"


def _is_good_end(entry: Entry) -> bool:
    meta = entry.meta
    return meta["kind"] == "node_end" and not meta.get("error") and not meta.get("interrupted")
