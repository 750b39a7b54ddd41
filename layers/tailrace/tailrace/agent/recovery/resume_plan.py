"""The resume plan: the checkpoints that a new attempt resumes from, the steps that run again, and the events that this
supersedes.

The log is never behind a checkpoint (`tailrace.agent.checkpoints.attempt_saver`), but it may be ahead of one. A node
that has ended in the log but not in a checkpoint runs again, and what it wrote is void. Each checkpoint records the seq
up to which it covers the log, for its graph or subgraph.
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

# Channels of pending writes that do not mean that LangGraph's task is done.
_ERROR, _INTERRUPT, _RESUME = "__error__", "__interrupt__", "__resume__"
# How many of the newest checkpoints may come from fenced attempts: each attempt can have had one under way when it was
# fenced.
_LOOK_BACK = 10


class ResumePlan(msgspec.Struct):
    """How an attempt resumes a run.

    - `pins`: the checkpoints to resume from, by namespace. Without one the graph starts from its input.
    - `done`: ids of LangGraph's tasks whose results are kept although other nodes of their step run again.
    - `supersedes`: ids of the steps that are void.
    - `finished`: steps that have ended, but whose end is not in the log.
    - `replaced`: by artifact id, the text that is left of an artifact of which some text is void.
    - `answers`: the user's replies by the id of the interrupt that waits for them.
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
        """How far the run has come, as a hash; "" before any node has ended. Two attempts have the same if neither got
        further than the other.
        """
        progress: list[str] = []
        for namespace, pin in sorted(self.pins.items()):
            done = sorted(_done(pin))
            if pin.metadata.get("step", 0) > 0 or done:
                progress.append(f"{namespace} {pin.checkpoint['id']} {done}")
        return hashlib.sha256("\n".join(progress).encode()).hexdigest()[:16] if progress else ""


async def resume_plan_of(history: History, saver: BaseCheckpointSaver[Any], head: Head) -> ResumePlan:
    """The plan of the head's attempt. Reads the checkpoints.

    Raises:
        CheckpointsUnavailable, CheckpointUnreadable
    """
    plan = ResumePlan()
    runs_again: set[str] = set()
    waiting: dict[str, tuple[str, int]] = {}  # Interrupt id → its step, and how many answers it has.

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
                continue  # A step in `runs_again` would enclose itself, which only a damaged log contains.
            runs_again.add(step.id)
            await visit(f"{namespace}|{step.name}:{step.id}".removeprefix("|"), step.id)

    await visit("", None)
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
    """The step's id and those of the steps that enclose it."""
    ids: list[str] = []
    while step_id is not None and step_id not in ids and (step := history.steps.get(step_id)) is not None:
        ids.append(step_id)
        step_id = step.parent
    return ids


def _done(pin: CheckpointTuple) -> set[str]:
    """Ids of LangGraph's tasks after the checkpoint that need not run again: their writes are saved."""
    return {task for task, channel, _ in pin.pending_writes or () if channel not in (_ERROR, _INTERRUPT, _RESUME)}


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
    """The newest checkpoint of the latest attempt; if it has saved none, the one that it resumed from.

    A later checkpoint of an older attempt does not count. It was under way when that attempt was fenced; the latest
    attempt has started without it, and has superseded the steps that led to it.
    """
    config: RunnableConfig = {"configurable": {"thread_id": head.thread, "checkpoint_ns": namespace}}
    newest = await saver.aget_tuple(config)
    if newest is None or _marked(newest, "attempt") >= history.attempt:
        return newest
    # The list is read to its end first: the SQLite saver is locked while it lists.
    recent = [each async for each in saver.alist(config, limit=_LOOK_BACK)]
    for each in recent:
        if _marked(each, "attempt") >= history.attempt:
            return await saver.aget_tuple(each.config)
    pinned = history.pins.get(namespace)
    if pinned is None:
        return None
    return await saver.aget_tuple({"configurable": {**config["configurable"], "checkpoint_id": pinned}})


def _marked(pin: CheckpointTuple, key: str) -> int:
    """A number that `AttemptSaver` has put into a checkpoint's metadata."""
    metadata: Any = pin.metadata
    return int(metadata.get(key, 0))
