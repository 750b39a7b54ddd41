"""The shipped agents, as `make run` runs them, are killed while they work on the sample; the report stays the same."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.chaos.callers import Caller
from tests.chaos.check import check
from tests.chaos.history import History, folded
from tests.chaos.http import call_until_answered
from tests.chaos.inspector import SQLiteInspector
from tests.chaos.reader import Reader
from tests.chaos.watch import Watch, Watched
from tests.support.processes import ROOT, Stack, stack

# The agents to kill, and the seqs of the task at that moment: in the plan, while both analysts work, in the report.
KILLS = {"orchestrator": (5, 40), "log_analyst": (20,), "metric_analyst": (20,)}


def sample_message() -> list[dict[str, Any]]:
    """Return the parts of the message that the page's sample sends."""
    folder = ROOT / "frontend" / "sample"
    sample = json.loads((folder / "sample.json").read_text())
    files = [
        {
            "raw": base64.b64encode((folder / file["href"]).read_bytes()).decode(),
            "filename": file["href"],
            "mediaType": "application/gzip",
        }
        for file in sample["files"]
    ]
    return [{"text": sample["text"]}, {"data": {"alert": sample["alert"]}}, *files]


@contextlib.asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[tuple[SQLiteInspector, Watch]]:
    inspector = SQLiteInspector(folder)
    watch = Watch(inspector)
    looking = asyncio.create_task(watch.run())
    yield inspector, watch
    looking.cancel()
    inspector.close()


async def triage(running: Stack, inspector: SQLiteInspector, watch: Watch, kill: tuple[str, int] | None) -> History:
    """Run a task with the sample, kill an agent meanwhile, and return the task's history."""
    caller = Caller(known=running.bearer)
    port = int(running.url.rstrip("/").rpartition(":")[2])
    status, made = await call_until_answered(
        port, "POST", "/api/tasks", headers=running.bearer, body={"message": {"parts": sample_message()}}, bound_s=60
    )
    assert status == 201, made
    watched: Watched = watch.add(made["id"])
    readers = [
        Reader(name, watched.task, port, in_log=lambda: inspector.newest(watched.task), caller=caller)
        for name in ("one", "two")
    ]
    async with asyncio.timeout(300), asyncio.TaskGroup() as group:
        for reader in readers:
            group.create_task(reader.read(past_input=lambda: not watched.ended))
        if kill is not None:
            await watch.until(lambda: watched.newest >= kill[1])
            await running.kill(kill[0])
        await watch.until(lambda: watched.ended)
    return History(
        task=watched.task,
        agent="orchestrator",
        entries=inspector.entries(watched.task),
        glimpsed=list(watched.entries),
        readers=readers,
        delegations=[(head.agent, inspector.ended_as(head)) for head in inspector.delegations(watched.task)],
    )


async def test_the_agents_that_ship_survive_being_killed(tmp_path: Path) -> None:
    variables = {"TAILRACE_LEASE_S": "1", "TAILRACE_RENEW_S": "0.2"}
    async with stack(tmp_path, **variables) as running, watching(tmp_path) as (inspector, watch):
        calm = await triage(running, inspector, watch, None)
        assert check(calm) == []
        kills = [(name, at) for name, places in KILLS.items() for at in places]
        attempts = []
        for kill in random.Random(1).sample(kills, len(kills)):
            history = await triage(running, inspector, watch, kill)
            history.expected = folded(calm.entries)
            assert check(history) == [], f"{kill}"
            assert history.state == "TASK_STATE_COMPLETED", f"{kill}: {history.last_message}"
            attempts.append(history.attempts)
        assert max(attempts) > 1, "every kill came too late"
