"""What a node can learn about its run: how much time is left, and which tasks earlier attempts have delegated.

`time_left` and `draining` are for nodes that take long. LangGraph's own `get_runtime().drain_requested` becomes true at
the moment when `draining` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailrace.config import Settings
from tailrace.events import DelegatedTask

if TYPE_CHECKING:
    import httpx

    from tailrace.a2a.directory import Directory
    from tailrace.a2a.remote_task import RemoteTask
    from tailrace.authoring.passed_on import Answered

logger = logging.getLogger("tailrace.run")


@dataclass
class WaitingCall:
    """A call of `delegate` that waits. `heard` is when its agent last reported, in the event loop's time.

    `caller` is the LangChain run that has made the call: a node or a tool; None if that is unknown. `own` says whether
    the agent is one of our own.
    """

    remote: RemoteTask
    caller: Any
    own: bool
    heard: float


class RunContext:
    """A run as its graph sees it. `delegated` has earlier attempts' delegated tasks by tool step. `ended` has the
    steps whose end is in the log, and `asking` those that have asked the user and have not begun again.

    `answered` has the questions of delegated tasks that the user has answered, by those tasks' ids.
    `receive` takes what a thread emits that is not part of LangGraph's context. It may be called from any thread.
    `confirm` raises `Fenced` if another process has claimed the task.
    `http` and `directory` are for asking other agents, and `calls` counts the calls of each kind. `waiting` has the
    calls of `delegate` that wait, by tool step, and `left` the callers of those that were left because the attempt must
    end.
    """

    def __init__(
        self,
        drains_at: float | None,
        delegated: dict[str, DelegatedTask],
        ended: set[str],
        asking: set[str],
        answered: dict[str, list[Answered]],
        receive: Callable[[Any], None],
        confirm: Callable[[], Awaitable[None]],
        settings: Settings,
        http: httpx.AsyncClient,
        directory: Directory,
    ) -> None:
        self.drains_at = drains_at
        self.delegated = delegated
        self.ended = ended
        self.asking = asking
        self.answered = answered
        self.receive = receive
        self.confirm = confirm
        self.settings = settings
        self.http = http
        self.directory = directory
        self.calls: Counter[str] = Counter()
        self.waiting: dict[str, WaitingCall] = {}
        self.left: dict[str, Any] = {}
        self.draining = asyncio.Event()


current: ContextVar[RunContext | None] = ContextVar("tailrace_run", default=None)
# The runs of this process that are under way, for threads that have no context.
_open: set[RunContext] = set()
_warned = threading.Event()


@contextlib.contextmanager
def under_way(run: RunContext) -> Iterator[None]:
    """Let threads without a context emit to `run` inside the block, while it is the only run of the process."""
    _open.add(run)
    try:
        yield
    finally:
        _open.discard(run)


def send_from_outside(emission: Any) -> None:
    """Give what a thread outside LangGraph's context emits to the run of its context, or to the only one there is."""
    runs = [run] if (run := current.get()) is not None else list(_open)
    if len(runs) == 1:
        runs[0].receive(emission)
    elif runs and not _warned.is_set():
        _warned.set()
        logger.warning(
            "A thread that a node started has emitted something, and it is lost: with several runs in one process "
            "nobody knows which run's it is. Start the thread with asyncio.to_thread(), or run its function with "
            "contextvars.copy_context().run(). This is said once."
        )


def time_left() -> float | None:
    """Seconds until this attempt hands the run to the next one. None if it has no deadline, and outside a run.

    A node that takes long should return before that, and leave the rest to the next attempt.

    Example:
        class State(MessagesState, total=False):
            pages: int  # that were read

        async def read(state: State) -> Command[str]:
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
