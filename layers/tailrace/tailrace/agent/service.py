"""An agent's tasks: what a message, a cancel or a look at a task leads to.

Every decision is made on the head as the log has it, so it does not matter which process is asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import httpx
from langgraph.pregel import Pregel

from tailrace import events
from tailrace.a2a.errors import RpcError, not_cancelable, task_not_found, unsupported_operation
from tailrace.a2a.identity import fingerprint_of, task_id_of
from tailrace.a2a.types import UserMessage
from tailrace.agent.attempt import Attempt
from tailrace.agent.delegated_tasks import cancel_delegated_tasks
from tailrace.agent.dispatch import Dispatch
from tailrace.agent.recovery.history import WORKER_LOST, WORKER_STOPPED, History, history_of
from tailrace.agent.recovery.takeover import take_over
from tailrace.agent.unowned import MAX_TRIES, UnownedTasks, tries_exhausted
from tailrace.config import Settings
from tailrace.errors import (
    CheckpointUnreadable,
    Fenced,
    LeaseHeld,
    LogError,
    LogUnavailable,
    RequestError,
    TaskConflict,
    TaskFinished,
    TaskUnknown,
)
from tailrace.events import INTERRUPTED, TERMINAL, Message, ends
from tailrace.inputs.decode import check, has_files
from tailrace.inputs.turns import in_turn
from tailrace.log import EventLog, Head
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import wait_for_end

logger = logging.getLogger("tailrace.tasks")

# Between looks at a lease that is about to be let go of.
_SETTLE_S = 0.02
# How long CancelTask waits for a run elsewhere to notice, beyond the time between renewals.
_CANCEL_WAIT_S = 3.0


class Tasks:
    """The tasks of one agent, as one process of it sees them."""

    def __init__(
        self,
        log: EventLog,
        settings: Settings,
        graph: Pregel[Any, Any, Any, Any],
        agent: str,
        http: httpx.AsyncClient,
        dispatch: Dispatch,
        *,
        idempotent: Callable[[str], bool] = lambda message_id: True,
    ) -> None:
        self.log = log
        self.feeds = Feeds(log, settings, self.ensure_running)
        self._settings = settings
        self._graph = graph
        self._agent = agent
        self._http = http
        self._dispatch = dispatch
        self._idempotent = idempotent
        self._unowned = UnownedTasks(log, http, settings)
        self._me = f"{agent}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        # Tasks that code of this process is about to start or to end. With `_running`, all that it holds leases for.
        self._held: set[str] = set()
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

    async def send(self, message: UserMessage, owner: str) -> Head:
        """Take a message: begin a task, start one that nobody has started, or answer its question.

        A message that the task knows already changes nothing.

        Raises:
            RequestError: the message cannot be used; nothing was done.
            RpcError: -32001 or -32004; nothing was done.
        """
        await in_turn(partial(check, owner=owner), [message.stored()])
        if message.task_id is None:
            head = await self._create(message, owner)
            await self.ensure_running(head)
            return await self.log.head(head.task_id)
        head = await self.owned(message.task_id, owner)
        if message.context_id not in (None, head.context_id):
            raise RequestError(f"contextId has value {message.context_id!r}, but the task's is {head.context_id!r}.")
        history = await history_of(self.log, head)
        reply = message.stored(head.task_id, head.context_id)
        if self._idempotent(reply.message_id) and _knows(history, reply):
            await self.ensure_running(head)
        elif history.state in INTERRUPTED:
            if has_files(reply):
                await in_turn(partial(check, owner=owner), [*history.messages, reply])  # all of them have one limit
            await self._reply(head, reply, history)
        else:
            raise _takes_no_message(head, history)
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
            if head.state not in TERMINAL and head.lease_owner == self._me and task_id not in self._held:
                await self._cancel_claimed(head)  # An attempt of this process failed to start and has left its lease.
            elif head.state not in TERMINAL and head.leased(self.log.now()):
                await self._await_end(head)
            elif head.state not in TERMINAL:
                await self._cancel_claimed(await self.log.claim(task_id, self._me, self._settings.lease_s))
        except TaskFinished as error:
            raise not_cancelable(str(error)) from None
        except LeaseHeld:
            await self._await_end(head)
        state = (await self.log.head(task_id)).state
        if state in TERMINAL and state != "TASK_STATE_CANCELED":
            raise not_cancelable(f"Task {task_id!r} was finished before it could be cancelled: its state is {state}.")

    async def ensure_running(self, head: Head) -> None:
        """Go on with a task that nobody runs, as `head` tells: start it, or take it over from a dead attempt.

        Looking at a task must not fail because nobody can run it: errors are logged, and whoever looks next
        tries again.
        """
        task_id = head.task_id
        if not head.orphaned(self.log.now()) or task_id in self._running or head.agent != self._agent:
            return
        try:
            claimed = await self.log.claim(task_id, self._me, self._settings.lease_s)
            await self._begin(claimed, WORKER_STOPPED if head.lease_owner is None else WORKER_LOST)
        except (LeaseHeld, TaskFinished):
            return  # Somebody else was faster.
        except LogError as error:
            logger.warning("task %s was not taken up: %s", task_id, error)
        except Exception:
            logger.exception("task %s was not taken up", task_id)

    async def until_idle(self) -> None:
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

    async def _create(self, message: UserMessage, owner: str) -> Head:
        key = message.message_id if self._idempotent(message.message_id) else str(uuid.uuid4())
        task_id = task_id_of(owner, self._agent, key)
        context_id = message.context_id or str(uuid.uuid4())
        head = Head(
            task_id=task_id,
            owner=owner,
            context_id=context_id,
            agent=self._agent,
            fingerprint=fingerprint_of(message),
        )
        event = events.submitted(head.source, message.stored(task_id, context_id))
        try:
            return await self.log.create(head, event)
        except TaskConflict:
            raise _message_id_taken(message.message_id) from None

    async def _cancel_claimed(self, claimed: Head) -> None:
        with self._holding(claimed.task_id):
            await self._unowned.cancel(claimed)

    @contextmanager
    def _holding(self, task_id: str) -> Iterator[None]:
        """For as long as code of this process works under the task's lease."""
        self._held.add(task_id)
        try:
            yield
        finally:
            self._held.discard(task_id)

    async def _begin(
        self, claimed: Head, reason: str, reply: Message | None = None, history: History | None = None
    ) -> bool:
        """Start an attempt on the claimed task, or end the task if it is to be cancelled or cannot be started.

        `reason` says why the task needs an attempt, `history` is what is known of it. Returns whether the attempt took
        `reply`. The task fails if this was its last try.
        """
        with self._holding(claimed.task_id):
            return await self._begin_held(claimed, reason, reply, history)

    async def _begin_held(self, claimed: Head, reason: str, reply: Message | None, history: History | None) -> bool:
        if claimed.cancel_requested:
            await self._unowned.cancel(claimed)
            return False
        if claimed.tries > MAX_TRIES:
            await self._unowned.finish(claimed, "TASK_STATE_FAILED", tries_exhausted(None))
            return False
        saver: Any = self._graph.checkpointer
        try:
            begun = await take_over(self.log, saver, claimed, reason, reply, history)
        except LogUnavailable:
            with suppress(LogError):
                await self.log.excuse(claimed.task_id, claimed.attempt)
            raise
        except (Fenced, TaskFinished, TaskUnknown):
            raise
        except CheckpointUnreadable as error:
            await self._unowned.finish(claimed, "TASK_STATE_FAILED", str(error))
            return False
        except Exception as error:
            if claimed.tries < MAX_TRIES:
                raise
            logger.exception("task %s is given up", claimed.task_id)
            await self._unowned.finish(claimed, "TASK_STATE_FAILED", tries_exhausted(error))
            return False
        if begun is None:
            return False
        with self.feeds.live(claimed.task_id) as feed:
            feed.publish(begun.fence)
        if begun.state == "TASK_STATE_FAILED":
            await cancel_delegated_tasks(
                self._http, claimed, begun.history.open_delegated_tasks.values(), self._settings
            )
            await self.log.update_state(claimed.task_id, claimed.attempt, begun.state, release=True)
            return False
        attempt = Attempt(self.log, self.feeds, self._settings, self._http, begun)
        run = asyncio.create_task(self._work(attempt), name=f"run {claimed.task_id}")
        self._running[claimed.task_id] = attempt, run
        run.add_done_callback(lambda _: self._running.pop(claimed.task_id, None))
        return begun.replied

    async def _work(self, attempt: Attempt) -> None:
        """Let the attempt work, and cancel the task if that was requested while the attempt asked the user."""
        if await attempt.work(self._graph, self._dispatch):
            with suppress(LeaseHeld, TaskFinished, Fenced):  # somebody else is about to
                await self._cancel_claimed(await self.log.claim(attempt.task_id, self._me, self._settings.lease_s))

    async def _reply(self, head: Head, reply: Message, history: History) -> None:
        """Give a waiting task its reply, unless the same reply, sent twice, was taken in the meantime.

        Raises:
            RpcError: -32004, another reply was faster.
        """
        known: History | None = history
        while claimed := await self._claim_waiting(head.task_id):
            with suppress(Fenced):  # An attempt has asked again, so the task still waits.
                if await self._begin(claimed, WORKER_STOPPED, reply, known):
                    return
            known = None  # The attempt may have changed it.
            if _knows(await history_of(self.log, head), reply):
                return
        now = await history_of(self.log, head)
        if not _knows(now, reply):
            if now.state in TERMINAL:
                raise _takes_no_message(head, now)
            raise unsupported_operation(f"Task {head.task_id!r} takes no message: another reply was there first.")

    async def _claim_waiting(self, task_id: str) -> Head | None:
        """Claim a task that waits for input; None when it does not wait any more.

        Whether it waits is told by its last event: the head follows a moment later, and until then the
        attempt that asked still holds the lease.
        """
        while True:  # no longer than the lease of the attempt that asked
            try:
                return await self.log.claim(task_id, self._me, self._settings.lease_s)
            except TaskFinished:
                return None
            except LeaseHeld:
                if not await self._waits(task_id):
                    return None
                await asyncio.sleep(_SETTLE_S)

    async def _waits(self, task_id: str) -> bool:
        newest = await self.log.read(task_id, await self.log.last(task_id) - 1)
        return ends(newest[-1].events[-1]) in INTERRUPTED

    async def _await_end(self, head: Head) -> None:
        """Wait for a run elsewhere to notice that it is cancelled; not for ever.

        A dead runner notices nothing: then the feed that is followed here takes the task over and ends it.
        """
        task_id, settings = head.task_id, self._settings
        leased_s = max(0, head.lease_until - self.log.now()) / 1000
        try:
            async with asyncio.timeout(max(leased_s, settings.renew_s) + _CANCEL_WAIT_S):
                await wait_for_end(self.log, self.feeds, task_id, past_input=True)
        except TimeoutError:
            logger.warning("task %s: its runner has not noticed the cancel yet", task_id)


def _knows(history: History, message: Message) -> bool:
    """Whether the task has this message already.

    Raises:
        RequestError: it has another one of the same id.
    """
    for known in history.messages:
        if known.message_id == message.message_id:
            if known != message:
                raise _message_id_taken(message.message_id)
            return True
    return False


def _takes_no_message(head: Head, history: History) -> RpcError:
    return unsupported_operation(
        f"Task {head.task_id!r} takes no message: its state is {history.state}, not TASK_STATE_INPUT_REQUIRED."
    )


def _message_id_taken(message_id: str) -> RequestError:
    return RequestError(f"messageId has value {message_id!r}, which another message has; a new one needs its own.")
