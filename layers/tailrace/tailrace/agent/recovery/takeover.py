"""How an attempt begins: what it goes on from, and the fence that says so."""

from __future__ import annotations

from typing import Any

import msgspec
from langgraph.checkpoint.base import BaseCheckpointSaver

from tailrace import events
from tailrace.agent.recovery.history import HANDED_OFF, History, history_of
from tailrace.agent.recovery.resume_plan import ResumePlan, resume_plan_of
from tailrace.errors import Fenced, TailraceError, shorten
from tailrace.events import INTERRUPTED, TERMINAL, State
from tailrace.log import Batch, EventLog, Head

# So many attempts in a row may be lost without getting any further.
_LOST_MOST = 3
# So many may take the lease in a row and not get as far as their fence.
TRIES_MOST = 10
# What is told of an error.
_SHOWN = 500


class Takeover(msgspec.Struct):
    """A claimed task whose older attempts are fenced off.

    `state` is WORKING, or FAILED when it cannot go on; `replied` tells whether the reply is in its fence.
    """

    head: Head
    history: History
    plan: ResumePlan
    fence: Batch
    state: State
    replied: bool


async def begin(
    log: EventLog, saver: BaseCheckpointSaver[Any], head: Head, reason: str, reply: dict[str, Any] | None
) -> Takeover | None:
    """Fence off every older attempt of the claimed task: from here on only this one writes.

    The fence is the task's change to WORKING, with the user's `reply` if there is one, or an event of kind
    `attempt` that says for what `reason` this attempt takes over; also when another reply was there first.
    None, and the lease let go of, when there is nothing to do: the task is finished, or waits for another reply.

    Raises:
        Fenced: a newer attempt has put its fence already.
        LogUnavailable: nothing may be assumed about the fence.
        LogUnreadable: the log holds what nobody can go on from.
    """
    while True:
        history = await history_of(log, head)
        if history.attempt > head.attempt:
            raise Fenced(head.task_id, head.attempt, history.last)
        waits = history.state in INTERRUPTED and (reply is None or reply in history.messages)
        if history.state in TERMINAL or waits:
            try:
                if waits and head.attempt - history.attempt > 1:
                    await _ask_again(log, head, history, await resume_plan_of(history, saver, head))
            except Fenced:
                continue
            await log.update_state(head.task_id, head.attempt, history.state, release=True)
            return None
        if history.state not in INTERRUPTED:
            reply = None  # An attempt that was thought dead has written another one.
        if reply is not None:
            history.messages.append(reply)
            history.fences.clear()
        plan = await resume_plan_of(history, saver, head)
        state, event = _fence(head, history, plan, HANDED_OFF if history.handed_off else reason, reply)
        fence = Batch(history.last + 1, head.attempt, [event])
        try:
            await log.append(head.task_id, fence)
        except Fenced:
            continue  # An older attempt wrote in between. It fails at the next seq, or we try again.
        return Takeover(head, history, plan, fence, state, reply is not None)


def cannot_begin(error: Exception | None) -> str:
    """Why a task has failed that no attempt could begin; `error` is what came of the last try, if that is known."""
    what = f"No worker could take the task up, in {TRIES_MOST} tries."
    if error is None:
        return f"{what} The last one was lost before it could say why."
    reason = str(error) if isinstance(error, TailraceError) else f"{type(error).__name__}: {error}"
    return f"{what} The last one failed: {shorten(reason, _SHOWN)}"


async def _ask_again(log: EventLog, head: Head, history: History, plan: ResumePlan) -> None:
    """Fence off an attempt that has claimed the waiting task and not written yet: it may be slow and not dead.

    Its reply, coming later, would leave a task that works with a head that waits, and nobody to run it.
    """
    seq = history.last + 1
    again = events.status_update(head.source, seq, "state", state=history.state, message=history.question, **plan.told)
    await log.append(head.task_id, Batch(seq, head.attempt, [again]))


def _fence(
    head: Head, history: History, plan: ResumePlan, reason: str, reply: dict[str, Any] | None
) -> tuple[State, bytes]:
    seq = history.last + 1
    if not history.messages:
        text = "The task was not created as a whole: its creator was cut off. Send the request again."
        return _failure(head, seq, text)
    if reply is not None or history.state == "TASK_STATE_SUBMITTED":
        working = events.status_update(head.source, seq, "state", message=reply, **plan.told)
        return "TASK_STATE_WORKING", working
    if history.attempts_lost_at(plan.checkpoint, reason) >= _LOST_MOST:
        at = ", ".join(sorted({history.steps[step].name for step in plan.supersedes if not history.steps[step].tool}))
        text = f"{_LOST_MOST} workers in a row were lost and came no further" + (f" than {at}." if at else ".")
        return _failure(head, seq, text)
    return "TASK_STATE_WORKING", events.status_update(
        head.source,
        seq,
        "attempt",
        text=None if reason == HANDED_OFF else f"{reason}, attempt {head.attempt}",
        reason=reason,
        supersedes=plan.supersedes,
        **plan.told,
    )


def _failure(head: Head, seq: int, text: str) -> tuple[State, bytes]:
    state: State = "TASK_STATE_FAILED"
    return state, events.status_update(head.source, seq, "state", state=state, text=text)
