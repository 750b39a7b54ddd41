"""What a task was asked: the text, data and files of the user's messages, decoded and checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tailrace.inputs.text import Content, Text

# What is behind this in a line is cut away by `File.lines`: no line may take a machine's memory.
LINE_LIMIT = 1_048_576


class File:
    """A file part. Its text is decoded: gzip undone, UTF-8, line ends as they came.

    Small ones came with the message and are in memory. Uploaded ones were brought to this machine's disk before the
    graph began, and are what their reference says: `lines` and `chunks` read them in little memory, `text` takes as
    much as the file has. Nothing here waits for a network.
    """

    def __init__(
        self,
        *,
        filename: str,
        media_type: str,
        text: str = "",
        content: Content | None = None,
        reference: dict[str, Any] | None = None,
    ) -> None:
        self.filename = filename
        self.media_type = media_type
        self.content = content or Text(text)
        # The A2A part that refers to the upload, to be passed on to who may read it too; None if it came inline.
        self.reference = reference

    @property
    def text(self) -> str:
        """All of it."""
        return self.content.text

    @property
    def size(self) -> int:
        """About how many characters it has: exactly as many when it is ASCII."""
        return self.content.size

    def lines(self) -> Iterator[str]:
        """Its lines in order, without their ends, each at most `LINE_LIMIT` characters long."""
        return (line.text.rstrip("\r") for line in self.content.lines(LINE_LIMIT))

    def chunks(self) -> Iterator[bytes]:
        """All of it in UTF-8, piece by piece."""
        return self.content.chunks()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the user has sent to a task so far, the first message and every reply."""

    text: str
    data: list[Any]
    files: list[File]
    # Of the newest message; "" where there is none.
    message_id: str = ""

    def close(self) -> None:
        """Give back the disk that uploaded files take; they cannot be read any more."""
        for file in self.files:
            file.content.close()
