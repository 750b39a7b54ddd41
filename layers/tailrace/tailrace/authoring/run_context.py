"""What the code inside a run may know of it: whether it shall stop soon, and what an earlier attempt has asked.

`time_left` and `draining` are for nodes that take long. LangGraph's own `get_runtime().drain_requested` tells
the same as `draining`, to be asked instead of awaited.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from tailrace.events import DelegatedTask

# When the process will be stopped, in the event loop's time; None: nobody says. Set per request, on Lambda.
deadline: ContextVar[float | None] = ContextVar("tailrace_deadline", default=None)


class RunContext:
    """A run as the attempt that works on it tells it to the graph."""

    def __init__(self, drains_at: float | None, asked: dict[str, DelegatedTask]) -> None:
        self.drains_at = drains_at
        self.asked = asked
        self.draining = asyncio.Event()


current: ContextVar[RunContext | None] = ContextVar("tailrace_run", default=None)


def time_left() -> float | None:
    """Seconds until this attempt hands the run to the next one; None when it need not, or outside a run.

    A node that will take longer should stop when it is over, and leave the rest to the next attempt.
    """
    run = current.get()
    if run is None or run.drains_at is None:
        return None
    return max(0.0, run.drains_at - asyncio.get_running_loop().time())


async def draining() -> None:
    """Return when this attempt shall hand the run on. A node that waits may then raise `GraphDrained`.

    Such a node is run again from its start by the next attempt. Outside a run this never returns.
    """
    run = current.get()
    await (run.draining if run is not None else asyncio.Event()).wait()


def delegated_before(step: str) -> DelegatedTask | None:
    """What an earlier attempt has asked another agent in the tool step `step`, if it has."""
    run = current.get()
    return run.asked.get(step) if run is not None else None
