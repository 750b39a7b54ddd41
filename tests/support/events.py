"""Messages and events as JSON: functions that build messages and read events."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from tailrace.events import Message, Part

# The key of our metadata on the wire.
EXTENSION = "urn:tailrace:a2a:resume:1"
TERMINAL = ("TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED")


def message_of(*parts: dict[str, Any] | Part, message_id: str = "m") -> Message:
    """A message of the user with these parts, each as A2A 1.0 JSON or typed."""
    return Message(message_id=message_id, role="ROLE_USER", parts=[msgspec.convert(part, Part) for part in parts])


def message(text: str, **fields: Any) -> dict[str, Any]:
    """A user's message of one text part, as 1.0 has it."""
    return {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"text": text}], **fields}


def body_of(event: dict[str, Any]) -> dict[str, Any]:
    (body,) = event.values()
    return dict(body)


def state_of(event: dict[str, Any]) -> str | None:
    """The state of the task in an event, None if the event has none."""
    update = event.get("task") or event.get("statusUpdate")
    return update["status"]["state"] if update else None


def metadata(event: dict[str, Any]) -> dict[str, Any]:
    """The event's metadata under the key of our extension."""
    return dict(body_of(event)["metadata"][EXTENSION])


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if metadata(event)["kind"] == kind]


def said(event: dict[str, Any]) -> str:
    """The text of the message in a status."""
    update = event.get("task") or event["statusUpdate"]
    return "".join(part.get("text", "") for part in update["status"]["message"]["parts"])


def artifact_text(events: list[dict[str, Any]], name: str = "response") -> str:
    """The text of a streamed artifact, put together as a reader of the stream does.

    A stream may begin with the whole task: a run that was fast is a part of it.
    """
    text = ""
    for event in events:
        for artifact in event.get("task", {}).get("artifacts", []):
            if artifact["artifactId"] == name:
                text = "".join(part["text"] for part in artifact["parts"])
        update = event.get("artifactUpdate")
        if update and update["artifact"]["artifactId"] == name:
            delta = "".join(part["text"] for part in update["artifact"]["parts"])
            text = text + delta if update["append"] else delta
    return text
