"""The servers for the scenarios: our gateway, and an agent that runs commands.

`python -m tests.resume.servers` serves them until Ctrl-C and prints the options for `python -m tailrace.conformance`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request

from gateway.app import create_app
from tailrace import AgentApp
from tailrace.config import Settings
from tailrace.log import Batch
from tailrace.log.sqlite import SQLiteLog
from tailrace.owner import OWNER_HEADER
from tests.sample_agents.runs_commands import CARD, runs_commands
from tests.support.http import serve
from tests.support.restarting_agent import restarting_agent

# The seqs that have expired in each task with later events.
LOST = range(3, 6)


@dataclass
class Served:
    """The URLs of both interfaces. Both identify the user by the same header."""

    browser: str
    agent: str


class ForgettingLog(SQLiteLog):
    """A log in which some events have expired."""

    async def read(self, task_id: str, after: int = 0, limit: int = 1_000_000) -> list[Batch]:
        batches = await super().read(task_id, after, limit)
        if not batches or await self.last(task_id) <= LOST.stop:
            return batches
        kept: list[Batch] = []
        for batch in batches:
            for seq, event in enumerate(batch.events, batch.seq):
                if seq not in LOST:
                    kept.append(Batch(seq, batch.attempt, [event]))
        return kept


# The settings for each need of a scenario. Without a need, heartbeats are fast so that scenarios see them.
SETTINGS: dict[str, dict[str, Any]] = {
    "": {"heartbeat_s": 0.2},
    "rotation": {"heartbeat_s": 0.05, "rotate_s": 0.3},
    "padding": {"padding_bytes": 2048, "flush_ms": 10},
    "limit": {"max_streams": 1},
    "window": {"window_s": 0.2},
    "pausing": {"quiet_s": 0.2, "pause_min_ms": 50, "pause_max_ms": 50},
    "handoff": {"attempt_s": 60.8, "handoff_s": 60.0, "heartbeat_s": 0.2},
    "forgetting": {"heartbeat_s": 0.2},
    "death": {"heartbeat_s": 0.2, "lease_s": 1.0, "renew_s": 0.2},
}


@contextlib.asynccontextmanager
async def served(folder: Path, need: str = "") -> AsyncIterator[Served]:
    """Serve a gateway and an agent with the ability `need` of a scenario."""
    settings = Settings(data_dir=str(folder), **SETTINGS[need])
    kind = ForgettingLog if need == "forgetting" else SQLiteLog
    async with contextlib.AsyncExitStack() as stack:
        if need == "death":
            agent_url = (await stack.enter_async_context(restarting_agent(folder, "runs_commands"))).url.rstrip("/")
        else:
            agent_log = kind(folder / "log.sqlite3")
            stack.push_async_callback(agent_log.close)
            app = AgentApp(runs_commands(folder), CARD, settings=settings, log=agent_log)
            agent_url = await stack.enter_async_context(serve(app))
        log = kind(folder / "log.sqlite3")
        stack.push_async_callback(log.close)
        gateway = Settings(data_dir=str(folder), orchestrator_url=f"{agent_url}/", **SETTINGS[need])
        browser = await stack.enter_async_context(serve(create_app(gateway, log=log, decide_owner=_header_owner)))
        yield Served(browser, agent_url)


def _header_owner(request: Request) -> str | None:
    return request.headers.get(OWNER_HEADER) or None


async def _main() -> None:
    stop = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        async with served(Path(folder)) as running:
            for number in (signal.SIGINT, signal.SIGTERM):  # after uvicorn, which handles them, too
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            print(f"{running.browser} {running.agent} --as '{OWNER_HEADER}: me'", flush=True)
            await stop.wait()


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.resume.servers", description=__doc__).parse_args()
    asyncio.run(_main())
