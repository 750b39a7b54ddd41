"""Runs many rounds on one set of processes and adds up their results."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.chaos.callers import Callers, TwoPeople
from tests.chaos.check import check, late
from tests.chaos.evidence import keep
from tests.chaos.faults import Faults
from tests.chaos.history import History, Violation, folded
from tests.chaos.inspector import SQLiteInspector, StoreInspector
from tests.chaos.plan import PATTERNS, SHAPES, Plan, PlannedTask, plan
from tests.chaos.profiles import Profile
from tests.chaos.proxy import Proxy, proxy
from tests.chaos.round import Round
from tests.chaos.watch import Orphan, Watch
from tests.chaos.workers import Workers

# The columns of violations, all of which must be 0, and the kinds that each counts. `_REST` counts the others.
_COLUMNS = {
    "lost": ("lost", "hole", "not in the log"),
    "repeated": ("repeated",),
    "out of order": ("out of order",),
    "stuck": ("stuck", "late"),
    "by a fenced writer": ("fenced",),
    "other text": ("text",),
    "run or done again": ("rerun", "created twice", "reply"),
    "shown to another": ("another's",),
}
_REST = "other broken promises"


@dataclass
class Tally:
    """The totals of a campaign."""

    seed: int
    tasks: int = 0
    attempts: int = 0
    readers: int = 0
    connections: int = 0
    handoffs: int = 0
    delivered: int = 0
    recovered: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    # Requests that were made again after a session's end (401) or at a limit (429).
    refused: Counter[int] = field(default_factory=Counter)
    # By the lease's length in seconds.
    takeovers: defaultdict[float, list[Orphan]] = field(default_factory=lambda: defaultdict(list))
    violations: list[Violation] = field(default_factory=list)

    def add(self, history: History) -> None:
        self.tasks += 1
        self.attempts += history.attempts
        self.handoffs += sum(entry.meta["kind"] == "handoff" for entry in history.entries)
        self.states[(history.state or "none").removeprefix("TASK_STATE_").lower()] += 1
        self.readers += len(history.readers)
        for reader in history.readers:
            self.connections += len(reader.visits)
            self.delivered += sum(len(visit.shown) for visit in reader.visits)
            self.recovered += sum(visit.missed or 0 for visit in reader.visits[1:])

    def table(self) -> str:
        """The totals as a table."""
        rows = [*sorted(self.faults.items()), ("faults", self.faults.total())]
        rows += [(name, getattr(self, name)) for name in ("tasks", "attempts", "handoffs", "readers", "connections")]
        rows += [("events delivered", self.delivered), ("recovered after a cut", self.recovered)]
        rows += [(f"refused with {status}", count) for status, count in sorted(self.refused.items())]
        rows += [(f"ended {state}", count) for state, count in sorted(self.states.items())]
        broken = Counter(_column(violation) for violation in self.violations)
        rows += [(column, broken[column]) for column in (*_COLUMNS, _REST)]
        lines = [f"{name:>24} {count:>9,}" for name, count in rows]
        for lease_s, orphans in sorted(self.takeovers.items()):
            taken = [orphan for orphan in orphans if orphan.orphaned_s is not None and orphan.watched]
            lines.append(_takeovers(f"lease {lease_s:g} s: takeovers", taken))
            lines.append(_takeovers("of them undisturbed", [orphan for orphan in taken if not orphan.disturbed]))
        return "\n".join([*lines, f"{'seed':>24} {self.seed:>9}"])


async def campaign(
    folder: Path,
    profile: Profile,
    tally: Tally,
    *,
    faults: int,
    only: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Run rounds until `faults` more are carried out, or the round `only`. Write evidence to `folder`.

    A round with violations does not end the campaign, so that rare violations are seen beside frequent ones.
    """
    enough, number = tally.faults.total() + faults, only or 1
    async with contextlib.AsyncExitStack() as stack:
        workers, inspector = await _stack(folder, profile, stack)
        callers = TwoPeople(folder, workers.links["browser"][0].port) if profile.owners else Callers()
        stack.push_async_callback(callers.close)
        watch = Watch(inspector, workers.spoiled, workers.waited_s)
        watching = asyncio.create_task(watch.run())
        stack.callback(watching.cancel)
        running = _Campaign(profile, workers, inspector, watch, callers, tally)
        await running.learn()
        await workers.unsettle()
        while tally.faults.total() < enough:
            await running.round(
                plan(tally.seed, number, tasks=profile.tasks, faults=profile.faults, kinds=profile.kinds)
            )
            if watching.done():
                watching.result()
            say(
                f"{profile.name}, round {number}: {tally.faults.total():,} faults, {tally.tasks:,} tasks, "
                f"{tally.delivered:,} events, {len(tally.violations)} violations"
            )
            if only is not None:
                break
            number += 1


async def _stack(folder: Path, profile: Profile, stack: contextlib.AsyncExitStack) -> tuple[Workers, StoreInspector]:
    """Start the processes; return them and an inspector of their store."""
    variables, links = dict(profile.variables), dict[str, list[Proxy]]()
    inspector: StoreInspector | None = None
    imported: tuple[str, ...] = ()
    if profile.dynamodb:
        from tests.chaos.dynamo import ENVIRONMENT, IMPORTED, DynamoInspector, tables

        port, client = stack.enter_context(tables())
        between = await stack.enter_async_context(proxy(port))
        variables |= {**ENVIRONMENT, "AWS_ENDPOINT_URL_DYNAMODB": between.url}
        links, inspector, imported = {"store": [between]}, DynamoInspector(client), IMPORTED
    workers = Workers(folder, variables, imported)
    await stack.enter_async_context(workers.running())
    workers.links |= links
    inspector = inspector or SQLiteInspector(folder)
    stack.callback(inspector.close)
    return workers, inspector


class _Campaign:
    """The running processes of a profile, and the undisturbed results to compare with."""

    def __init__(
        self,
        profile: Profile,
        workers: Workers,
        inspector: StoreInspector,
        watch: Watch,
        callers: Callers,
        tally: Tally,
    ) -> None:
        self._profile = profile
        self._workers = workers
        self._inspector = inspector
        self._watch = watch
        self._callers = callers
        self._tally = tally
        # The artifacts of each shape of task without faults, with `{pattern}` in the place of the reply.
        self._undisturbed: dict[str, dict[str, Any]] = {}

    async def learn(self) -> None:
        """Run every shape of task without faults."""
        tasks = tuple(PlannedTask(shape, f"reference-{shape}", False, False, None, ()) for shape in SHAPES)
        calm = Round(Plan(0, tasks, ()), self._workers, self._inspector, self._watch, self._callers, self._faults())
        await calm.run(quiet_s=60)
        for history in calm.histories():
            violations = check(history)
            assert not violations, f"an undisturbed run has violations: {[str(violation) for violation in violations]}"
            end = f"{history.state}: {history.last_message!r}"
            assert history.state == "TASK_STATE_COMPLETED", f"an undisturbed run ended as {end}"
            self._undisturbed[history.shape] = _with_pattern(folded(history.entries), "{pattern}")
        missing = SHAPES.keys() - self._undisturbed.keys()
        assert not missing, f"undisturbed runs are missing: {missing}, {calm.violations}"
        calm.forget()

    async def round(self, planned: Plan) -> None:
        """Run a round, check it, and add it to the tally."""
        faults = self._faults()
        this = Round(planned, self._workers, self._inspector, self._watch, self._callers, faults)
        await this.run(quiet_s=self._profile.lease_s * 4 + self._profile.sweep_s + 15)
        violations, histories, tally = list(this.violations), this.histories(), self._tally
        for history in histories:
            pattern = next((reply.text for reply in history.replies if reply.status == 202), "")
            history.expected = _with_pattern(self._undisturbed[history.shape], pattern)
            history.expected["thread"] = {"turns": history.turns}
            violations += check(history)
            tally.add(history)
        violations += [Violation("died", "", what) for what in self._workers.died]
        self._workers.died.clear()
        for orphan in self._watch.orphans:
            violations += late(orphan, self._profile.bound_s(orphan))
        tally.takeovers[self._profile.lease_s] += self._watch.orphans
        self._watch.orphans.clear()
        tally.faults += faults.done
        tally.refused += self._callers.refused
        self._callers.refused.clear()
        tally.violations += violations
        if violations:
            keep(self._workers.folder, tally.seed, planned.round, faults.journal, histories, violations)
        this.forget()

    def _faults(self) -> Faults:
        return Faults(self._workers, self._inspector, self._watch, lease_s=self._profile.lease_s)


def _takeovers(name: str, orphans: list[Orphan]) -> str:
    times = [orphan.orphaned_s or 0.0 for orphan in orphans]
    p50, most = (f"{median(times):.2f}", f"{max(times):.2f}") if times else ("-", "-")
    return f"{name:>24} {len(times):>9,}   p50 {p50} s, max {most} s"


def _column(violation: Violation) -> str:
    return next((column for column, kinds in _COLUMNS.items() if violation.kind in kinds), _REST)


def _with_pattern(artifacts: dict[str, Any], pattern: str) -> dict[str, Any]:
    """Return the artifacts with `pattern` in the place of the reply."""
    marks = "|".join(map(re.escape, (*PATTERNS, "{pattern}")))
    return {
        name: re.sub(marks, pattern, content) if isinstance(content, str) else content
        for name, content in artifacts.items()
    }
