"""The plan of a round: tasks, readers and faults, all derived from one seed and the round's number.

It contains no times: a fault happens when its task reaches a seq or ends, whichever comes first. The process or the
connections that it hits are chosen at that moment.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

# Each kind of fault and how often it is chosen, relative to the others.
KINDS = {
    "kill gateway": 3,
    "kill orchestrator": 5,
    "kill specialist": 3,
    "kill sweeper": 1,
    "kill all": 1,
    "stop runner": 4,
    "stop gateway": 1,
    "cut reset": 14,
    "cut fin": 10,
    "half-close": 8,
    "stall": 8,
    "trickle": 8,
    "store refuses": 8,
    "store throttles": 6,
    "store loses answers": 10,
    "clock jumps": 6,
    "duplicate dispatch": 10,
    "delayed dispatch": 6,
}
# One of so many rounds only kills or stops a few processes, so that takeovers are measured without other faults.
CALM = 5
_CALM_FAULTS = 4
# About the number of events of a task. A fault that is planned for a later seq happens at the task's end.
_EVENTS = 170
# The shapes of tasks: the lines of each branch, whether there is a question, and the number of delegated tasks. With
# `approvals` two branches wait side by side.
SHAPES: dict[str, dict[str, Any]] = {
    "short": {"lines": 8, "pause_ms": 12, "ask": False, "delegations": 1},
    "plain": {"lines": 14, "pause_ms": 15, "ask": False, "delegations": 2},
    "long": {"lines": 20, "pause_ms": 25, "ask": False, "delegations": 2},
    "asks": {"lines": 10, "pause_ms": 12, "ask": True, "delegations": 2},
    # The specialist asks the other one, so that the work is three levels deep.
    "deep": {"lines": 8, "pause_ms": 12, "ask": False, "delegations": 1, "deep": True},
    "approvals": {"lines": 8, "pause_ms": 12, "ask": False, "delegations": 1, "approvals": True},
}
PATTERNS = ("twill", "satin")


@dataclass(frozen=True)
class PlannedReader:
    """Joins when the task reaches the seq `at`, with a cursor of `share` times the newest seq."""

    at: int
    share: float
    leaves_after: int | None
    a2a: bool


@dataclass(frozen=True)
class PlannedTask:
    shape: str
    key: str
    # It is created by two simultaneous requests with the same key.
    twice: bool
    # It has no readers before it has ended.
    unwatched: bool
    # It is cancelled when it reaches this seq.
    cancel_at: int | None
    readers: tuple[PlannedReader, ...]
    # The number of the task in whose context it begins, when that task has ended.
    follows: int | None = None


@dataclass(frozen=True)
class Fault:
    """`size`, from 0 to 1, scales how long the fault lasts, how many things it hits, or how far it goes."""

    kind: str
    task: int
    at: int
    size: float
    choice: int


@dataclass(frozen=True)
class Plan:
    round: int
    tasks: tuple[PlannedTask, ...]
    faults: tuple[Fault, ...]


def plan(seed: int, number: int, *, tasks: int, faults: int, kinds: tuple[str, ...] = tuple(KINDS)) -> Plan:
    """Return the plan of the round `number` under `seed`. The same arguments give the same plan."""
    rng = random.Random(f"{seed}/{number}")
    planned = tuple(
        replace(_task(rng, f"{seed}-{number}-{index}"), follows=_followed(rng, index)) for index in range(tasks)
    )
    if number % CALM == 0 and (processes := tuple(kind for kind in kinds if kind.startswith(("kill", "stop")))):
        kinds, faults = processes, _CALM_FAULTS
    chosen = rng.choices(kinds, [KINDS[kind] for kind in kinds], k=faults)
    return Plan(
        number,
        planned,
        tuple(
            Fault(kind, rng.randrange(tasks), rng.randint(1, _EVENTS), rng.random(), rng.getrandbits(32))
            for kind in chosen
        ),
    )


def _followed(rng: random.Random, index: int) -> int | None:
    """The number of the task that this one follows. Of each three tasks, the later two may follow the one before."""
    return index - 1 if index % 3 and rng.random() < 0.6 else None


def _task(rng: random.Random, key: str) -> PlannedTask:
    shape = rng.choices(list(SHAPES), (2, 3, 2, 2, 2, 2))[0]
    return PlannedTask(
        shape=shape,
        key=key,
        twice=rng.random() < 0.2,
        unwatched=rng.random() < 0.1,
        cancel_at=rng.randint(1, _EVENTS) if rng.random() < 0.12 else None,
        readers=tuple(_reader(rng) for _ in range(rng.randint(1, 4))),
    )


def _reader(rng: random.Random) -> PlannedReader:
    leaves = rng.random() < 0.6
    return PlannedReader(
        at=rng.randint(1, _EVENTS),
        share=rng.random(),
        leaves_after=rng.randint(1, 80) if leaves else None,
        a2a=rng.random() < 0.35,
    )
