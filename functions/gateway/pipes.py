"""Pipes: live A2A streams from the runner into this process's feeds.

A pipe both starts a task that nobody runs and brings its events. When it breaks, nothing is lost: the feed
goes on from the log. A slow viewer never slows a pipe: the feed's buffers are bounded, the log is not.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec

from tailrace.a2a.client import AgentClient, Incoming
from tailrace.conclude import conclude
from tailrace.config import Settings
from tailrace.errors import AgentError, LogError
from tailrace.events import ends, now_ms
from tailrace.feed import Feed, Feeds
from tailrace.log import Batch, EventLog, Head

logger = logging.getLogger("tailrace.gateway")

# How long the gateway tries to reach the agent for a task that nobody has started. After that the next
# viewer makes it try again.
_PATIENCE_S = 60.0


class Pipes:
    """The pipes of one gateway process: at most one a task."""

    def __init__(self, log: EventLog, feeds: Feeds, settings: Settings, http: httpx.AsyncClient) -> None:
        self._log = log
        self._feeds = feeds
        self._settings = settings
        self._http = http
        self._open: dict[str, asyncio.Task[None]] = {}

    def open(self, head: Head, message: dict[str, Any]) -> None:
        """Hand the task to the agent with the user's first message, unless that is under way."""
        if not self._wanted(head):
            return
        pipe = asyncio.create_task(self._run(head, message), name=f"pipe {head.task_id}")
        self._open[head.task_id] = pipe
        pipe.add_done_callback(lambda _: self._open.pop(head.task_id, None))

    async def open_again(self, head: Head) -> None:
        """As `open`, for a task that was created earlier or elsewhere: its message is in the log."""
        if not self._wanted(head):
            return
        first = await self._log.read(head.task_id, 0, limit=1)
        self.open(head, msgspec.json.decode(first[0].events[0])["task"]["history"][0])

    def _wanted(self, head: Head) -> bool:
        """Whether nobody runs the task and no pipe is about to start it."""
        return head.task_id not in self._open and head.state == "TASK_STATE_SUBMITTED" and not head.leased(now_ms())

    async def drop(self, task_id: str) -> None:
        """Let go of the task's pipe, if there is one. The run goes on."""
        if pipe := self._open.get(task_id):
            pipe.cancel()
            await asyncio.wait([pipe])

    async def close(self) -> None:
        """Let go of all pipes. The runs go on."""
        await asyncio.gather(*(self.drop(task_id) for task_id in list(self._open)))

    async def _run(self, head: Head, message: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        give_up, pause = loop.time() + _PATIENCE_S, 0.1
        client = AgentClient(self._http, self._settings.orchestrator_url, owner=head.owner)
        try:
            with self._feeds.live(head.task_id) as feed:
                while True:
                    try:
                        return await self._carry(client, head, message, feed)
                    except AgentError as error:
                        if error.code is not None:
                            return await self._refused(head, str(error))
                        logger.warning("pipe of task %s: %s", head.task_id, error)
                    if loop.time() + pause > give_up:
                        return None
                    if (await self._log.head(head.task_id)).state != "TASK_STATE_SUBMITTED":
                        return None  # It has begun: what it does is in the log.
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 5.0)
        except LogError as error:
            logger.warning("pipe of task %s: %s", head.task_id, error)

    async def _carry(self, client: AgentClient, head: Head, message: dict[str, Any], feed: Feed) -> None:
        params = {"message": message}
        stream = client.stream("SendStreamingMessage", params, rpc_id=head.task_id, last_event_id=1)
        async for group in stream:
            for batch in batches(group):
                feed.publish(batch)

    async def _refused(self, head: Head, reason: str) -> None:
        """An agent that refuses a task will refuse it again: the task has failed, and says why."""
        text = f"The agent refused the task: {reason}"
        await conclude(
            self._log, head.task_id, f"gateway-{os.getpid()}", "TASK_STATE_FAILED", text, self._settings.lease_s
        )


def batches(group: list[Incoming]) -> Iterator[Batch]:
    """What arrived together as batches: consecutive seqs, each batch ending where the task may end.

    Events without a seq are left out: the log has them.
    """
    seq, events = 0, list[bytes]()
    for incoming in group:
        if incoming.seq is None:
            continue
        if events and incoming.seq != seq + len(events):
            yield Batch(seq, 0, events)
            events = []
        if not events:
            seq, events = incoming.seq, []
        events.append(incoming.event)
        if ends(incoming.event):
            yield Batch(seq, 0, events)
            events = []
    if events:
        yield Batch(seq, 0, events)
