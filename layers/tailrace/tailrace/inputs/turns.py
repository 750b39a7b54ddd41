"""Reading files of requests beside the event loop, and only so many large ones at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# The large ones wait here for their turn. What else needs a thread does not wait behind them.
_AT_ONCE = 4
_large = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tailrace-large-request")
# Less than this is unpacked in some 10 ms.
_SMALL = 8_000_000
# Deflate packs no better than this (zlib's technical details, "Maximum Compression Factor").
_MOST_PACKED = 1032
_GZIP_IN_BASE64 = "H4s"


async def in_turn(read: Callable[[list[dict[str, Any]]], T], messages: list[dict[str, Any]]) -> T:
    """What `read` makes of messages (A2A 1.0 JSON), called in a thread.

    Requests that may come to much when they are unpacked are read a few at a time, in the order they came; small
    ones at once. Nobody is refused.
    """
    if sum(_most_in(part) for message in messages for part in message["parts"]) <= _SMALL:
        return await asyncio.to_thread(read, messages)
    return await asyncio.get_running_loop().run_in_executor(_large, read, messages)


def _most_in(part: dict[str, Any]) -> int:
    """How many bytes a part may come to; more than `_SMALL` for an upload, which has to be fetched, too."""
    if part.get("url") is not None:
        return _SMALL + 1
    raw = part.get("raw") or ""
    return len(raw) * (_MOST_PACKED if raw.startswith(_GZIP_IN_BASE64) else 1)
