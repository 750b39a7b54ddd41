"""A run as numbers that can be turned, and what follows from them.

The typical run is "600 events inside two specialist-minutes of a ten-minute stream, one viewer, silence otherwise".
`HELD` has a gateway that holds its stream and an orchestrator that waits on paid time; in `SLEEPING` a quiet stream
pauses (docs/PROTOCOL.md, section 6.8) and the orchestrator sleeps while all that it has under way is delegated.
"""

from __future__ import annotations

import math

import msgspec

from deploy.cost.usage import FunctionUse, Usage

# Read units of a reader that comes back: two checks, and its first read (docs/DELIVERY.md, "What it costs").
_RETURN_READS = 3.0
# Write units to create, claim, begin and end a task, with its entries in the indexes; fewer without a conversation. And
# to put an orchestrator to sleep and wake it.
_TASK_WRITES, _DELEGATED_WRITES, _WAKE_WRITES = 20.0, 16.0, 8.0
# How much a pause between two reads of a silent log grows, and by how much a frame is larger than its event.
_SLOWER, _FRAMED = 1.5, 1.2


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run with one viewer. `None` stands for what follows from the others. Times are in seconds."""

    # How long the viewer watches, for how much of that events come, and in how many bursts.
    stream_s: float = 600.0
    active_s: float = 120.0
    bursts: int = 2
    # All agents but the orchestrator together.
    specialist_s: float = 120.0
    specialists: int = 2
    # An event that a specialist forwards to the task that asked it is in two logs.
    events: int = 600
    event_bytes: int = 1000
    logs: int = 1
    gateway_mb: int = 512
    agent_mb: int = 1024
    # Whether a quiet stream pauses and the orchestrator sleeps; after how long, and what it takes to go on. This was
    # measured by `tests.bench sizes` and `wakes`, on a machine that other work kept busy.
    sleeps: bool = False
    quiet_s: float = 2.0
    pause_s: float = 10.0
    return_s: float = 0.2
    stay_s: float = 5.0
    wake_s: float = 3.0
    # For how long the gateway has the stream, and the orchestrator is awake.
    gateway_held_s: float | None = None
    orchestrator_awake_s: float | None = None
    # In all: reads of the log that find nothing, renewals of leases, and reads of the task's head by the watchdog.
    tail_reads: float | None = None
    lease_renewals: float | None = None
    watch_reads: float | None = None
    renew_s: float = 2.0
    lease_s: float = 10.0
    tail_fast_s: float = 0.05
    tail_slow_s: float = 1.0


HELD = Run()
SLEEPING = Run(sleeps=True, gateway_mb=256)


def active_s(run: Run) -> float:
    """Return for how long events come while the viewer watches."""
    return min(run.active_s, run.stream_s)


def returns(run: Run) -> float:
    """Return how often the viewer comes back to a quiet stream."""
    return (run.stream_s - active_s(run)) / (run.pause_s + run.return_s) if run.sleeps else 0.0


def held_s(run: Run) -> float:
    """Return for how long the gateway has the stream: always, or while events come and for a moment at each return."""
    if run.gateway_held_s is not None:
        return run.gateway_held_s
    if not run.sleeps:
        return run.stream_s
    return min(run.stream_s, active_s(run) + run.bursts * run.quiet_s + returns(run) * run.return_s)


def awake_s(run: Run) -> float:
    """Return for how long the orchestrator runs: always, or while specialists report and for a moment after that."""
    if run.orchestrator_awake_s is not None:
        return run.orchestrator_awake_s
    if not run.sleeps:
        return run.stream_s
    return min(run.stream_s, active_s(run) + run.bursts * (run.stay_s + run.wake_s))


def reads_in(gap_s: float, fast_s: float, slow_s: float) -> int:
    """Return how many reads find nothing in a silence of `gap_s`; the pauses grow from `fast_s` to `slow_s`."""
    reads, at, pause = 0, fast_s, fast_s
    while at < gap_s and pause < slow_s:
        reads += 1
        pause = min(pause * _SLOWER, slow_s)
        at += pause
    return reads + max(0, math.ceil((gap_s - at) / slow_s))


def tail_reads(run: Run) -> float:
    """Return how many reads of the log find nothing while the gateway has the stream."""
    if run.tail_reads is not None:
        return run.tail_reads
    if not run.sleeps:
        # A pipe brings the events, and the log is read once a second to see whether it still does.
        return run.stream_s / run.tail_slow_s
    active = min(held_s(run), active_s(run))
    between = run.events * reads_in(active / run.events, run.tail_fast_s, run.tail_slow_s) if run.events else 0
    return between + reads_in(held_s(run) - active, run.tail_fast_s, run.tail_slow_s)


def usage_of(run: Run) -> Usage:
    """Return what the run uses."""
    usage, back, held, awake = Usage(), returns(run), held_s(run), awake_s(run)
    wakes = run.bursts if run.sleeps else 0
    for name, count, seconds, megabytes in (
        ("gateway", 2 + back, held, run.gateway_mb),
        ("orchestrator", 1 + wakes, awake, run.agent_mb),
        ("specialists", run.specialists, run.specialist_s, run.agent_mb),
    ):
        usage.functions[name] = FunctionUse(invocations=count, seconds=seconds, gb_s=seconds * megabytes / 1024)
    renewals = (awake + run.specialist_s) / run.renew_s if run.lease_renewals is None else run.lease_renewals
    watched = (held - min(held, active_s(run))) / run.lease_s if run.watch_reads is None else run.watch_reads
    usage.writes["events"] = run.events * run.logs * max(1, math.ceil(run.event_bytes / 1024))
    usage.writes["leases"] = renewals
    usage.writes["tasks"] = _TASK_WRITES + _DELEGATED_WRITES * run.specialists + _WAKE_WRITES * wakes
    # A viewer that follows the log reads each event there, and its reads are eventually consistent.
    usage.reads["tail"] = tail_reads(run) * (0.5 if run.sleeps else 1)
    usage.reads["events"] = run.events * math.ceil(run.event_bytes / 4096) / 2 if run.sleeps else 0
    usage.reads["watch"] = watched
    usage.reads["returns"] = back * _RETURN_READS
    usage.edge_requests = 2 + back
    usage.edge_bytes = run.events * run.event_bytes * _FRAMED
    return usage
