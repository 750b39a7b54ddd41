"""Tasks that race for a conversation, and processes that die at any request: the tasks run one after the other.

There is no graph here. The id of a task's final checkpoint is that of its base and the task's own name, so the last id
says which tasks the thread has been through.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.agent.threads import Start, create, start, start_in
from tailrace.errors import ContextBusy, Fenced, TaskFinished, TaskUnknown
from tailrace.events import Details, Message, Part, State, decode, ends, status_update
from tailrace.log import Batch, EventLog, Head
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.log.memory import MemoryLog
from tailrace.log.sqlite import SQLiteLog
from tests.contract.dynamodb_table import empty_table, use
from tests.contract.log_tasks import TTL_S, Clock
from tests.support.fast_moto import moto_server

DONE: State = "TASK_STATE_COMPLETED"
LEASE_S = 10.0


class Killed(Exception):
    """The process has died."""


class Watched:
    """A log that calls `before` and `after` around each of its requests, those for conversations included."""

    def __init__(self, log: Any, before: Callable[[], Awaitable[None]], after: Callable[[], None]) -> None:
        self._log, self._before, self._after = log, before, after

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._log, name)
        if name == "conversations":
            return Watched(member, self._before, self._after)
        if not (asyncio.iscoroutinefunction(member) or name == "append"):  # of SQLite it returns a future
            return member

        async def call(*args: Any, **named: Any) -> Any:
            await self._before()
            outcome = await member(*args, **named)
            self._after()
            return outcome

        return call


class Death:
    """Kills a process at its nth request: before it, or `late`, when it was carried out and its response is lost."""

    def __init__(self, n: int, late: bool) -> None:
        self._left, self._late = n, late

    async def before(self) -> None:
        self._left -= 1
        if self._left == 0 and not self._late:
            raise Killed

    def after(self) -> None:
        if self._left == 0 and self._late:
            raise Killed


async def run(log: Any, name: str, running: set[str], *, as_creator: bool = True) -> State:
    """Create the task `name`, unless it exists, and work on it until its end, as an agent's process does.

    Without `as_creator` the task is begun as by a process that has not created it.

    Raises:
        ContextBusy, LeaseHeld, TaskFinished
    """
    message = Message(message_id=name, role="ROLE_USER", parts=[Part(text=name)])
    head = Head(task_id=name, owner="alice", context_id="c", agent="a", fingerprint=name)
    created = await create(log, head, message, new=False)
    head = await log.claim(name, "process", LEASE_S)
    if as_creator and created.by_us and (place := start_in(head)) is not None and head.attempt == 1:
        try:  # The creator reads nothing before its fence.
            return await work(log, name, head, 1, place, running)
        except Fenced:
            pass
    end = await log.last(name)
    if end > 1 and (state := ends((await log.read(name, end - 1))[-1].events[-1])) is not None:
        await log.update_state(name, head.attempt, state, release=True)
        return state
    try:
        if end == 1:
            begun = await start(log, head, "c", message)
        else:  # the task has its base in its fence
            details = decode((await log.read(name, 1))[0].events[0]).metadata
            begun = Start(details.thread or "", details.checkpoints or {})
    except ContextBusy:
        state = "TASK_STATE_REJECTED"
        await log.append(
            name, Batch(end + 1, head.attempt, [status_update(head.source, end + 1, "state", state=state)])
        )
        await log.update_state(name, head.attempt, state, release=True)
        return state
    return await work(log, name, head, end, begun, running)


async def work(log: Any, name: str, head: Head, end: int, begun: Start, running: set[str]) -> State:
    """Write the fence after the event `end`, and complete the task.

    Raises:
        Fenced: the task has an event after `end`.
    """
    fence = Details(thread=begun.thread, checkpoints=begun.checkpoints)
    await log.append(name, Batch(end + 1, head.attempt, [status_update(head.source, end + 1, "state", fence)]))
    running.add(name)
    assert len(running) == 1, f"{running} run at once"
    final = f"{begun.checkpoints.get('', '')} {name}".strip()
    done = Details(thread=begun.thread, checkpoints={"": final})
    await log.renew(name, head.attempt, LEASE_S)
    running.discard(name)
    event = status_update(head.source, end + 2, "state", done, state=DONE)
    await log.append(name, Batch(end + 2, head.attempt, [event]))
    await log.update_state(name, head.attempt, DONE, release=True)
    return DONE


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["memory", "sqlite", "dynamodb"])
async def log(
    request: pytest.FixtureRequest, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EventLog]:
    log: EventLog
    if request.param == "memory":
        log = MemoryLog(ttl_s=TTL_S, clock=clock)
    elif request.param == "sqlite":
        log = SQLiteLog(tmp_path / "log.sqlite3", ttl_s=TTL_S, clock=clock)
    else:
        use(request.getfixturevalue("endpoint"), monkeypatch)
        log = DynamoDBLog(empty_table(), ttl_s=TTL_S, clock=clock)
    yield log
    await log.close()


async def thread_of(log: EventLog) -> list[str]:
    """The tasks that the thread has been through, by one more task that starts from it."""
    assert await run(log, "probe", set()) == DONE
    (batch,) = (await log.read("probe", await log.last("probe") - 1))[-1:]
    return (decode(batch.events[-1]).metadata.checkpoints or {})[""].split()[:-1]


async def recovered(log: EventLog, clock: Clock, name: str) -> State | None:
    """The state that the task ends in when another process takes it up; None if it was never created."""
    clock.now += LEASE_S + 1
    try:
        await log.head(name)
        return await run(log, name, set())
    except TaskUnknown:
        return None
    except TaskFinished:
        (batch,) = (await log.read(name, await log.last(name) - 1))[-1:]
        return ends(batch.events[-1])


@pytest.mark.parametrize("as_creator", [True, False], ids=["the creator", "another process"])
@pytest.mark.parametrize("late", [False, True], ids=["before the request", "after the request"])
async def test_a_process_may_die_at_any_request(log: EventLog, clock: Clock, late: bool, as_creator: bool) -> None:
    """A task's process dies at its nth request, another task comes, and the first one is taken up or sent again."""
    states = {"a0": await run(log, "a0", set())}
    for n in range(1, 40):
        first, second, death = f"a{n}", f"b{n}", Death(n, late)
        try:
            states[first] = await run(Watched(log, death.before, death.after), first, set(), as_creator=as_creator)
            break  # It came to its end without the nth request.
        except Killed:
            pass
        try:
            states[second] = await run(log, second, set())
        except ContextBusy as busy:
            refused_for = busy.task_id
        else:
            refused_for = first
        assert refused_for == first
        states[first] = await recovered(log, clock, first)
        assert DONE in (states[first], states.get(second)), f"after request {n} nobody could have the context"
    assert n >= (9 if as_creator else 11), "the process died at each of its requests"
    thread = await thread_of(log)
    assert sorted(thread) == sorted(name for name, state in states.items() if state == DONE)
    assert thread == sorted(thread, key=lambda name: int(name[1:])), "one after the other"


async def test_racing_tasks_run_one_after_the_other(log: EventLog) -> None:
    """Three tasks take their requests in random turns."""
    if isinstance(log, MemoryLog):
        for seed in range(300):
            await race(MemoryLog(), seed)
    else:
        await race(log, 1)


async def race(log: EventLog, seed: int) -> None:
    """Let three tasks race; check that those that were completed ran one after the other, and all of them count."""
    turns, running = random.Random(seed), set[str]()
    waiting: list[asyncio.Event] = []

    async def before() -> None:
        turn = asyncio.Event()
        waiting.append(turn)
        await turn.wait()

    async def attempt(name: str) -> State | None:
        try:
            watched = Watched(log, before, lambda: None)
            return await run(watched, name, running, as_creator=turns.random() < 0.5)
        except ContextBusy:
            return None

    names = [f"t{n}" for n in range(3)]
    tasks = [asyncio.create_task(attempt(name)) for name in names]
    while not all(task.done() for task in tasks):
        if waiting:
            waiting.pop(turns.randrange(len(waiting))).set()
        await asyncio.sleep(0)
    states = dict(zip(names, [task.result() for task in tasks], strict=True))
    assert set(states.values()) <= {DONE, None}
    assert DONE in states.values()
    assert {head.task_id for head in (await log.list("alice")).heads} == {name for name in names if states[name]}
    assert sorted(await thread_of(log)) == [name for name in names if states[name] == DONE]
