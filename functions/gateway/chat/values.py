"""What events have as text, as the values that the AI SDK's parts have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tailrace.events import Message, Part, as_text
from tailrace.inputs.decode import data_in, text_in


def text_of_parts(parts: Sequence[Part]) -> str | None:
    """The text of an artifact's parts; None if one of them is no text."""
    texts = [part.text for part in parts if part.text is not None and not part.filename]
    return "".join(texts) if len(texts) == len(parts) else None


def words_of(message: Message | None) -> str:
    """What a message says: its text, else its data as JSON."""
    if message is None:
        return ""
    return text_in([message]) or "\n".join(as_text(value) for value in data_in([message]))


def arguments(text: str) -> Any:
    """A tool's arguments. They are text if they are cut."""
    try:
        return msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


def structured(text: str) -> Any:
    """A tool's result: an object or an array as such, anything else as text."""
    return arguments(text) if text.startswith(("{", "[")) else text


def cut(text: str, size: int | None) -> str:
    """A text of `size` characters of which an event has the beginning; None if it has all."""
    return text if size is None else f"{text}… ({size:,} characters)"
