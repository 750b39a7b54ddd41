"""Server-Sent Events in both directions: the frames that we send, and a parser of the frames that we receive.

Source: the WHATWG HTML standard, section "Server-sent events".

sse-starlette carries the response (`tailrace.stream.response`). The frames and the parser are ours: an event is copied
from the log to a reader and never decoded, and a whole batch leaves as one chunk. sse-starlette and httpx-sse make an
object for each event, which costs five times as much as everything else on that way together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from tailrace.errors import AgentError
from tailrace.log import Batch

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
COMMENT = b": \n\n"

_BOM = b"\xef\xbb\xbf"
# Another agent that sends a larger event is broken or hostile.
_MAX_EVENT_BYTES = 16_000_000
# A frame as `Framing` writes it, in a text whose line ends are LF.
_FRAME = re.compile(rb"id: (\d{1,15})\ndata: (.*)\n\n")


def retry(ms: int) -> bytes:
    """Tell the reader to wait `ms` milliseconds before it comes back."""
    return b"retry: %d\n\n" % ms


# The last frame of a stream that is cut on purpose. The short pause protects a server that many readers come back to.
COME_BACK = retry(250)


def padding(size: int) -> bytes:
    """A comment of about `size` bytes, against proxies that hold back the first bytes of a response."""
    return b":" + b" " * size + b"\n\n" if size else b""


def control(name: str, data: dict[str, object]) -> bytes:
    """A named frame with `data` as JSON. It has no `id:`, so it does not move the reader's cursor."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


# A browser's EventSource hides comments from its page, and does not dispatch a frame without data.
PING = control("ping", {})


def pause(ms: int, *, busy: bool = False) -> bytes:
    """The last frames of a stream that pauses for `ms` milliseconds; `busy` if the server has no place to hold it.

    A script cannot read `retry:`, and an EventSource without a script obeys nothing else.
    """
    return retry(ms) + control("pause", {"ms": ms, **({"reason": "busy"} if busy else {})})


class Framing:
    """Frames of events as they are, for HTTP+JSON (A2A specification, section 11.7)."""

    _head, _tail = b"data: ", b"\n\n"

    def frames(self, batch: Batch) -> bytes:
        """A frame for each event with its seq as the `id:`, all in one chunk."""
        head, tail = self._head, self._tail
        pieces: list[bytes] = []  # joined once: a format for each event takes twice as long
        for seq, event in enumerate(batch.events, batch.seq):
            pieces += (b"id: %d\n" % seq, head, event, tail)
        return b"".join(pieces)

    def frame(self, seq: int | None, result: bytes) -> bytes:
        """A frame of one event. Without a seq it has no `id:`, and no reader can come back to it."""
        frame = b"%b%b%b" % (self._head, result, self._tail)
        return frame if seq is None else b"id: %d\n%b" % (seq, frame)


class Envelope(Framing):
    """Frames of events in JSON-RPC responses to the request `rpc_id`. The events' bytes stay as they are."""

    _tail = b"}\n\n"

    def __init__(self, rpc_id: str | int | None) -> None:
        self._opening = b'{"jsonrpc":"2.0","id":' + json.dumps(rpc_id).encode() + b',"result":'
        self._head = b"data: " + self._opening

    def open(self, data: bytes) -> bytes | None:
        """The event inside a frame's `data`; None if the data does not have the form that `frames` writes."""
        opening = self._opening
        return data[len(opening) : -1] if data.startswith(opening) and data.endswith(b"}") else None


class ServerSentEvent(NamedTuple):
    """One event of a stream: its `event:` name, its data, and the last `id:` up to it."""

    name: str
    data: bytes
    id: str


class Parser:
    """Parses the chunks of one stream, wherever they are cut. `retry_ms` is the last `retry:` of the stream."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._beginning: bytes | None = b""
        self._id = ""
        self.retry_ms: int | None = None

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """The events that `chunk` completes. An event is complete when the blank line after it has come.

        Raises:
            AgentError: an event is larger than 16 MB, which no agent of ours sends.
        """
        if self._beginning is not None:
            chunk = self._without_bom(self._beginning + chunk)
        if b"\r" in chunk or self._after_cr:
            chunk = self._normalise(chunk)
        if b"\n\n" not in chunk and not (self._rest and self._rest[-1].endswith(b"\n") and chunk.startswith(b"\n")):
            self._keep(chunk)
            return
        whole = b"".join([*self._rest, chunk])
        at, end = 0, whole.rfind(b"\n\n") + 2
        self._rest, self._size = [], 0
        self._keep(whole[end:])
        while at < end:
            if (frame := _FRAME.match(whole, at)) is not None:
                self._id = frame[1].decode()
                yield ServerSentEvent("", frame[2], self._id)
                at = frame.end()
                continue
            blank = whole.find(b"\n\n", at, end)
            if blank < 0:
                break  # a third line end in a row
            if (event := self._event(whole[at:blank])) is not None:
                yield event
            at = blank + 2

    def _keep(self, chunk: bytes) -> None:
        if chunk:
            self._rest.append(chunk)
            self._size += len(chunk)
        if self._size > _MAX_EVENT_BYTES:
            raise AgentError(f"An event of the stream is larger than {_MAX_EVENT_BYTES:,} bytes.", malformed=True)

    def _without_bom(self, beginning: bytes) -> bytes:
        """The beginning without a byte order mark; empty as long as it may still be part of one."""
        if len(beginning) < len(_BOM) and _BOM.startswith(beginning):
            self._beginning = beginning
            return b""
        self._beginning = None
        return beginning.removeprefix(_BOM)

    def _normalise(self, chunk: bytes) -> bytes:
        """Turn all line ends into LF. CRLF is one line end, even if a chunk ends between the two."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _event(self, block: bytes) -> ServerSentEvent | None:
        name, data = "", []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
            if field == b"data":
                data.append(value)
            elif field == b"id":
                if b"\0" not in value:
                    self._id = value.decode(errors="replace")
            elif field == b"event":
                name = value.decode(errors="replace")
            elif field == b"retry" and value.isdigit():
                self.retry_ms = int(value)
        if not data:
            return None
        return ServerSentEvent(name, b"\n".join(data), self._id)
