"""The sweeper as a process: `python -m local.sweeper` sweeps until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal

from local.lifeline import end_with_supervisor
from sweeper.sweep import sweep_forever
from tailrace.a2a.bundle import Agents
from tailrace.a2a.client import new_http
from tailrace.agent.deletions import Deletions
from tailrace.agent.dispatch import Dispatch
from tailrace.config import Settings
from tailrace.log import open_log
from tailrace.push import open_webhooks


async def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = Settings.load()
    log, hooks = open_log(settings), open_webhooks(settings)
    try:
        async with new_http() as http:
            deletions = Deletions(settings, log, Agents(http, settings))
            sweeping = asyncio.create_task(sweep_forever(log, hooks, Dispatch(settings, http), deletions, settings))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sweeping.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await sweeping
            await deletions.close()
    finally:
        await log.close()
        await hooks.close()


if __name__ == "__main__":
    end_with_supervisor()
    asyncio.run(main())
