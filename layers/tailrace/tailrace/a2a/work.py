"""How much work a task's events tell of: its agents, its steps and the tokens of its models."""

from __future__ import annotations

import msgspec

from tailrace.events import Metadata
from tailrace.events.metadata import Cost, Usage

_STARTS = ("node_start", "tool_start")


class Work(msgspec.Struct, omit_defaults=True):
    """As in a stored task's metadata. `steps` are nodes and tools without the superseded ones, `usage` is by model.

    `cost` is what the task's own run took so far; None if that is not known.
    """

    agents: int = 0
    steps: int = 0
    usage: dict[str, Usage] = {}
    cost: Cost | None = None


class WorkSoFar:
    """What the events of a task have told, as they are added in order. The page counts in the same way."""

    def __init__(self) -> None:
        self._agents: set[str] = set()
        self._steps: set[str] = set()
        self._usage: dict[str, Usage] = {}
        self._cost: Cost | None = None

    def add(self, told: Metadata) -> None:
        if told.origin is None:
            self._cost = told.cost or self._cost
        if told.kind in _STARTS and told.step is not None:
            self._agents.add(told.agent)
            self._steps.add(told.step)
        elif told.kind == "attempt":
            self._steps.difference_update(told.supersedes or ())
        elif told.kind == "usage" and told.usage is not None:
            model = told.name or ""
            self._usage[model] = self._usage.get(model, Usage(calls=0)) + told.usage

    @property
    def sum(self) -> Work | None:
        """None if there was no step: the task may be another server's."""
        if not self._steps:
            return None
        return Work(agents=len(self._agents), steps=len(self._steps), usage=self._usage, cost=self._cost)
