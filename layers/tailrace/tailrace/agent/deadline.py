"""Deadlines: when an attempt hands its run on, and when a node that has not ended by then is stopped."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

from tailrace.config import Settings

# The share of the hand-off time that is kept for stopping a node that does not end by itself.
_OVERRUN = 0.1


class Deadline(NamedTuple):
    """Two times of the event loop's clock: at `drains` the graph is asked to stop at its next checkpoint, and at
    `overruns` it is stopped where it is.
    """

    drains: float
    overruns: float


# That of the process; None if nothing limits it. On Lambda it is set per request.
of_process: ContextVar[Deadline | None] = ContextVar("tailrace_deadline", default=None)


def process_deadline(settings: Settings, now: float, left_s: float) -> Deadline:
    """The deadline of a process that has `left_s` seconds for what it begins `now`.

    It is TAILRACE_HANDOFF_S before the end. A function with a shorter timeout than twice that works for half of it:
    otherwise each attempt would hand the run on before a step has begun.
    """
    return _deadline(now + left_s, min(settings.handoff_s, left_s / 2))


def attempt_deadline(settings: Settings, now: float) -> Deadline | None:
    """The deadline of an attempt that begins `now`: the earlier times of the process's and TAILRACE_ATTEMPT_S's.

    None if nothing limits it.
    """
    process = of_process.get()
    if not settings.attempt_s:
        return process
    attempt = _deadline(now + settings.attempt_s, settings.handoff_s)
    if process is None:
        return attempt
    # On a function with a short timeout the process's hand-off time is shorter: it may drain later and overrun earlier.
    return Deadline(min(process.drains, attempt.drains), min(process.overruns, attempt.overruns))


def _deadline(ends: float, handoff_s: float) -> Deadline:
    return Deadline(ends - handoff_s, ends - handoff_s * _OVERRUN)
