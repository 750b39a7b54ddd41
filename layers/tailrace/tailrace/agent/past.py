"""What happened in a task before an attempt begins, as far as the attempt has to know it."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.events import State, state_of
from tailrace.log import EventLog

# In an event only a message of the user, and only a streamed artifact, have these: inside a string the
# quotes would be escaped. So no other event has to be decoded.
_USER_MARK = b'"role":"ROLE_USER"'
_TEXT_MARK = b'"kind":"token"'


class Past(msgspec.Struct):
    """The user's messages as A2A JSON, oldest first, the names of the text artifacts begun, and the state."""

    messages: list[dict[str, Any]]
    artifacts: set[str]
    state: State = "TASK_STATE_SUBMITTED"


async def past_of(log: EventLog, task_id: str) -> Past:
    past = Past([], set())
    seq = 0
    while batches := await log.read(task_id, seq):
        for batch in batches:
            for event in batch.events:
                if _USER_MARK in event or _TEXT_MARK in event:
                    _note(past, msgspec.json.decode(event))
                past.state = state_of(event) or past.state
            seq = batch.last
    return past


def _note(past: Past, event: dict[str, Any]) -> None:
    if "artifactUpdate" in event:
        past.artifacts.add(event["artifactUpdate"]["artifact"]["artifactId"])
        return
    messages = event["task"]["history"] if "task" in event else [event["statusUpdate"]["status"].get("message")]
    past.messages += [message for message in messages if message and message["role"] == "ROLE_USER"]
