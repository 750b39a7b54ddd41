"""Streamed text: it arrives in pieces, each of which is a part, and is shown as one part."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tailrace import events
    from tailrace.a2a import incoming

# A part of one of our tasks, or of another agent's.
AnyPart = TypeVar("AnyPart", "events.Part", "incoming.Part")


def join_text(parts: Iterable[AnyPart]) -> list[AnyPart]:
    """The parts, with neighbouring pieces of text joined. A text with a file name or a media type stays alone."""
    joined: list[AnyPart] = []
    for is_text, group in groupby(parts, _is_only_text):
        members = list(group)
        if is_text:
            joined.append(type(members[0])(text="".join(part.text or "" for part in members)))
        else:
            joined += members
    return joined


def _is_only_text(part: events.Part | incoming.Part) -> bool:
    return part.text is not None and part == type(part)(text=part.text)
