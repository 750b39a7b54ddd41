"""What a new attempt goes on from: which checkpoints count, what runs again, what of the log that makes void.

The log is never behind a checkpoint (`tailrace.agent.checkpoints.attempt_saver`), but it may be ahead of it: a node
that ended in the log and not in a checkpoint runs again, and what it wrote is void. Each checkpoint says up to which
seq it covers the log, for the graph or subgraph it belongs to.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from tailrace.agent.checkpoints.attempt_saver import unpacked
from tailrace.agent.recovery.history import History, Step
from tailrace.events import Details
from tailrace.inputs.decode import data_in, text_in
from tailrace.log import Head

# LangGraph's channels of a task's pending writes which do not mean that the task is done.
_ERROR, _INTERRUPT, _RESUME = "__error__", "__interrupt__", "__resume__"
# A fenced attempt can have had one checkpoint on its way when it was fenced. Of so many attempts in a row.
_LOOK_BACK = 10


class ResumePlan(msgspec.Struct):
    """`pins` are the checkpoints to go on from, by namespace; without one the graph starts from its input. `done` are
    the executions of nodes whose results are kept although their siblings run again.

    `supersedes` are the steps that are void, `finished` those that ended although the log does not say so,
    `replaced` the text that is left of each artifact of which some is void. `answers` are what the user
    replied to each waiting interrupt, by the interrupt's id.
    """

    pins: dict[str, CheckpointTuple] = {}
    done: set[str] = set()
    supersedes: list[str] = []
    finished: list[Step] = []
    replaced: dict[str, str] = {}
    answers: dict[str, Any] = {}

    @property
    def details(self) -> Details:
        """The plan's part of a fence: how far the run has come, and the ids of the checkpoints by namespace."""
        ids = {namespace: pin.checkpoint["id"] for namespace, pin in self.pins.items()}
        return Details(checkpoint=self.checkpoint or None, checkpoints=ids or None)

    @property
    def checkpoint(self) -> str:
        """The same for two attempts if neither came further than the other; empty before the first node ended."""
        came: list[str] = []
        for namespace, pin in sorted(self.pins.items()):
            done = sorted(_done(pin))
            if pin.metadata.get("step", 0) > 0 or done:
                came.append(f"{namespace} {pin.checkpoint['id']} {done}")
        return hashlib.sha256("\n".join(came).encode()).hexdigest()[:16] if came else ""


async def resume_plan_of(history: History, saver: BaseCheckpointSaver[Any], head: Head) -> ResumePlan:
    """What the head's attempt goes on from."""
    plan = ResumePlan()
    runs_again: set[str] = set()
    waiting: dict[str, tuple[str, int]] = {}  # interrupt → the step that asks, how many answers it has had

    async def visit(namespace: str, parent: str | None) -> None:
        pin = unpacked(await _newest(saver, head, namespace, history), history.superseded)
        covered, done = 0, set[str]()
        if pin is not None:
            plan.pins[namespace] = pin
            covered, done = _marked(pin, "seq"), _done(pin)
            plan.done |= done
            waiting.update(_waiting(pin))
        for step in list(history.steps.values()):
            if step.tool or step.parent != parent or step.began <= covered or step.id in done | runs_again:
                continue  # The last is a step that encloses itself, which only a log that is not ours tells of.
            runs_again.add(step.id)
            await visit(f"{namespace}|{step.name}:{step.id}".removeprefix("|"), step.id)

    await visit("", None)
    void = {
        step.id for step in history.steps.values() if step.id in runs_again or (step.tool and step.parent in runs_again)
    }
    # A step that has asked another agent goes on where it was, and so does what encloses it.
    going_on = {each for step in history.asked if step in void for each in _upwards(history, step)}
    for step in history.steps.values():
        if step.id in void:
            if not step.superseded and step.id not in going_on:
                plan.supersedes.append(step.id)
        elif not step.ended and not step.superseded:
            plan.finished.append(step)
    for artifact, texts in history.texts.items():
        if any(step in runs_again for step, _ in texts):
            plan.replaced[artifact] = "".join(text for step, text in texts if step not in runs_again)
    for interrupt, (step_id, answers) in waiting.items():
        replies = history.messages[history.questions.get(step_id, len(history.messages)) :]
        if answers < len(replies):
            reply = replies[answers : answers + 1]
            plan.answers[interrupt] = text_in(reply) or next(iter(data_in(reply)), "")
    return plan


def _upwards(history: History, step_id: str | None) -> list[str]:
    """The step and those that enclose it."""
    found: list[str] = []
    while step_id is not None and step_id not in found and (step := history.steps.get(step_id)) is not None:
        found.append(step_id)
        step_id = step.parent
    return found


def _done(pin: CheckpointTuple) -> set[str]:
    """The tasks of the checkpoint's step that need not run again: their writes are saved."""
    return {task for task, channel, _ in pin.pending_writes or () if channel not in (_ERROR, _INTERRUPT, _RESUME)}


def _waiting(pin: CheckpointTuple) -> dict[str, tuple[str, int]]:
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
    """The newest checkpoint of the latest attempt; if it has put none, the one that it went on from.

    Never a later one of an older attempt, which was on its way when that was fenced: the latest attempt has begun
    again without it, and has taken back what led to it.
    """
    config: RunnableConfig = {"configurable": {"thread_id": head.thread, "checkpoint_ns": namespace}}
    newest = await saver.aget_tuple(config)
    if newest is None or _marked(newest, "attempt") >= history.attempt:
        return newest
    # All of them before anything else is asked: the SQLite saver is locked while it lists.
    recent = [each async for each in saver.alist(config, limit=_LOOK_BACK)]
    for each in recent:
        if _marked(each, "attempt") >= history.attempt:
            return await saver.aget_tuple(each.config)
    pinned = history.pins.get(namespace)
    if pinned is None:
        return None
    return await saver.aget_tuple({"configurable": {**config["configurable"], "checkpoint_id": pinned}})


def _marked(pin: CheckpointTuple, key: str) -> int:
    """A number that our saver has put into a checkpoint's metadata."""
    metadata: Any = pin.metadata
    return int(metadata.get(key, 0))
