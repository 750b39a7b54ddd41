"""A batch of events as the bytes of one stored item."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from tailrace.errors import EventTooLarge, LogUnreadable
from tailrace.log.base import MAX_ITEM_BYTES

# A write unit of DynamoDB is 1 KB: below that, compressing saves nothing and costs time.
_WORTH_COMPRESSING = 1024
# Events compress about tenfold at level 1. Higher levels take twice the time to save another tenth.
_LEVEL = 1
# The first byte of a zlib stream, which no JSON text begins with.
_ZLIB = b"\x78"
# Bytes of one item before compression. This is well below `MAX_ITEM_BYTES`, so only a single event can be too large.
_TARGET_BYTES = 256_000


def pack(task_id: str, seq: int, events: Sequence[bytes]) -> bytes:
    """The events joined by line breaks, compressed with zlib if that is smaller.

    Raises:
        EventTooLarge: the result is larger than `MAX_ITEM_BYTES`.
    """
    packed = b"\n".join(events)
    if len(packed) > _WORTH_COMPRESSING:
        compressed = zlib.compress(packed, _LEVEL)
        if len(compressed) < len(packed):
            packed = compressed
    if len(packed) > MAX_ITEM_BYTES:
        raise EventTooLarge(task_id, seq, len(packed), MAX_ITEM_BYTES)
    return packed


def unpack(task_id: str, seq: int, count: int, packed: bytes) -> list[bytes]:
    """The `count` events in the bytes that `pack` made; the first has the seq `seq`.

    Raises:
        LogUnreadable: the bytes are damaged.
    """
    try:
        return (zlib.decompress(packed) if packed[:1] == _ZLIB else packed).split(b"\n")
    except zlib.error as error:
        raise LogUnreadable(task_id, seq, error, last=seq + count - 1) from None


def split(events: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Split the events, in order, into runs that each fit into one item. No event is cut."""
    start = size = 0
    for index, event in enumerate(events):
        if size and size + len(event) > _TARGET_BYTES:
            yield events[start:index]
            start, size = index, 0
        size += len(event) + 1
    if start < len(events):
        yield events[start:]
