"""The request of a task: the text, data and files of the user's messages, decoded and checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tailrace.events import Part
from tailrace.inputs.text import Content, Text

# `File.lines` cuts longer lines, so that a line cannot fill the memory. In characters.
LINE_LIMIT = 1_048_576


class File:
    """A file that the user sent, as UTF-8 text: gzip is unpacked, invalid bytes are replaced, line ends are kept.

    Text parts are in memory; other files were copied to this machine's disk before the graph started. `lines` and
    `chunks` read them with little memory, `text` needs memory for the whole file. Nothing here waits for the network.
    """

    def __init__(
        self,
        *,
        filename: str,
        media_type: str,
        text: str = "",
        content: Content | None = None,
        reference: Part | None = None,
    ) -> None:
        self.filename = filename
        self.media_type = media_type
        self.content = content or Text(text)
        # The A2A part that refers to the upload, to pass on to other agents; None if the file came in the message.
        self.reference = reference

    @property
    def text(self) -> str:
        """The whole text."""
        return self.content.text

    @property
    def size(self) -> int:
        """The size in characters if the file is in memory, else in bytes. For ASCII these are equal."""
        return self.content.size

    def lines(self) -> Iterator[str]:
        """The lines in order, without their line ends, each cut to `LINE_LIMIT` characters."""
        return (line.text.rstrip("\r") for line in self.content.lines(LINE_LIMIT))

    def chunks(self) -> Iterator[bytes]:
        """The text in UTF-8, in chunks of at most 256 KiB."""
        return self.content.chunks()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the user has sent to a task so far: the first message and all replies."""

    text: str
    data: list[Any]
    files: list[File]
    # The newest message's id; "" if it has none.
    message_id: str = ""

    def close(self) -> None:
        """Free the disk space of the files. They cannot be read any more."""
        for file in self.files:
            file.content.close()
