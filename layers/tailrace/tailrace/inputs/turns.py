"""Decoding requests in threads, and only a few large ones at once. A request that is only text needs no thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tailrace.events import Message, Part

T = TypeVar("T")

# Large requests wait for one of these threads. The default threads stay free for everything else.
_THREADS = 4
_large = ThreadPoolExecutor(_THREADS, thread_name_prefix="tailrace-large-request")
# Up to this many bytes a request is small: it is unpacked in about 10 ms.
_SMALL_BYTES = 8_000_000
# Maximum compression factor of deflate ("zlib Technical Details").
_MAX_FACTOR = 1032
_GZIP_IN_BASE64 = "H4s"


async def in_turn(read: Callable[[list[Message]], T], messages: list[Message]) -> T:
    """Call `read` with the messages, in a thread unless they are only text, and return its result.

    Requests that may be large when unpacked are read a few at a time, in order; small ones at once. None is refused.
    """
    parts = [part for message in messages for part in message.parts]
    if all(part.text is not None and part.filename is None for part in parts):
        return read(messages)
    if sum(map(_max_bytes, parts)) <= _SMALL_BYTES:
        return await asyncio.to_thread(read, messages)
    return await asyncio.get_running_loop().run_in_executor(_large, read, messages)


def _max_bytes(part: Part) -> int:
    """Upper bound of a part's bytes when unpacked. An upload counts as large, since it has to be fetched too."""
    if part.url is not None:
        return _SMALL_BYTES + 1
    raw = part.raw or ""
    return len(raw) * (_MAX_FACTOR if raw.startswith(_GZIP_IN_BASE64) else 1)
