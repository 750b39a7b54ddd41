"""An agent's tasks: what a message, a cancel or a look at a task leads to.

Every decision is made on the head as the log has it, so it does not matter which process is asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from typing import Any

from tailrace import events
from tailrace.a2a.jsonrpc import RpcError, not_cancelable, task_not_found, unsupported_operation
from tailrace.a2a.types import Message, to_json
from tailrace.agent.past import Past, past_of
from tailrace.agent.run import Attempt
from tailrace.conclude import conclude
from tailrace.config import Settings
from tailrace.errors import LeaseHeld, RequestError, TaskConflict, TaskFinished
from tailrace.events import INTERRUPTED, TERMINAL, ends
from tailrace.feed import Feeds
from tailrace.identity import fingerprint_of, task_id_of
from tailrace.inputs import request_of
from tailrace.log import EventLog, Head
from tailrace.reader import End, follow

logger = logging.getLogger("tailrace.tasks")

# Between looks at a lease that is about to be let go of.
_SETTLE_S = 0.02
# How long CancelTask waits for a run elsewhere to notice, beyond the time between renewals.
_CANCEL_WAIT_S = 3.0


class Tasks:
    """The tasks of one agent, as one process of it sees them."""

    def __init__(self, log: EventLog, feeds: Feeds, settings: Settings, graph: Any, agent: str) -> None:
        self.log = log
        self.feeds = feeds
        self._settings = settings
        self._graph = graph
        self._agent = agent
        self._me = f"{agent}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._running: dict[str, tuple[Attempt, asyncio.Task[None]]] = {}

    async def owned(self, task_id: str, owner: str) -> Head:
        """The head of the owner's task.

        Raises:
            RpcError: -32001, for an unknown task, another agent's and somebody else's alike.
        """
        head = await self.log.head(task_id)
        if head.owner != owner or head.agent != self._agent:
            raise task_not_found(task_id)
        return head

    async def send(self, message: Message, owner: str) -> Head:
        """Take a message: begin a task, start one that nobody has started, or answer its question.

        A message that the task knows already changes nothing.

        Raises:
            RequestError: the message cannot be used; nothing was done.
            RpcError: -32001 or -32004; nothing was done.
        """
        await asyncio.to_thread(request_of, [to_json(message)])
        if message.task_id is None:
            head = await self._create(message, owner)
            await self._start(head)
            return await self.log.head(head.task_id)
        head = await self.owned(message.task_id, owner)
        if message.context_id not in (None, head.context_id):
            raise RequestError(f"contextId has value {message.context_id!r}, but the task's is {head.context_id!r}.")
        past = await past_of(self.log, head.task_id)
        said = _in_task(message, head)
        if _knows(past, said):
            await self._start(head)
        elif past.state in INTERRUPTED:
            await self._reply(head, said)
        else:
            raise unsupported_operation(
                f"Task {head.task_id!r} takes no message: its state is {past.state}, not TASK_STATE_INPUT_REQUIRED."
            )
        return await self.log.head(head.task_id)

    async def cancel(self, task_id: str, owner: str) -> None:
        """Cancel a task, wherever it runs; return when it is cancelled or its runner was told.

        Raises:
            RpcError: -32001 or -32002.
        """
        await self.owned(task_id, owner)
        try:
            head = await self.log.request_cancel(task_id)
            if running := self._running.get(task_id):
                running[0].cancel()
                await asyncio.wait([running[1]])
                head = await self.log.head(task_id)  # it may just have asked something
            if head.state not in TERMINAL and head.leased(events.now_ms()):
                await self._await_end(task_id)
            elif head.state not in TERMINAL:
                await conclude(
                    self.log, task_id, self._me, "TASK_STATE_CANCELED", "Canceled on request.", self._settings.lease_s
                )
        except TaskFinished as error:
            raise not_cancelable(str(error)) from None
        except LeaseHeld:
            await self._await_end(task_id)
        state = (await self.log.head(task_id)).state
        if state in TERMINAL and state != "TASK_STATE_CANCELED":
            raise not_cancelable(f"Task {task_id!r} was finished before it could be cancelled: its state is {state}.")

    async def settled(self) -> None:
        """Return when no run of this process is under way. Cancelled, as before a deadline, it stops them all."""
        try:
            while self._running:
                await asyncio.wait([task for _, task in self._running.values()])
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop every run of this process where it is, and let go of its lease."""
        running = [task for _, task in self._running.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _create(self, message: Message, owner: str) -> Head:
        task_id = task_id_of(owner, self._agent, message.message_id)
        context_id = message.context_id or str(uuid.uuid4())
        head = Head(
            task_id=task_id,
            owner=owner,
            context_id=context_id,
            agent=self._agent,
            fingerprint=fingerprint_of(message),
        )
        event = events.submitted(head.source, _in_task(message, head))
        try:
            return await self.log.create(head, event)
        except TaskConflict:
            raise _message_id_taken(message.message_id) from None

    async def _start(self, head: Head) -> None:
        """Run a task that nobody has started. That somebody else was faster is no error."""
        if head.state != "TASK_STATE_SUBMITTED" or head.leased(events.now_ms()):
            return
        try:
            claimed = await self.log.claim(head.task_id, self._me, self._settings.lease_s)
        except (LeaseHeld, TaskFinished):
            return
        past = await past_of(self.log, head.task_id)
        attempt = await Attempt.begin(self.log, self.feeds, self._settings, claimed)
        self._run(attempt, past, resume=False)

    async def _reply(self, head: Head, reply: dict[str, Any]) -> None:
        """Go on with a task that waits, unless the same reply, sent twice, has been taken in the meantime."""
        try:
            claimed = await self._claim_waiting(head.task_id)
        except RpcError:
            if _knows(await past_of(self.log, head.task_id), reply):
                return
            raise
        past = await past_of(self.log, head.task_id)  # under the lease, so that nothing is missing in it
        if _knows(past, reply):
            await self.log.settle(head.task_id, claimed.attempt, past.state, release=True)
            return
        attempt = await Attempt.begin(self.log, self.feeds, self._settings, claimed, reply=reply)
        past.messages.append(reply)
        self._run(attempt, past, resume=True)

    async def _claim_waiting(self, task_id: str) -> Head:
        """Claim a task that waits for input.

        Whether it waits is told by its last event: the head follows a moment later, and until then the
        attempt that asked still holds the lease.

        Raises:
            RpcError: -32004, it does not wait any more.
        """
        too_late = unsupported_operation(f"Task {task_id!r} takes no message: another reply was there first.")
        while True:  # no longer than the lease of the attempt that asked
            try:
                claimed = await self.log.claim(task_id, self._me, self._settings.lease_s)
            except TaskFinished:
                raise too_late from None
            except LeaseHeld:
                if not await self._waits(task_id):
                    raise too_late from None
                await asyncio.sleep(_SETTLE_S)
                continue
            if await self._waits(task_id):
                return claimed
            await self.log.settle(task_id, claimed.attempt, claimed.state, release=True)
            raise too_late

    async def _waits(self, task_id: str) -> bool:
        newest = await self.log.read(task_id, await self.log.last(task_id) - 1)
        return ends(newest[-1].events[-1]) in INTERRUPTED

    def _run(self, attempt: Attempt, past: Past, *, resume: bool) -> None:
        task_id = attempt.task_id
        run = asyncio.create_task(attempt.work(self._graph, past, resume=resume), name=f"run {task_id}")
        self._running[task_id] = attempt, run
        run.add_done_callback(lambda _: self._running.pop(task_id, None))

    async def _await_end(self, task_id: str) -> None:
        """Wait for a run elsewhere to notice that it is cancelled; not for ever."""
        try:
            async with asyncio.timeout(self._settings.renew_s + _CANCEL_WAIT_S):
                last = await self.log.last(task_id)
                async for item in follow(self.log, self.feeds, task_id, last - 1, idle_s=60, past_input=True):
                    if isinstance(item, End) and item.state in TERMINAL:
                        return
        except TimeoutError:
            logger.warning("task %s: its runner has not noticed the cancel yet", task_id)


def _in_task(message: Message, head: Head) -> dict[str, Any]:
    """The message as the task keeps it."""
    return {**to_json(message), "taskId": head.task_id, "contextId": head.context_id}


def _knows(past: Past, said: dict[str, Any]) -> bool:
    """Whether the task has this message already.

    Raises:
        RequestError: it has another one of the same id.
    """
    for known in past.messages:
        if known["messageId"] == said["messageId"]:
            if known != said:
                raise _message_id_taken(said["messageId"])
            return True
    return False


def _message_id_taken(message_id: str) -> RequestError:
    return RequestError(f"messageId has value {message_id!r}, which another message has; a new one needs its own.")
