"""The A2A Task that a task's events add up to."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from tailrace.decoding import decode_json
from tailrace.errors import JsonError, LogUnreadable, TaskUnknown
from tailrace.events import EXTENSION, timestamp
from tailrace.log import EventLog, Head

logger = logging.getLogger("tailrace.a2a")


class Snapshot(msgspec.Struct):
    """A Task as A2A 1.0 JSON, and the seq of the last event that is in it."""

    task: dict[str, Any]
    seq: int


async def snapshot(log: EventLog, task_id: str, *, history_length: int | None = None) -> Snapshot:
    """The task as its events so far add up to it; what cannot be read of them is left out.

    Its history holds what the user said, the questions and the answers: progress is in the events.
    `history_length` keeps the newest that many messages, None all; with 0 there is no `history`.

    Raises:
        TaskUnknown: there is no such task.
    """
    task: dict[str, Any] = {}
    artifacts: dict[str, dict[str, Any]] = {}
    seq = 0
    while True:
        try:
            batches = await log.read(task_id, seq)
        except LogUnreadable as error:
            logger.warning("task %s is shown without what cannot be read: %s", task_id, error)
            seq = error.last
            continue
        if not batches:
            break
        for batch in batches:
            for number, event in enumerate(batch.events, batch.seq):
                try:
                    _apply(task, artifacts, decode_json(event, "The event"))
                except (JsonError, LookupError, TypeError, AttributeError) as error:
                    logger.warning("task %s: event %d is left out, it cannot be read: %s", task_id, number, error)
            seq = batch.last
    if not seq:
        raise TaskUnknown(task_id)
    if not {"id", "status"} <= task.keys():
        task = {**summary(await log.head(task_id)), "history": []}
    if artifacts:
        task["artifacts"] = [joined(artifact) for artifact in artifacts.values()]
    if history_length == 0:
        del task["history"]
    else:
        task["history"] = _newest(task["history"], history_length)
    task["metadata"] = {EXTENSION: {"seq": seq}}
    return Snapshot(task, seq)


def summary(head: Head) -> dict[str, Any]:
    """A task as a list shows it: without its messages and artifacts."""
    return {
        "id": head.task_id,
        "contextId": head.context_id,
        "status": {"state": head.state, "timestamp": timestamp(head.updated)},
        "metadata": {EXTENSION: {"agent": head.agent, "created": head.created}},
    }


def _apply(task: dict[str, Any], artifacts: dict[str, dict[str, Any]], event: dict[str, Any]) -> None:
    if "task" in event:
        task.update(event["task"])
        task.setdefault("history", [])
    elif "statusUpdate" in event:
        update = event["statusUpdate"]
        # What has expired may have taken event 1 along: the task is still told as far as it is known.
        task.setdefault("id", update["taskId"])
        task.setdefault("contextId", update["contextId"])
        task.setdefault("history", [])
        status, is_state = update["status"], update["metadata"][EXTENSION]["kind"] == "state"
        if is_state:
            task["status"] = status
            if "message" in status:
                task["history"].append(status["message"])
        else:
            task["status"] = {**task.get("status", {}), "state": status["state"], "timestamp": status["timestamp"]}
    elif "artifactUpdate" in event:
        fold(artifacts, event["artifactUpdate"])


def fold(artifacts: dict[str, dict[str, Any]], update: dict[str, Any]) -> None:
    """Add an artifact update to the artifacts so far, by their ids."""
    artifact = update["artifact"]
    there = artifacts.get(artifact["artifactId"])
    if there is None or not update.get("append"):
        artifacts[artifact["artifactId"]] = {**artifact, "parts": list(artifact["parts"])}
    else:
        there["parts"] += artifact["parts"]


def joined(artifact: dict[str, Any]) -> dict[str, Any]:
    """The artifact with the text deltas it was streamed in put together."""
    parts: list[dict[str, Any]] = []
    texts: list[str] = []
    for part in artifact["parts"]:
        if part.keys() == {"text"}:
            texts.append(part["text"])
            continue
        if texts:
            parts.append({"text": "".join(texts)})
            texts = []
        parts.append(part)
    if texts:
        parts.append({"text": "".join(texts)})
    return {**artifact, "parts": parts}


def _newest(history: list[dict[str, Any]], length: int | None) -> list[dict[str, Any]]:
    if length is None or length >= len(history):
        return history
    return history[len(history) - max(length, 0) :]
