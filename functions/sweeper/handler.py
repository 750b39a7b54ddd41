"""The sweeper as a function. A schedule invokes it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from sweeper.sweep import sweep, sweep_deletions, sweep_webhooks
from tailrace.a2a.bundle import Agents
from tailrace.a2a.client import new_http
from tailrace.agent.deletions import Deletions
from tailrace.agent.dispatch import Dispatch
from tailrace.config import Settings
from tailrace.log import open_log
from tailrace.push import open_webhooks
from tailrace.stores.units import logged_units

settings = Settings.load()


def handler(event: Any, context: Any) -> dict[str, int]:
    """Sweep once; return how many tasks were dispatched, and deletions ended. The schedule's `event` is not used."""
    with logged_units():
        return asyncio.run(_sweep())


async def _sweep() -> dict[str, int]:
    async with AsyncExitStack() as stack:
        log, hooks = open_log(settings), open_webhooks(settings)
        stack.push_async_callback(log.close)
        stack.push_async_callback(hooks.close)
        http = await stack.enter_async_context(new_http())
        dispatch, deletions = Dispatch(settings, http), Deletions(settings, log, Agents(http, settings))
        stack.push_async_callback(dispatch.close)
        stack.push_async_callback(deletions.close)
        counts = await asyncio.gather(
            sweep(log, dispatch, settings),
            sweep_webhooks(log, hooks, dispatch, settings),
            sweep_deletions(log, deletions, settings),
            return_exceptions=True,  # an error of one must not stop the others
        )
    tasks, notified, deleted = map(_or_raise, counts)
    return {"dispatched": tasks + notified, "deleted": deleted}


def _or_raise(count: int | BaseException) -> int:
    if isinstance(count, BaseException):
        raise count
    return count
