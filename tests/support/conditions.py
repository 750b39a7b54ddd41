"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable


async def eventually(condition: Callable[[], object], timeout_s: float = 60) -> None:
    """Poll until `condition()` is true, for what sends no message when it happens. The condition may be async.

    Raises:
        TimeoutError: it was not true within `timeout_s`.
    """
    async with asyncio.timeout(timeout_s):
        while not await _value(condition()):
            await asyncio.sleep(0.002)


async def _value(result: object) -> object:
    return await result if inspect.isawaitable(result) else result
