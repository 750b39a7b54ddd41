"""A batch of events as the bytes of one stored item."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from tailrace.errors import EventTooLarge, LogUnreadable
from tailrace.log.base import MAX_ITEM_BYTES
from tailrace.stores import compression

# Bytes of one item before compression. This is well below `MAX_ITEM_BYTES`, so only a single event can be too large.
_TARGET_BYTES = 256_000


def pack(task_id: str, seq: int, events: Sequence[bytes]) -> bytes:
    """The events joined by line breaks, compressed if that is smaller.

    Raises:
        EventTooLarge: the result is larger than `MAX_ITEM_BYTES`.
    """
    joined = b"\n".join(events)
    packed = compression.compress_if_smaller(joined) or joined
    if len(packed) > MAX_ITEM_BYTES:
        raise EventTooLarge(task_id, seq, len(packed), MAX_ITEM_BYTES)
    return packed


def unpack(task_id: str, seq: int, count: int, packed: bytes) -> list[bytes]:
    """The `count` events in the bytes that `pack` made; the first has the seq `seq`.

    Raises:
        LogUnreadable: the bytes are damaged.
    """
    try:
        joined = compression.decompress(packed) if packed[:1] == compression.FIRST_BYTE else packed
    except compression.Damaged as error:
        raise LogUnreadable(task_id, seq, error, last=seq + count - 1) from None
    # As `joined.split(b"\n")`, which looks at one byte after the other and takes half as long again.
    return [line[:-1] for line in io.BytesIO(joined + b"\n")]


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
