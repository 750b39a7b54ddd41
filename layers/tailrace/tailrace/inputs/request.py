"""The request of a task: the text, data and files of the user's messages, decoded and checked."""

from __future__ import annotations

import base64
import builtins
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from tailrace.events import Part, without_surrogates
from tailrace.inputs.text import Content, Text

# `File.lines` cuts longer lines, so that a line cannot fill the memory. In characters.
LINE_LIMIT = 1_048_576
# The most bytes of files in the content blocks of one message. Every checkpoint of the graph has them again.
MAX_BLOCK_BYTES = 4_000_000
# LangChain has content blocks of these kinds for media types that begin like this; every other binary type is a file.
_MEDIA = ("image", "audio", "video")


class File:
    """A file that the user sent: text, or bytes if it is `binary`.

    Text is UTF-8: gzip is unpacked, invalid bytes are replaced, line ends are kept. A binary file is exactly what was
    sent. Text parts are in memory; other files were copied to this machine's disk before the graph started. `lines` and
    `chunks` read them with little memory; `text`, `bytes` and `block` need memory for the whole file. Nothing here
    waits for the network.
    """

    def __init__(
        self,
        *,
        filename: str,
        media_type: str,
        text: str = "",
        content: Content | None = None,
        reference: Part | None = None,
        binary: bool = False,
    ) -> None:
        self.filename = filename
        self.media_type = media_type
        self.content = content or Text(text)
        # The A2A part that refers to the upload, to pass on to other agents; None if the file came in the message.
        self.reference = reference
        self.binary = binary

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

    def chunks(self) -> Iterator[builtins.bytes]:
        """The bytes, of a text in UTF-8, in chunks of at most 256 KiB."""
        return self.content.chunks()

    def bytes(self) -> builtins.bytes:
        """All bytes, of a text in UTF-8."""
        return b"".join(self.chunks())

    def block(self) -> dict[str, Any]:
        """The whole file as one of LangChain's standard content blocks, whatever its size.

        A text becomes a text block that begins with the file's name. Images, audio and video have blocks of their own;
        everything else, like a PDF, becomes a file block. These hold the bytes as base64.
        """
        if not self.binary:
            return _text_block(f"File {self.filename}:\n\n{self.text}")
        kind = self.media_type.partition("/")[0]
        block = {"base64": base64.b64encode(self.bytes()).decode(), "mime_type": self.media_type}
        if kind in _MEDIA:
            return {"type": kind, **block}
        return {"type": "file", **block, "extras": {"filename": self.filename}}


class Data(NamedTuple):
    """A data part of a message: any JSON."""

    value: Any


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the user has sent to a task so far: the first message and all replies.

    - `message_id`: the newest message's id.
    - `context_id`: the conversation that the task is part of.
    - `metadata`: the messages' metadata. Where two have the same key, the later message's value counts.
    - `reference_tasks`: the ids of other tasks that the messages refer to, as the user named them; nobody has checked
      them.
    - `owner`: the id of the task's owner. A task that another agent delegated has the owner `user/task`.
    - `parts`: text, data and files in the order in which the user sent them.

    The caller chooses everything except `owner`.

    Example:
        def given(request: Request) -> dict[str, object]:  # for AgentApp(graph, card, input=given)
            about = f"The user is {request.owner}."
            return {"messages": [("system", about), ("user", request.content)]}

        async def look(state: MessagesState) -> None:
            write(" ".join(each.text for each in state["messages"]))
    """

    text: str
    data: list[Any]
    files: list[File]
    message_id: str = ""
    context_id: str = ""
    metadata: dict[str, Any] = {}
    reference_tasks: list[str] = []
    owner: str = ""
    parts: list[str | Data | File] = []

    @property
    def content(self) -> str | list[dict[str, Any]]:
        """The request for a chat model, as a message's content: text, or a content block for each part."""
        return content_of(self.parts)

    def close(self) -> None:
        """Free the disk space of the files. They cannot be read any more."""
        for file in self.files:
            file.content.close()


def content_of(parts: Sequence[str | Data | File]) -> str | list[dict[str, Any]]:
    """The content of a chat message that has these parts: text if all are text, else a block for each.

    Data becomes JSON text. The files' blocks have at most `MAX_BLOCK_BYTES`; for a file that does not fit, a text block
    only gives its name, type and size. Blank texts are left out, because some models refuse them.
    """
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        return str(without_surrogates("\n".join(texts).strip()))
    blocks: list[dict[str, Any]] = []
    room = MAX_BLOCK_BYTES
    for part in parts:
        if isinstance(part, File):
            if part.size <= room:
                room -= part.size
                blocks.append(part.block())
            else:
                blocks.append(_text_block(_named_only(part)))
        elif isinstance(part, Data):
            blocks.append(_text_block(json.dumps(part.value, ensure_ascii=False)))
        elif part.strip():
            blocks.append(_text_block(part))
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        return str(blocks[0]["text"])
    return blocks


def _text_block(text: str) -> dict[str, Any]:
    # No checkpoint can hold a lone surrogate.
    return {"type": "text", "text": without_surrogates(text)}


def _named_only(file: File) -> str:
    return f"File {file.filename} ({file.media_type}, {file.size:,} bytes) is too large to be shown here."
