"""The sweeper as a function, invoked by a schedule."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from sweeper.sweep import sweep
from tailrace.a2a.client import new_http
from tailrace.config import Settings
from tailrace.dispatch import Dispatch
from tailrace.log import open_log

settings = Settings.load()


def handler(event: Any, context: Any) -> dict[str, int]:
    """One sweep. `event` is the schedule's and tells nothing that matters here."""
    return {"dispatched": asyncio.run(_sweep())}


async def _sweep() -> int:
    async with AsyncExitStack() as stack:
        log = open_log(settings)
        stack.push_async_callback(log.close)
        dispatch = Dispatch(settings, await stack.enter_async_context(new_http()))
        stack.push_async_callback(dispatch.close)
        return await sweep(log, dispatch, settings)
