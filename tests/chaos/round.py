"""One round: runs the tasks, readers and faults of a plan at the same time, until all tasks have ended."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.chaos.approvals import approve
from tests.chaos.callers import Caller, Callers
from tests.chaos.faults import Faults
from tests.chaos.history import Cancel, History, Reply, Run, Saved, Violation
from tests.chaos.http import call_until_answered
from tests.chaos.inspector import TERMINAL, WAITING, StoreInspector
from tests.chaos.plan import PATTERNS, SHAPES, Fault, Plan, PlannedReader, PlannedTask
from tests.chaos.profiles import STARVED
from tests.chaos.reader import Reader
from tests.chaos.watch import Watch, Watched
from tests.chaos.workers import Workers

# How long a client repeats a request. Every fault is over sooner.
_REQUEST_S = 60.0
# How long a fault waits for a task to reach a seq. After that the task is stuck.
_SEQ_S = 30.0


@dataclass
class Tracked:
    """A planned task, and what its clients have done and seen so far."""

    planned: PlannedTask
    caller: Caller
    watched: Watched | None = None
    readers: list[Reader] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    cancel: Cancel | None = None
    context_id: str = ""
    created: asyncio.Event = field(default_factory=asyncio.Event)


class Round:
    """Carries out a plan on the running workers."""

    def __init__(
        self,
        plan: Plan,
        workers: Workers,
        inspector: StoreInspector,
        watch: Watch,
        callers: Callers,
        faults: Faults,
    ) -> None:
        self._plan = plan
        self._workers = workers
        self._inspector = inspector
        self._watch = watch
        self._callers = callers
        self._faults = faults
        self._tasks: list[Tracked] = []
        for number, planned in enumerate(plan.tasks):
            follows = planned.follows  # its context is that owner's
            caller = callers.of(number) if follows is None else self._tasks[follows].caller
            self._tasks.append(Tracked(planned, caller))
        self.violations: list[Violation] = []

    async def run(self, quiet_s: float) -> None:
        """Run the round. A task that has not ended `quiet_s` seconds after the last fault is stuck."""
        users = [asyncio.create_task(self._user(tracked)) for tracked in self._tasks]
        faults = [asyncio.create_task(self._fault(fault)) for fault in self._plan.faults]
        try:
            await asyncio.gather(*faults)
            self._workers.heal()
            self._watch.disturb()
            await self._quiet(users, quiet_s)
        finally:
            self._workers.heal()
            for task in (*users, *faults):
                task.cancel()
            outcomes = await asyncio.gather(*users, *faults, return_exceptions=True)
        broken = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        self.violations += [Violation("stuck", "", f"a caller: {error!r}") for error in broken]

    def histories(self) -> list[History]:
        """Return the history of each task, for the checker. The round must be over."""
        runs: dict[str, list[Run]] = {}
        side = self._workers.folder / "side.jsonl"
        for line in side.read_text().splitlines() if side.exists() else []:
            run = json.loads(line)
            runs.setdefault(run["task"], []).append(Run(run["node"], run["step"], run["pid"], run["at"]))
        return [self._history(tracked, runs) for tracked in self._tasks if tracked.watched is not None]

    def forget(self) -> None:
        """Stop watching the round's tasks."""
        self._watch.forget([tracked.watched.task for tracked in self._tasks if tracked.watched is not None])

    def _history(self, tracked: Tracked, runs: dict[str, list[Run]]) -> History:
        assert tracked.watched is not None
        task = tracked.watched.task
        return History(
            task=task,
            agent="orchestrator",
            entries=self._inspector.entries(task),
            glimpsed=list(tracked.watched.entries),
            readers=tracked.readers,
            replies=tracked.replies,
            cancel=tracked.cancel,
            saved=[Saved(step, attempt, at) for id_, step, attempt, at in self._faults.saved if id_ == task],
            runs=runs.get(task, []),
            pids=tracked.watched.pids,
            delegations=[(head.agent, self._inspector.ended_as(head)) for head in self._inspector.delegations(task)],
            shape=tracked.planned.shape,
            turns=self._turns(tracked),
        )

    def _turns(self, tracked: Tracked) -> list[str]:
        """The keys of the tasks that the thread has been through when this task is completed."""
        before = [] if tracked.planned.follows is None else self._completed_turns(self._tasks[tracked.planned.follows])
        return [*before, tracked.planned.key]

    def _completed_turns(self, tracked: Tracked) -> list[str]:
        turns = self._turns(tracked)
        completed = tracked.watched is not None and tracked.watched.state == "TASK_STATE_COMPLETED"
        return turns if completed else turns[:-1]

    # Users

    async def _user(self, tracked: Tracked) -> None:
        planned = tracked.planned
        if planned.follows is not None:
            before = self._tasks[planned.follows]
            await before.created.wait()
            await self._watch.until(lambda: before.watched is not None and before.watched.ended)
            tracked.context_id = before.context_id
        task = await self._create(tracked)
        watched = tracked.watched = self._watch.add(task)
        tracked.created.set()
        actions: list[Coroutine[Any, Any, None]] = []
        if not planned.unwatched:
            actions.append(self._read(tracked, self._reader(tracked, "stays")))
            actions += [self._join(tracked, number, reader) for number, reader in enumerate(planned.readers)]
        if SHAPES[planned.shape]["ask"]:
            actions.append(self._reply_twice(tracked, watched))
        if SHAPES[planned.shape].get("approvals"):
            actions.append(approve(partial(self._ask, tracked.caller), self._watch, watched))
        if planned.cancel_at is not None:
            actions.append(self._cancel(tracked, watched, planned.cancel_at))
        actions.append(self._replay(tracked, watched))
        if (other := self._callers.other(tracked.caller)) is not None:
            actions.append(self._pry(other, watched))
        await asyncio.gather(*actions)

    async def _create(self, tracked: Tracked) -> str:
        planned = tracked.planned
        message: dict[str, Any] = {"parts": [{"data": {**SHAPES[planned.shape], "turn": planned.key}}]}
        if tracked.context_id:
            message["contextId"] = tracked.context_id
        body = {"message": message}
        responses = await asyncio.gather(
            *(
                self._ask(tracked.caller, "POST", "/api/tasks", body, _key(planned.key))
                for _ in range(2 if planned.twice else 1)
            )
        )
        ids = {answer["id"] if status == 201 else f"status {status}: {answer}" for status, answer in responses}
        if len(ids) > 1 or responses[0][0] != 201:
            self.violations.append(Violation("created twice", "", f"one request, sent {len(responses)} times: {ids}"))
        task: str = responses[0][1]["id"]
        tracked.context_id = responses[0][1]["contextId"]
        return task

    async def _read(self, tracked: Tracked, reader: Reader) -> None:
        tracked.readers.append(reader)
        watched = tracked.watched
        assert watched is not None
        await reader.read(past_input=lambda: not watched.ended or watched.newest > reader.visits[-1].last)

    async def _join(self, tracked: Tracked, number: int, planned: PlannedReader) -> None:
        watched = tracked.watched
        assert watched is not None
        await self._watch.until(lambda: watched.newest >= planned.at or watched.ended)
        reader = self._reader(tracked, f"joins {number}")
        reader.cursor = int(planned.share * watched.newest)
        reader.leaves_after, reader.faithful = planned.leaves_after, planned.leaves_after is None
        if planned.a2a:
            reader.a2a, reader.port = True, self._workers.links["gateway"][0].port
        await self._read(tracked, reader)

    async def _replay(self, tracked: Tracked, watched: Watched) -> None:
        """Read the task again after its end, from the beginning and from a random cursor."""
        await self._watch.until(lambda: watched.ended)
        rng = random.Random(tracked.planned.key)
        for number, cursor in enumerate((0, rng.randrange(watched.newest))):
            reader = self._reader(tracked, f"replays {number}")
            reader.cursor = cursor
            await self._read(tracked, reader)

    async def _reply_twice(self, tracked: Tracked, watched: Watched) -> None:
        """Send two replies at the same time, as soon as the log has the question."""
        await self._watch.until(lambda: watched.state == WAITING or watched.ended)
        if watched.ended:
            return

        async def reply(pattern: str) -> Reply:
            message_id = f"{watched.task}-{pattern}"
            message = {"messageId": message_id, "parts": [{"text": pattern}]}
            path = f"/api/tasks/{watched.task}/messages"
            status, _ = await self._ask(tracked.caller, "POST", path, {"message": message})
            return Reply(message_id, pattern, status)

        tracked.replies += await asyncio.gather(*map(reply, PATTERNS))

    async def _cancel(self, tracked: Tracked, watched: Watched, at: int) -> None:
        await self._watch.until(lambda: watched.newest >= at or watched.ended)
        path = f"/api/tasks/{watched.task}/cancel"
        status, _ = await self._ask(tracked.caller, "POST", path, {})
        responded_at, tracked.cancel = time.monotonic(), Cancel(status, self._inspector.newest(watched.task))
        await self._watch.until(lambda: watched.ended)
        tracked.cancel.went_on_s = time.monotonic() - responded_at

    async def _pry(self, other: Caller, watched: Watched) -> None:
        """Try another owner's task: it has to be as unknown as one that is not there."""
        for method, path, body in (
            ("GET", f"/api/tasks/{watched.task}", None),
            ("GET", f"/api/stream/{watched.task}?cursor=1", None),
            ("POST", f"/api/tasks/{watched.task}/cancel", {}),
            ("POST", f"/api/tasks/{watched.task}/messages", {"message": {"parts": [{"text": "mine now"}]}}),
        ):
            status, answer = await self._ask(other, method, path, body)
            if status != 404:
                self.violations.append(Violation("another's", watched.task, f"{method} {path}: {status} {answer}"))

    async def _ask(
        self, caller: Caller, method: str, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Ask the gateway until the outcome is known, and the caller's session or limit does not stand in the way."""
        while True:
            known = {**caller.headers(), **(headers or {})}
            status, answer = await call_until_answered(
                self._port, method, path, headers=known, body=body, bound_s=_REQUEST_S
            )
            if not await caller.is_to_ask_again(status):
                return status, answer

    # Faults

    async def _fault(self, fault: Fault) -> None:
        tracked = self._tasks[fault.task]
        if fault.at > 3:  # The earliest faults hit the creation of the task.
            try:
                async with asyncio.timeout(_SEQ_S):
                    await tracked.created.wait()
                    watched = tracked.watched
                    assert watched is not None
                    await self._watch.until(lambda: watched.newest >= fault.at or watched.ended or waits(watched))
            except TimeoutError:
                return
        await self._faults.carry_out(fault, tracked.watched, self._is_watched)

    def _is_watched(self, task: str) -> bool:
        """Whether the task has a reader that will not leave."""
        return any(
            reader.faithful and not reader.finished
            for tracked in self._tasks
            if tracked.watched is not None and tracked.watched.task == task
            for reader in tracked.readers
        )

    async def _quiet(self, users: list[asyncio.Task[None]], bound_s: float) -> None:
        """Return when all users and delegated tasks have ended, or after `bound_s` seconds (longer on a busy machine).

        A delegated task may end after the task that it belongs to, for example when both are cancelled.
        """
        began, starved_s = time.monotonic(), self._watch.starved_s
        while time.monotonic() - began < bound_s + STARVED * (self._watch.starved_s - starved_s):
            await asyncio.wait(users, timeout=0.5)
            tasks = [tracked.watched.task for tracked in self._tasks if tracked.watched is not None]
            delegations = [head for task in tasks for head in self._inspector.delegations(task)]
            if all(user.done() for user in users) and all(
                self._inspector.ended_as(head) in TERMINAL for head in delegations
            ):
                return
            await asyncio.sleep(0.05)

    def _reader(self, tracked: Tracked, name: str) -> Reader:
        assert tracked.watched is not None
        task = tracked.watched.task
        return Reader(name, task, self._port, in_log=lambda: self._inspector.newest(task), caller=tracked.caller)

    @property
    def _port(self) -> int:
        return self._workers.links["browser"][0].port


def waits(watched: Watched) -> bool:
    """Whether the task waits for a reply: then it writes nothing more by itself."""
    return watched.state == WAITING


def _key(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}
