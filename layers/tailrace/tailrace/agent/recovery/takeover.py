"""The takeover: an attempt reads where the run is, and writes the fence with which it starts.

The writer of a task's first attempt may write its fence, as its first event: there is no older attempt that could have
taken the fence's place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from langgraph.checkpoint.base import BaseCheckpointSaver

from tailrace import events
from tailrace.agent.answers import Reply
from tailrace.agent.recovery.history import HANDED_OFF, REPLIED, History, history_of
from tailrace.agent.recovery.resume_plan import ResumePlan, resume_plan_of
from tailrace.agent.recovery.summary import history_so_far
from tailrace.agent.threads import Start
from tailrace.errors import Fenced
from tailrace.events import INTERRUPTED, TERMINAL, Message, State
from tailrace.log import Batch, EventLog, Head
from tailrace.log.fence import append_fence

# After this many lost attempts in a row that got no further, the task fails.
_MAX_LOST = 3
# The task fails after this many attempts in a row that were handed on before they began a step: AWS charges for each.
_MAX_WITHOUT_A_STEP = 100


class Takeover(msgspec.Struct):
    """A claimed task whose older attempts are fenced off.

    `state` is WORKING, or FAILED if the run cannot go on; the fence says why. `replied` says whether the fence contains
    the user's reply. `reason` is the fence's, if it has one: why there is another attempt. `fenced` says whether the
    log has the fence; if not, it is the first event that the attempt has to write.
    """

    head: Head
    history: History
    plan: ResumePlan
    fence: Batch
    state: State
    replied: bool
    reason: str | None = None
    fenced: bool = True


async def take_over(
    log: EventLog,
    saver: BaseCheckpointSaver[Any],
    head: Head,
    reason: str,
    reply: Reply | None,
    history: History | None = None,
    begin: Callable[[Message], Awaitable[Start]] | None = None,
    *,
    fences_first: bool = True,
) -> Takeover | None:
    """Fence off every older attempt of the claimed task: from now on only this attempt writes.

    The fence is the change to WORKING, with the user's `reply` if there is one. Without a reply, or if another reply
    was faster, it is an event of kind `attempt` with the `reason` for this takeover.

    `history` is what the caller knows of the task. What came after it is read only if somebody else has claimed the
    task since. A slow attempt may have written something all the same: then the fence finds its place taken, and
    everything is read.

    `begin` says for the first attempt, by the message that the task was created with, where the task starts; by default
    in a thread of its own. Without `fences_first` the fence of a first attempt that can run is not written here.

    Returns None and releases the lease if there is nothing to do: the task is finished, or waits for another reply.

    Raises:
        Fenced: a newer attempt has written its fence.
        LogUnavailable: nothing may be assumed about the fence.
        LogUnreadable: an event that decides how the run goes on cannot be read.
        Exception: what `begin` raises. Nothing was written.
    """
    only_first = head.attempt == 1  # Nobody has begun the task.

    async def propose() -> tuple[Batch | None, Takeover | State]:
        nonlocal history, reply, only_first
        current = history
        if current is None:
            current = await history_so_far(log, head, only_first=only_first)
        elif head.attempt != current.attempt + 1:
            current = await history_of(log, head, current)
        history, only_first = None, False  # What follows changes it, so a second proposal reads everything again.
        if current.attempt > head.attempt:
            raise Fenced(head.task_id, head.attempt, current.last)
        if current.state in TERMINAL:
            return None, current.state
        known = reply is not None and reply.message in current.messages
        if current.state in INTERRUPTED and (reply is None or known or not reply.fits(current.question)):
            if head.attempt - current.attempt <= 1:
                return None, current.state
            return _ask_again(head, current, await resume_plan_of(current, saver, head)), current.state
        if current.state not in INTERRUPTED:
            reply = None  # An attempt that was thought dead has written another one.
        if reply is not None:
            current.reply(reply.message, events.now_ms())
        if begin is not None and current.attempt == 0 and current.messages:
            start = await begin(current.messages[0])
            current.thread, current.pins = start.thread, start.checkpoints
        elif current.thread is not None:
            await log.conversations.keep(current.thread, head.task_id, head.created)
        plan = await resume_plan_of(current, saver, head)
        message = None if reply is None else reply.message
        why = HANDED_OFF if current.handed_off else reason
        state, written = _fence(head, current, plan, why, message)
        fence = Batch(current.last + 1, head.attempt, written)
        again = reply is None and current.attempt > 0
        return fence, Takeover(head, current, plan, fence, state, reply is not None, why if again else None)

    if head.attempt == 1 and not fences_first:
        _, proposed = await propose()
        if isinstance(proposed, Takeover) and proposed.state == "TASK_STATE_WORKING":
            proposed.fenced = False
            return proposed
    result = await append_fence(log, head.task_id, propose)
    if isinstance(result, Takeover):
        return result
    await log.update_state(head.task_id, head.attempt, result, release=True)
    return None


def _ask_again(head: Head, history: History, plan: ResumePlan) -> Batch:
    """The task's question once more, as a fence against an attempt that has claimed the waiting task.

    That attempt may be slow and not dead. Without this fence, its late reply would leave a task that works under a
    head that waits, and nobody would run it.
    """
    seq = history.last + 1
    event = events.status_update(head.source, seq, "state", plan.details, state=history.state, message=history.question)
    return Batch(seq, head.attempt, [event])


def _fence(
    head: Head, history: History, plan: ResumePlan, reason: str, reply: Message | None
) -> tuple[State, list[bytes]]:
    """The task's new state, and the events of the fence: one, and for a reply another one if steps begin anew."""
    seq = history.last + 1
    if not history.messages:
        text = "The task was not created as a whole: its creator was cut off. Send the request again."
        return _failure(head, seq, text)
    if reply is not None or history.state == "TASK_STATE_SUBMITTED":
        working = events.status_update(head.source, seq, "state", plan.details, message=reply)
        anew = [_attempt(head, seq + 1, plan, REPLIED)] if plan.begins_anew else []
        return "TASK_STATE_WORKING", [working, *anew]
    if history.attempts_lost_at(plan.checkpoint, reason) >= _MAX_LOST:
        at = ", ".join(sorted({history.steps[step].name for step in plan.supersedes if not history.steps[step].tool}))
        text = f"{_MAX_LOST} workers in a row were lost and came no further" + (f" than {at}." if at else ".")
        return _failure(head, seq, text)
    if reason == HANDED_OFF and history.attempts_without_a_step >= _MAX_WITHOUT_A_STEP:
        text = (
            f"{_MAX_WITHOUT_A_STEP} attempts in a row had to hand the run on before a step could begin. Give them more "
            "time: a longer timeout of the function, or a larger TAILRACE_ATTEMPT_S, or a smaller TAILRACE_HANDOFF_S."
        )
        return _failure(head, seq, text)
    why = None if reason == HANDED_OFF else f"{reason}, attempt {head.attempt}"
    return "TASK_STATE_WORKING", [_attempt(head, seq, plan, reason, why)]


def _attempt(head: Head, seq: int, plan: ResumePlan, reason: str, text: str | None = None) -> bytes:
    details = plan.details
    details.reason, details.supersedes = reason, plan.supersedes
    return events.status_update(head.source, seq, "attempt", details, text=text)


def _failure(head: Head, seq: int, text: str) -> tuple[State, list[bytes]]:
    state: State = "TASK_STATE_FAILED"
    return state, [events.status_update(head.source, seq, "state", state=state, text=text)]
