"""Pipes: live A2A streams from the runner into this process's feeds.

A pipe starts an orphaned task and brings its events. When it breaks, nothing is lost: the feed tails the log. A slow
viewer never slows a pipe: the feed's buffers are bounded, the log is not.

An agent that is a Lambda function gets no pipe: each would hold a second function for as long as somebody watches. It
is dispatched, and the feeds tail the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from gateway.pressure import STARTS_MS, Pressure
from gateway.task_endings import TaskEndings
from tailrace.a2a.bundle import Agents
from tailrace.a2a.client import AgentClient, RawEvent
from tailrace.agent.dispatch import Dispatch
from tailrace.aws import on_lambda
from tailrace.config import Settings
from tailrace.errors import AgentError, LogError
from tailrace.events import ends
from tailrace.log import Batch, EventLog, Head
from tailrace.stream.broadcast import Feed, Feeds
from tailrace.tracing.context import within

logger = logging.getLogger("tailrace.gateway")

# How long the gateway tries to reach the agent of an orphaned task. After that the next viewer makes it try again.
_PATIENCE_S = 60.0
# JSON-RPC errors of an agent that will never run the task: it knows no such task, method or parameters.
_REFUSALS = frozenset({-32001, -32601, -32602})


class Pipes:
    """The pipes of one gateway process: at most one for each task."""

    def __init__(
        self,
        log: EventLog,
        settings: Settings,
        agents: Agents,
        endings: TaskEndings,
        dispatch: Dispatch,
        pressure: Pressure,
    ) -> None:
        self._log = log
        self.feeds = Feeds(log, settings, self.open)
        self._settings = settings
        self._agents = agents
        self._endings = endings
        self._open: dict[str, asyncio.Task[None]] = {}
        self._attempts: dict[str, int] = {}
        self._dispatch = dispatch
        self._pressure = pressure
        # Task id → when this process has last dispatched it for a viewer, in ms by the log's clock.
        self._dispatched: dict[str, int] = {}

    async def begin(self, head: Head) -> None:
        """Have the agent run a task that was just created, also if nobody ever watches it.

        A dispatch that fails is logged: the first viewer dispatches the task again after the time of a lease, and the
        sweeper does too.
        """
        if not head.orphaned(self._log.now()):
            return
        if await self._dispatch.invokes(head.agent):
            await self._dispatch(head)
        elif not on_lambda():  # There a pipe would be frozen with this request.
            await self.open(head)

    async def open(self, head: Head) -> None:
        """Have the agent run an orphaned task that has a viewer here: by a pipe, unless there is one, or by a dispatch.

        A pipe is replaced if an attempt has begun after it was opened and has lost its lease: then the pipe may lead to
        a process that hangs, or to a machine that is gone.
        """
        if not head.orphaned(self._log.now()):
            return
        if await self._dispatch.invokes(head.agent):
            await self._dispatch_for_viewer(head)
            return
        if head.task_id in self._open:
            if head.attempt <= self._attempts[head.task_id]:
                return
            await self.drop(head.task_id)
        with within(head.trace):
            pipe = asyncio.create_task(self._run(head), name=f"pipe {head.task_id}")
        self._open[head.task_id], self._attempts[head.task_id] = pipe, head.attempt
        pipe.add_done_callback(lambda _: self._closed(head.task_id, pipe))

    async def _dispatch_for_viewer(self, head: Head) -> None:
        """Dispatch a task once in the time of a lease. Who has created it has dispatched it."""
        now, lease_ms = self._log.now(), self._settings.lease_s * 1000
        created = head.created if head.attempt == 0 else 0
        asked = max(created, self._dispatched.get(head.task_id, 0))
        if asked and now - asked >= STARTS_MS:
            self._pressure.note(f"{head.agent} has not begun task {head.task_id}")
        if now - asked >= lease_ms:
            recent = {task_id: at for task_id, at in self._dispatched.items() if now - at < lease_ms}
            self._dispatched = {**recent, head.task_id: now}
            await self._dispatch(head)

    async def drop(self, task_id: str) -> None:
        """Close the task's pipe, if there is one. The run goes on."""
        if pipe := self._open.get(task_id):
            pipe.cancel()
            await asyncio.wait([pipe])

    async def close(self) -> None:
        """Close all pipes. The runs go on."""
        await asyncio.gather(*(self.drop(task_id) for task_id in list(self._open)))

    def _closed(self, task_id: str, pipe: asyncio.Task[None]) -> None:
        if self._open.get(task_id) is pipe:
            del self._open[task_id], self._attempts[task_id]

    async def _run(self, head: Head) -> None:
        loop = asyncio.get_running_loop()
        give_up, pause = loop.time() + _PATIENCE_S, 0.1
        try:
            cursor = 1 if head.attempt == 0 else await self._log.last(head.task_id)
            with self.feeds.live(head.task_id) as feed:
                while True:
                    try:
                        client = await self._agents.client(head.agent, head.owner)
                        if await self._pump(client, head.task_id, cursor, feed):
                            return None
                    except AgentError as error:
                        if error.code in _REFUSALS:
                            # It would refuse the task again.
                            return await self._endings.fail(head.task_id, f"The agent refused the task: {error}")
                        logger.warning("pipe of task %s: %s", head.task_id, error)
                    if loop.time() + pause > give_up:
                        return None
                    if not (await self._log.head(head.task_id)).orphaned(self._log.now()):
                        return None  # A runner has it, and the feed tails the log.
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 5.0)
                    cursor = await self._log.last(head.task_id)
        except LogError as error:
            logger.warning("pipe of task %s: %s", head.task_id, error)

    async def _pump(self, client: AgentClient, task_id: str, cursor: int, feed: Feed) -> bool:
        """Subscribe to the task, which makes its agent run it, and publish its events after `cursor` to the feed.

        Returns whether the task has ended or waits. If not, the stream was cut, as when its agent shuts down.
        """
        newest = b"{}"
        async for group in client.subscribe(task_id, cursor, rpc_id=task_id):
            for batch in batches(group):
                feed.publish(batch)
                newest = batch.events[-1]
        return ends(newest) is not None


def batches(group: list[RawEvent]) -> Iterator[Batch]:
    """Yield events that arrived together as batches of consecutive seqs. A batch ends where the task may end.

    Events without a seq are left out: the log has them.
    """
    first_seq = 0
    events: list[bytes] = []
    for event in group:
        if event.seq is None:
            continue
        if events and event.seq != first_seq + len(events):
            yield Batch(first_seq, 0, events)
            events = []
        if not events:
            first_seq, events = event.seq, []
        events.append(event.json)
        if ends(event.json):
            yield Batch(first_seq, 0, events)
            events = []
    if events:
        yield Batch(first_seq, 0, events)
