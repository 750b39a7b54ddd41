"""The resume plan: the checkpoints that a new attempt resumes from, the steps that run again, and the events that this
supersedes.

The log is never behind a checkpoint (`tailrace.agent.checkpoints.attempt_saver`), but it may be ahead of one. A node
that has ended in the log but not in a checkpoint runs again, and what it wrote is void. Each checkpoint records the seq
up to which it covers the log, for its graph or subgraph.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from tailrace.agent.answers import answers_in, bare_answer
from tailrace.agent.checkpoints.attempt_saver import (
    HANDLED,
    as_base,
    base_of,
    is_lasting,
    is_marked_by,
    lasting_namespace,
    mark,
    steps_since,
    unpacked,
)
from tailrace.agent.questions import questions_in
from tailrace.agent.recovery.history import History, Step
from tailrace.errors import ThreadLost
from tailrace.events import Details
from tailrace.log import Head
from tailrace.stream.writer import Piece

# Channels of pending writes that do not mean that LangGraph's task is done.
_ERROR, _INTERRUPT, _RESUME = "__error__", "__interrupt__", "__resume__"
# How many of the newest checkpoints may come from fenced attempts: each attempt can have had one under way when it was
# fenced.
_LOOK_BACK = 10


class ResumePlan(msgspec.Struct):
    """How an attempt resumes a run.

    - `thread`: the id of LangGraph's thread.
    - `pins`: the checkpoints to resume from, by namespace.
    - `resumes`: whether the graph's own checkpoint is this task's. If not, the graph starts with the task's input.
    - `done`: ids of LangGraph's tasks whose results are kept although other nodes of their step run again.
    - `supersedes`: ids of the steps that are void. `begins_anew` says whether a later try of a step had begun
      one of them.
    - `finished`: steps that have ended, but whose end is not in the log.
    - `replaced`: by artifact id, the pieces of text that are left of an artifact of which some text is void.
    - `answers`: the user's answers by the id of the interrupt that waits for them.
    """

    thread: str
    pins: dict[str, CheckpointTuple] = {}
    resumes: bool = False
    done: set[str] = set()
    supersedes: list[str] = []
    begins_anew: bool = False
    finished: list[Step] = []
    replaced: dict[str, list[Piece]] = {}
    answers: dict[str, Any] = {}

    @property
    def details(self) -> Details:
        """The plan's part of a fence: how far the run has come, the checkpoints' ids by namespace, and the thread."""
        ids = {namespace: pin.checkpoint["id"] for namespace, pin in self.pins.items()}
        return Details(checkpoint=self.checkpoint or None, checkpoints=ids or None, thread=self.thread)

    @property
    def checkpoint(self) -> str:
        """How far the run has come, as a hash; "" before any node has ended. Two attempts have the same if neither got
        further than the other.
        """
        progress: list[str] = []
        for namespace, pin in sorted(self.pins.items()):
            done = sorted(_done(pin))
            if steps_since(pin.metadata.get("step", 0), base_of(pin)) > 0 or done:
                progress.append(f"{namespace} {pin.checkpoint['id']} {done}")
        return hashlib.sha256("\n".join(progress).encode()).hexdigest()[:16] if progress else ""


async def resume_plan_of(history: History, saver: BaseCheckpointSaver[Any], head: Head) -> ResumePlan:
    """The plan of the head's attempt. Reads the checkpoints.

    Raises:
        CheckpointsUnavailable, CheckpointUnreadable
    """
    plan = ResumePlan(thread=history.thread or head.thread)
    runs_again: set[str] = set()
    waiting: dict[str, tuple[str, int]] = {}  # Interrupt id → its step, and how many answers it has.

    async def visit(outer: str, around: Step | None, graph: int = 0) -> None:
        namespace = "" if around is None else f"{outer}|{place_of(around)}".removeprefix("|")
        namespace += f"|{graph}" if graph else ""
        pin = await _newest(saver, head, namespace, history)
        if pin is None and around is not None:
            namespace, pin = await lasting_in(namespace, outer)
        covered, done = 0, set[str]()
        if pin is not None:
            void_calls = _void_calls(history, _done(pin))
            plan.begins_anew |= bool(void_calls)
            pin = _without(pin, void_calls)
            plan.pins[namespace] = _with_ended_handlers(pin, history)
            covered, done = mark(pin, "seq", 0), _done(pin)
            plan.done |= done
            waiting_here = _waiting(pin)
            if waiting_here:  # The step around it has saved the same interrupts, or older ones.
                for interrupt in [each for each, (step_id, _) in waiting.items() if around and step_id == around.id]:
                    del waiting[interrupt]
            waiting.update(waiting_here)
        for step in list(history.steps.values()):
            if step.tool or not step.is_within(around) or step.graph != graph or step.began <= covered:
                continue
            if step.id in done | runs_again:
                continue  # A step in `runs_again` would enclose itself, which only a damaged log contains.
            runs_again.add(step.id)
            inside = [inner for inner in history.steps.values() if inner.is_within(step)]
            # What a `@task` says of tries is about the node that has called it, which is beside it.
            nodes = [inner for inner in inside if inner.caller is None]
            # A graph may have begun again since, in a first try.
            newest = {each.graph: each for each in sorted(nodes, key=lambda each: each.began)}
            again = _asks_again(nodes, history)
            retried = {number for number, each in newest.items() if each.is_of_a_retry and not again}
            plan.begins_anew |= bool(retried)
            runs_again.update(each for inner in inside if inner.graph in retried for each in _downwards(history, inner))
            for each in sorted({0, *(inner.graph for inner in inside)} - retried):
                await visit(namespace, step, each)

    def place_of(step: Step) -> str:
        failed = history.steps.get(step.handles or "")
        around = "" if failed is None else f"{failed.name}:{failed.id}|"
        return f"{around}{step.name}:{step.id}"

    async def lasting_in(namespace: str, around: str) -> tuple[str, CheckpointTuple | None]:
        """The namespace of the subgraph with `checkpointer=True` in a step, and the checkpoint that step has saved.

        `around` is the namespace of the graph in which the step runs.
        """
        lasting = lasting_namespace(namespace)
        saved = await _newest(saver, head, lasting, history)
        caller = plan.pins.get(around)
        if saved is None or caller is None or caller.checkpoint["id"] not in saved.metadata.get("parents", {}).values():
            return namespace, None
        return lasting, saved

    await visit("", None)
    root = plan.pins.get("")
    plan.resumes = root is not None and mark(root, "attempt", 0) > 0
    # What subgraphs with `checkpointer=True` remember, as of the graph's own checkpoint.
    lasting = mark(root, "lasting", {}) if root is not None and plan.resumes else history.pins
    for namespace, checkpoint_id in lasting.items():
        if is_lasting(namespace) and namespace not in plan.pins:
            plan.pins[namespace] = await _pinned(saver, head, history, namespace, checkpoint_id)
    void = {
        step.id for step in history.steps.values() if step.id in runs_again or (step.tool and step.parent in runs_again)
    }
    # A step with a delegated task goes on where it was, and so do the steps that enclose it.
    continued = {each for step in history.delegated if step in void for each in _upwards(history, step)}
    for step in history.steps.values():
        if step.id in void:
            if not step.superseded and step.id not in continued:
                plan.supersedes.append(step.id)
        elif not step.ended and not step.superseded:
            plan.finished.append(step)
    for artifact, pieces in history.texts.items():
        left = [piece for piece in pieces if piece.step not in runs_again]
        if len(left) < len(pieces):
            plan.replaced[artifact] = left
    plan.answers = _answers(history, waiting)
    return plan


def _answers(history: History, waiting: dict[str, tuple[str, int]]) -> dict[str, Any]:
    """The answers to the interrupts that wait. `waiting` has the step of each, and how many answers that step has had.

    An older version wrote questions without the ids of their interrupts: the answers to them are the replies, in order.
    """
    answers = answers_in(history.exchanges)
    by_interrupt = {interrupt: answers[interrupt] for interrupt in waiting if interrupt in answers}
    with_ids = {question.id for exchange in history.exchanges for question in questions_in(exchange.message)}
    without_ids = [exchange.reply for exchange in history.exchanges if not questions_in(exchange.message)]
    for interrupt, (step_id, taken) in waiting.items():
        since = history.messages[history.questions.get(step_id, len(history.messages)) :]
        replies = [message for message in since if message in without_ids]
        if interrupt not in with_ids and taken < len(replies):
            by_interrupt[interrupt] = bare_answer(replies[taken])
    return by_interrupt


def _upwards(history: History, step_id: str | None) -> list[str]:
    """The step's id and those of the steps that enclose it."""
    ids: list[str] = []
    while step_id is not None and step_id not in ids and (step := history.steps.get(step_id)) is not None:
        ids.append(step_id)
        step_id = step.parent
    return ids


def _downwards(history: History, step: Step) -> list[str]:
    """The step's id and those of the steps inside it."""
    ids = [step.id]
    for each in history.steps.values():  # a step comes before those inside it
        if each.parent in ids and each.id not in ids:
            ids.append(each.id)
    return ids


def _void_calls(history: History, done: set[str]) -> set[str]:
    """The steps of `@task`s of which no result counts. `done` are the steps that do not run again.

    LangGraph numbers what a step calls, graphs too, through all its tries, and begins with 0 when the step runs again:
    it would take the result of a call in a later try for that of another call.
    """
    void, calls = set[str](), defaultdict[str | None, list[Step]](list)
    for step in history.steps.values():
        calls[step.caller].append(step)
    for step in history.steps.values():  # a step comes before those that it calls
        again = step.caller is not None and step.caller not in done and step.is_of_a_retry
        if step.caller in void or (again and not _asks_again(calls[step.caller], history)):
            void.add(step.id)
    return void


def _asks_again(steps: Sequence[Step], history: History) -> bool:
    """Whether a later try has asked twice at the same place in these steps, because what it did first was void.

    Then nothing that it did is void any more. A question that only a later try comes to would be asked without end if
    the first try fails in every attempt.
    """
    places = [(step.graph, step.name) for step in steps if step.tried > 1 and step.id in history.questions]
    return len(set(places)) < len(places)


def _done(pin: CheckpointTuple) -> set[str]:
    """Ids of LangGraph's tasks after the checkpoint that need not run again: their writes are saved."""
    return {task for task, channel, _ in pin.pending_writes or () if channel not in (_ERROR, _INTERRUPT, _RESUME)}


def _without(pin: CheckpointTuple, tasks: set[str]) -> CheckpointTuple:
    """The checkpoint without what these tasks have saved after it."""
    kept = [write for write in pin.pending_writes or () if write[0] not in tasks]
    return pin._replace(pending_writes=kept) if tasks else pin


def _with_ended_handlers(pin: CheckpointTuple, history: History) -> CheckpointTuple:
    """The checkpoint in which the results of error handlers that have ended are those of the nodes that had failed.

    LangGraph runs the error handler of a failed node again whenever it resumes the step, also if it has saved the
    handler's result.
    """
    writes = pin.pending_writes or []
    failed = {task for task, channel, _ in writes if channel == HANDLED}
    steps = [history.steps[task] for task in _done(pin) if task in history.steps]
    ended = {step.id: step.handles for step in steps if step.handles in failed}
    if not ended:
        return pin
    handled = {(task, channel) for task in ended.values() for channel in (_ERROR, HANDLED)}
    kept = [
        (ended.get(task) or task, channel, value) for task, channel, value in writes if (task, channel) not in handled
    ]
    return pin._replace(pending_writes=kept)


def _waiting(pin: CheckpointTuple) -> dict[str, tuple[str, int]]:
    """By interrupt id: the task that waits at it, and how many answers that task has had."""
    writes = pin.pending_writes or ()
    answers = {task: len(values) for task, channel, values in writes if channel == _RESUME and isinstance(values, list)}
    return {
        interrupt.id: (task, answers.get(task, 0))
        for task, channel, interrupts in writes
        if channel == _INTERRUPT
        for interrupt in interrupts
    }


async def _newest(
    saver: BaseCheckpointSaver[Any], head: Head, namespace: str, history: History
) -> CheckpointTuple | None:
    """The newest checkpoint of the latest attempt; if it has saved none, the one that it started from.

    A later checkpoint of an older attempt does not count. It was under way when that attempt was fenced; the latest
    attempt has started without it, and has superseded the steps that led to it.
    """
    thread = history.thread or head.thread
    config: RunnableConfig = {"configurable": {"thread_id": thread, "checkpoint_ns": namespace}}

    def counts(saved: CheckpointTuple) -> bool:
        return is_marked_by(saved, head.thread) and bool(mark(saved, "attempt", 0) >= history.attempt)

    if history.attempt > 0:  # else this is the first one
        newest = await saver.aget_tuple(config)
        if newest is not None and counts(newest):
            return unpacked(newest, history.superseded)
        # The list is read to its end first: the SQLite saver is locked while it lists.
        recent = [each async for each in saver.alist(config, limit=_LOOK_BACK)] if newest is not None else []
        for each in recent:
            if counts(each):
                return unpacked(await saver.aget_tuple(each.config), history.superseded)
    pinned = history.pins.get(namespace)
    return None if pinned is None else await _pinned(saver, head, history, namespace, pinned)


async def _pinned(
    saver: BaseCheckpointSaver[Any], head: Head, history: History, namespace: str, checkpoint_id: str
) -> CheckpointTuple:
    """The checkpoint with this id, which may be another task's of the same thread.

    Raises:
        ThreadLost: it does not exist any more.
    """
    place = {"thread_id": history.thread or head.thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}
    saved = unpacked(await saver.aget_tuple({"configurable": place}), history.superseded)
    if saved is None:
        raise ThreadLost(checkpoint_id)
    return saved if is_marked_by(saved, head.thread) else as_base(saved)
