"""What a node can learn about its run: how much time is left, and which tasks earlier attempts have delegated.

`time_left` and `draining` are for nodes that take long. LangGraph's own `get_runtime().drain_requested` becomes true at
the moment when `draining` returns.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from tailrace.events import DelegatedTask

# When the process will be stopped, in the event loop's time; None if that is unknown. On Lambda it is set per request.
deadline: ContextVar[float | None] = ContextVar("tailrace_deadline", default=None)


class RunContext:
    """A run as its graph sees it. `delegated` has earlier attempts' delegated tasks by tool step."""

    def __init__(self, drains_at: float | None, delegated: dict[str, DelegatedTask]) -> None:
        self.drains_at = drains_at
        self.delegated = delegated
        self.draining = asyncio.Event()


current: ContextVar[RunContext | None] = ContextVar("tailrace_run", default=None)


def time_left() -> float | None:
    """Seconds until this attempt hands the run to the next one. None if it has no deadline, and outside a run.

    A node that takes long should return before that, and leave the rest to the next attempt.

    Example:
        class State(MessagesState, total=False):
            pages: int  # that were read

        async def read(state: State) -> Command:
            pages, left = state.get("pages", 0), None
            while pages < 3 and (left is None or left > 10):
                pages += 1
                progress("reading", done=pages, total=3)
                left = time_left()
            # The state is saved here, so the next attempt reads only the rest.
            return Command(update={"pages": pages}, goto="read" if pages < 3 else END)
    """
    run = current.get()
    if run is None or run.drains_at is None:
        return None
    return max(0.0, run.drains_at - asyncio.get_running_loop().time())


async def draining() -> None:
    """Wait until this attempt has to hand the run on.

    A node that waits for something else may then raise `GraphDrained`; the next attempt runs it again from its top.
    Outside a run this waits for ever.

    Example:
        async def wait_for_batch_job(state: MessagesState) -> None:
            job = asyncio.create_task(asyncio.sleep(60, "done"))  # stands for something that takes long
            drain = asyncio.create_task(draining())
            await asyncio.wait([job, drain], return_when=asyncio.FIRST_COMPLETED)
            if not job.done():
                job.cancel()
                raise GraphDrained("deadline")  # the next attempt waits anew
            drain.cancel()
            write(job.result())
    """
    run = current.get()
    await (run.draining if run is not None else asyncio.Event()).wait()


def delegated_before(step: str) -> DelegatedTask | None:
    """The task that an earlier attempt delegated in the tool step `step`, by `emit(asked=…)`; None if there is none."""
    run = current.get()
    return run.delegated.get(step) if run is not None else None
