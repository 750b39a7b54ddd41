"""A user's message, made of parts as their JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.events import Message, Part


def message_of(*parts: dict[str, Any] | Part, message_id: str = "m") -> Message:
    """A message of the user with these parts, each as A2A 1.0 JSON or typed."""
    return Message(message_id=message_id, role="ROLE_USER", parts=[msgspec.convert(part, Part) for part in parts])
