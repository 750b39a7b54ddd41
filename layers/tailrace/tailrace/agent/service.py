"""An agent's tasks: what happens when a message or a cancel arrives, or when somebody reads an orphaned task.

Every decision is based on the task's head in the log, so it does not matter which process gets the request.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import httpx

from tailrace.a2a.directory import Directory
from tailrace.a2a.errors import not_cancelable, task_not_found, too_busy, unsupported_operation
from tailrace.a2a.identity import task_id_of
from tailrace.a2a.server.services import Sent
from tailrace.a2a.types import UserMessage
from tailrace.agent.answers import Reply, check_reply
from tailrace.agent.attempt import Attempt
from tailrace.agent.cancel_wait import await_end
from tailrace.agent.delegated_tasks import cancel_delegated_tasks
from tailrace.agent.dispatch import Dispatch
from tailrace.agent.graph import AgentGraph
from tailrace.agent.held import Held
from tailrace.agent.lease import CancelRequested, Lease, LeaseThread
from tailrace.agent.new_task import claim_new, create_task, start_of
from tailrace.agent.recovery.history import WORKER_LOST, WORKER_STOPPED, History
from tailrace.agent.recovery.summary import history_so_far
from tailrace.agent.recovery.takeover import take_over
from tailrace.agent.replies import claim_waiting, has_message, not_waiting
from tailrace.agent.slots import Slots
from tailrace.agent.threads import conversation_to_delete
from tailrace.agent.unowned import MAX_TRIES, UnownedTasks, tries_exhausted
from tailrace.agent.waking import wake_sleeper
from tailrace.config import Settings
from tailrace.errors import (
    CheckpointUnreadable,
    ContextBusy,
    ContextDamaged,
    Fenced,
    LeaseHeld,
    LogError,
    LogUnavailable,
    Rejected,
    RequestError,
    TaskFinished,
    TaskUnknown,
    ThreadUnknown,
)
from tailrace.events import INTERRUPTED, TERMINAL, State
from tailrace.inputs.decode import has_files
from tailrace.inputs.turns import in_turn
from tailrace.log import EventLog, Head
from tailrace.log.head import NewOf, NotNew
from tailrace.stores.units import counted
from tailrace.stream.broadcast import Feeds

logger = logging.getLogger("tailrace.tasks")


class Tasks:
    """The A2A server's `TaskService` for one agent, in one process.

    `idempotent` says whether a message id stands for one message only; see `AgentApp`.
    """

    def __init__(
        self,
        log: EventLog,
        settings: Settings,
        agent: AgentGraph,
        http: httpx.AsyncClient,
        dispatch: Dispatch,
        *,
        idempotent: Callable[[str], bool] = lambda message_id: True,
    ) -> None:
        self.log = log
        self.feeds = Feeds(log, settings, self.ensure_running)
        self._settings = settings
        self._agent = agent
        self._http = http
        self._directory = Directory(http, settings, patient=True)
        self._dispatch = dispatch
        self._idempotent = idempotent
        self._leases = LeaseThread(settings)
        self._slots = Slots(agent.max_tasks, self._start_waiting)
        self._unowned = UnownedTasks(log, http, settings, dispatch)
        self._me = f"{agent.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._held = Held()
        self._running: dict[str, tuple[Attempt, asyncio.Task[None]]] = {}

    async def owned(self, task_id: str, owner: str, head: Head | None = None) -> Head:
        """The head of the owner's task, which is read unless it is passed.

        Raises:
            RpcError: -32001, if there is no such task, or it belongs to another agent or owner.
        """
        head = head or await self.log.head(task_id)
        if head.owner != owner or head.agent != self._agent.name:
            raise task_not_found(task_id)
        return head

    async def visit(self, task_id: str, owner: str, *, new: bool) -> Head:
        """As `TaskService.visit`."""
        head: Head | None = None
        if new and task_id not in self._running and not self._slots.full:
            only = NewOf(owner, self._agent.name)
            expected = Head(task_id=task_id, context_id="", **only._asdict())
            start = partial(self._start_orphaned, expected, only=only)
            head = await asyncio.shield(self._slots.visit(task_id, start))
        head = await self.owned(task_id, owner, head)
        await self.ensure_running(head)
        return head

    async def send(self, message: UserMessage, owner: str) -> Sent:
        """Create and start a task from the message, or reply with it to a task's question.

        If the task has the message already, it is only started if nobody runs it.

        Raises:
            RequestError: the message cannot be used, or does not answer what the task asks. Nothing was done.
            RpcError: -32001 (no such task), -32004 (the task does not wait for a message), or -32603 (this process
                works on too many tasks to begin another one). Nothing was done.
            LogError
        """
        check = partial(self._agent.check, owner=owner)
        await in_turn(partial(check, begins=message.task_id is None), [message.stored()])
        if message.task_id is None:
            return await self._begin_task(message, owner)
        head = await self.owned(message.task_id, owner)
        if message.context_id not in (None, head.context_id):
            raise RequestError(f"contextId has value {message.context_id!r}, but the task's is {head.context_id!r}.")
        history = await history_so_far(self.log, head)
        reply = message.stored(head.task_id, head.context_id)
        if self._idempotent(reply.message_id) and has_message(history, reply):
            await self.ensure_running(head)
        elif history.state in INTERRUPTED:
            checked = check_reply(history.question, reply, self._agent.check_answer)
            if has_files(reply):  # The limit on files is for all messages of a task together.
                await in_turn(partial(check, begins=False), [*history.messages, reply])
            with self._held.holding(head.task_id):
                await self._reply(head, checked, history)
        else:
            raise not_waiting(head, history)
        return Sent(head.task_id)

    async def cancel(self, task_id: str, owner: str) -> None:
        """Cancel a task in whatever process it runs.

        Returns when the task is cancelled. If its runner is alive but does not react in time, this returns earlier, and
        the runner cancels the task when it next renews its lease.

        Raises:
            RpcError: -32001 (no such task) or -32002 (the task is finished).
            LogError
        """
        await self.owned(task_id, owner)
        ended: State | None = None
        try:
            head = await self.log.request_cancel(task_id)
            if running := self._running.get(task_id):
                attempt, run = running
                attempt.cancel()
                await asyncio.wait([run])
                head = await self.log.head(task_id)  # It may have asked the user just before the cancel.
            if head.state not in TERMINAL and head.lease_owner == self._me and not self._works_on(task_id):
                await self._cancel_claimed(head)  # An attempt of this process failed to start and has left its lease.
            elif head.state not in TERMINAL and head.leased(self.log.now()):
                ended = await await_end(self.log, self.feeds, self._settings, head)
            elif head.state not in TERMINAL:
                await self._claim_to_cancel(task_id)
        except TaskFinished as error:
            raise not_cancelable(str(error)) from None
        except LeaseHeld:
            ended = await await_end(self.log, self.feeds, self._settings, head)
        state = ended or (await self.log.head(task_id)).state
        if state in TERMINAL and state != "TASK_STATE_CANCELED":
            raise not_cancelable(f"Task {task_id!r} was finished before it could be cancelled: its state is {state}.")

    async def delete_thread(self, context_id: str, owner: str) -> None:
        """As `TaskService.delete_thread`."""
        record = await conversation_to_delete(self.log, owner, self._agent.name, context_id)
        await self._agent.checkpointer.adelete_thread(record.id)
        if self._agent.thread == "task":
            for task_id in record.deleting or ():
                with suppress(TaskUnknown):  # It has expired, or an earlier deletion was cut off behind this step.
                    await self._agent.checkpointer.adelete_thread((await self.log.head(task_id)).thread)

    async def ensure_running(self, head: Head) -> None:
        """Start a task that nobody runs, or take it over from a dead attempt. Does nothing if `head` is not orphaned.

        If all slots are taken, it is started when one is free. This never raises: reading a task must not fail because
        the task cannot run. Errors are logged, and the next request for the task tries again.
        """
        if self._needs_a_runner(head) and self._slots.wait_for_one(head.task_id):
            # A reader may go away meanwhile. A claim without an attempt would cost the task a lease's time, and a try.
            await asyncio.shield(self._slots.begin(head.task_id, partial(self._start_orphaned, head)))

    def _needs_a_runner(self, head: Head) -> bool:
        """Whether the task is orphaned. An attempt of this process that has given the task back only ends."""
        running = self._running.get(head.task_id)
        handed_on = head.lease_owner is None and running is not None and head.attempt == running[0].number
        ours = head.agent == self._agent.name and (running is None or handed_on)
        return ours and head.orphaned(self.log.now())

    async def _start_waiting(self, task_id: str) -> None:
        """Start a task that has waited for a slot."""
        with suppress(LogError):  # It has expired; or the log is away, and the next request for the task tries again.
            await self._start_orphaned(await self.log.head(task_id))

    async def _start_orphaned(
        self, head: Head, history: History | None = None, only: NewOf | None = None
    ) -> Head | None:
        """Start the head's task if it is orphaned; with `only`, if it is that. `history` is as in `_begin`.

        This never raises. Return the head that was claimed, or that shows another task than `only`; else None.
        """
        if not self._needs_a_runner(head):
            return None
        try:
            with self._held.holding(head.task_id):
                claim = self.log.claim(head.task_id, self._me, self._settings.lease_s, only)
                if history is None and head.attempt == 0:
                    claimed, history = await claim_new(self.log, self._settings, head, claim)
                else:
                    claimed = await claim
                reason = WORKER_STOPPED if head.lease_owner is None else WORKER_LOST
                await self._begin(claimed, reason, None, history)
            return claimed
        except NotNew as other:
            return other.head
        except (LeaseHeld, TaskFinished, TaskUnknown):
            return None  # Another process was faster.
        except LogError as error:
            logger.warning("task %s was not started: %s", head.task_id, error)
        except Exception:
            logger.exception("task %s was not started", head.task_id)
        return None

    async def until_idle(self) -> None:
        """Return when this process runs no task. If this is cancelled, it stops all runs."""
        try:
            while self._running or self._slots.starting:
                await asyncio.wait([*(task for _, task in self._running.values()), *self._slots.starting])
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop all runs of this process and release their leases. Other processes can take the tasks over at once."""
        self._slots.close()
        running = [task for _, task in self._running.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *self._slots.starting, return_exceptions=True)

    async def _begin_task(self, message: UserMessage, owner: str) -> Sent:
        key = message.message_id if self._idempotent(message.message_id) else str(uuid.uuid4())
        if not await self._slots.refuse():
            with self._slots.one():
                new = await create_task(self.log, self._agent, message, owner, key)
                await self._start_orphaned(new.head, new.history)
                return Sent(new.head.task_id, new=new.history is not None)
        try:
            await self.log.head(task_id_of(owner, self._agent.name, key))
        except TaskUnknown:
            raise too_busy(f"This agent works on {self._slots.most} tasks, its limit") from None
        # The message is repeated, so this returns its task.
        head = (await create_task(self.log, self._agent, message, owner, key)).head
        await self.ensure_running(head)
        return Sent(head.task_id)

    async def _claim_to_cancel(self, task_id: str) -> None:
        with self._held.holding(task_id):
            await self._cancel_claimed(await self.log.claim(task_id, self._me, self._settings.lease_s))

    async def _cancel_claimed(self, claimed: Head) -> None:
        async with self._held_for(claimed):
            await self._unowned.cancel(claimed)

    def _works_on(self, task_id: str) -> bool:
        """Whether code of this process works under the task's lease, or is about to."""
        return task_id in self._held or task_id in self._running

    @asynccontextmanager
    async def _held_for(self, claimed: Head) -> AsyncIterator[Lease]:
        """Hold the task, and renew its lease meanwhile."""
        lease = Lease(self.log, claimed, self._settings)
        with self._held.holding(claimed.task_id):
            async with self._leases.renewing(lease):
                yield lease

    async def _begin(
        self, claimed: Head, reason: str, reply: Reply | None = None, history: History | None = None
    ) -> bool:
        """Start an attempt on the claimed task, or end the task if it is to be cancelled or cannot be started.

        `reason` says why it needs an attempt. `history` is what the caller knows of the task. Returns whether the
        attempt took `reply`. The task fails if this was its last try.
        """
        async with self._held_for(claimed) as lease:
            with counted():
                return await self._begin_held(lease, reason, reply, history)

    async def _begin_held(self, lease: Lease, reason: str, reply: Reply | None, history: History | None) -> bool:
        claimed = lease.head
        if claimed.tries > MAX_TRIES and not claimed.cancel_requested:
            await self._unowned.finish(claimed, "TASK_STATE_FAILED", tries_exhausted(None))
            return False
        begin = partial(start_of, self.log, self._agent, self._settings, claimed)
        arguments = (self.log, self._agent.checkpointer, claimed, reason, reply, history, begin)
        take = partial(take_over, *arguments, fences_first=False)
        try:
            takeover = await lease.start(take)
        except CancelRequested:
            await self._unowned.cancel(claimed)
            return False
        except LogUnavailable:
            with suppress(LogError):
                await self.log.take_back_try(claimed.task_id)
            raise
        except (Fenced, TaskFinished, TaskUnknown):
            raise
        except (CheckpointUnreadable, ThreadUnknown) as error:
            await self._unowned.finish(claimed, "TASK_STATE_FAILED", str(error))
            return False
        except (ContextBusy, ContextDamaged, Rejected, RequestError) as error:
            await self._unowned.finish(claimed, "TASK_STATE_REJECTED", str(error))
            return False
        except Exception as error:
            if claimed.tries < MAX_TRIES:
                raise
            logger.exception("task %s is given up", claimed.task_id)
            await self._unowned.finish(claimed, "TASK_STATE_FAILED", tries_exhausted(error))
            return False
        if takeover is None:  # It has ended or waits, and an older attempt was lost before it could say so.
            await wake_sleeper(self.log, self._dispatch, claimed)
            return False
        if takeover.fenced:
            with self.feeds.live(claimed.task_id) as feed:
                feed.publish(takeover.fence)
        if takeover.state == "TASK_STATE_FAILED":
            delegated = takeover.history.open_delegated_tasks.values()
            await cancel_delegated_tasks(self.log, self._http, claimed, delegated, self._settings)
            failed = await self.log.update_state(claimed.task_id, claimed.attempt, takeover.state, release=True)
            await wake_sleeper(self.log, self._dispatch, failed)
            return False
        if before := self._running.get(claimed.task_id):
            try:
                await asyncio.wait([before[1]])  # It has given its lease back, or lost it, and ends.
            except asyncio.CancelledError:
                await lease.give_back(takeover.state)
                raise
        attempt = Attempt(
            self.log, self.feeds, self._settings, self._http, self._leases, lease, self._directory, takeover
        )
        run = asyncio.create_task(self._work(attempt), name=f"run {claimed.task_id}")
        self._running[claimed.task_id] = attempt, run
        self._slots.take()  # A reply is always taken: its task has begun.
        run.add_done_callback(lambda _: self._ended(claimed.task_id))
        return takeover.replied

    def _ended(self, task_id: str) -> None:
        self._running.pop(task_id, None)
        self._slots.free()

    async def _work(self, attempt: Attempt) -> None:
        """Run the attempt. Then cancel the task if the request for it came while the attempt was asking the user."""
        if await attempt.work(self._agent, self._dispatch):
            with suppress(LeaseHeld, TaskFinished, Fenced):  # Another process cancels or runs the task.
                await self._claim_to_cancel(attempt.task_id)

    async def _reply(self, head: Head, reply: Reply, history: History) -> None:
        """Give a waiting task its reply, unless the same reply, sent twice, was taken in the meantime.

        Raises:
            RequestError, RpcError: another reply was faster.
        """
        known: History | None = history
        while claimed := await claim_waiting(self.log, head.task_id, self._me, self._settings.lease_s):
            with suppress(Fenced):  # An attempt has asked again, so the task still waits.
                if await self._begin(claimed, WORKER_STOPPED, reply, known):
                    return
            known = None  # The attempt may have changed it.
            newest = await history_so_far(self.log, head)
            if has_message(newest, reply.message):
                return
            if newest.state in INTERRUPTED and not reply.fits(newest.question):
                check_reply(newest.question, reply.message)  # says which questions are open, if the reply names others
                break
        if not has_message(newest := await history_so_far(self.log, head), reply.message):
            if newest.state in TERMINAL:
                raise not_waiting(head, newest)
            raise unsupported_operation(f"Task {head.task_id!r} takes no message: another reply was taken before.")
