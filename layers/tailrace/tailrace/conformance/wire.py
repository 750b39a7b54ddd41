"""Reads the frames of an event stream, with their ids and comments, and notes how the stream was closed.

It implements the event streams of the HTML standard and uses no code of the library under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

# For how many seconds a server may send nothing at all.
SILENCE_S = 30.0
# What reading an answer raises that is of another form than the one expected, or nested too deep.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass
class Frame:
    """The lines between two blank lines, by field. `odd` are lines that an event stream may not have."""

    ids: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.names[-1] if self.names else ""

    @property
    def kind(self) -> str:
        """`event`, the name of a control frame, `retry` or `comment`."""
        if self.data:
            return self.name or "event"
        return "retry" if self.retries else "comment" if self.comments else "empty"


def frame_of(block: bytes) -> Frame:
    """Parse a frame. Raises UnicodeDecodeError if it is not UTF-8."""
    frame = Frame()
    fields = {
        "id": frame.ids,
        "data": frame.data,
        "event": frame.names,
        "retry": frame.retries,
        "": frame.comments,
    }
    for line in block.decode().splitlines():
        name, colon, value = line.partition(":")
        values = fields.get(name) if colon or name else None
        (frame.odd if values is None else values).append(line if values is None else value.removeprefix(" "))
    return frame


class Wire:
    """An open response. `closed` is None while it is open, then `complete`, `broken` or `by us`."""

    def __init__(self, client: httpx.Client, request: httpx.Request) -> None:
        self.response = client.send(request, stream=True)
        self.closed: str | None = None
        self._chunks = self.response.iter_bytes()
        self._rest = b""

    @property
    def streams(self) -> bool:
        return str(self.response.headers.get("content-type", "")).startswith("text/event-stream")

    def body(self) -> bytes:
        """The whole body of a response that is not a stream."""
        return self.response.read()

    def frames(self) -> Iterator[Frame]:
        """Yield the next frames. A last frame without a blank line at its end was cut, and is dropped."""
        while True:
            while (end := _end_of_block(self._rest)) is not None:
                block, self._rest = self._rest[: end[0]], self._rest[end[1] :]
                if block.strip(b"\r\n"):
                    yield frame_of(block)
            try:
                self._rest += next(self._chunks)
            except StopIteration:
                self.closed = "complete"
                return
            except httpx.TimeoutException:
                raise
            except httpx.TransportError:
                self.closed = "broken"
                return

    def cut(self) -> None:
        if self.closed is None:
            self.closed = "by us"
        self.response.close()


def _end_of_block(data: bytes) -> tuple[int, int] | None:
    ends = [(index, index + len(mark)) for mark in (b"\n\n", b"\r\n\r\n") if (index := data.find(mark)) >= 0]
    return min(ends, default=None)
