"""What a task was asked: the text, data and files of the user's messages, decoded and checked."""

from __future__ import annotations

from typing import Any

import msgspec


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file part: `text` is its content, decoded (gzip undone, UTF-8, line ends as they came)."""

    filename: str
    media_type: str
    text: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the user has sent to a task so far, the first message and every reply."""

    text: str
    data: list[Any]
    files: list[File]
