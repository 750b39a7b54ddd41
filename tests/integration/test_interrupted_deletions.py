"""A gateway's process is killed while it deletes a conversation: the same request, or the sweeper, goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sweeper.sweep import sweep_deletions
from tailrace import AgentApp, AgentCard
from tailrace.a2a.bundle import Agents
from tailrace.a2a.client import new_http
from tailrace.a2a.identity import conversation_id_of
from tailrace.agent.deletions import Deletions
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.log.conversations import Conversation
from tailrace.log.sqlite import SQLiteLog
from tests.sample_agents.recall import RECALL
from tests.support.conditions import eventually
from tests.support.gateway import read_stream
from tests.support.http import serve
from tests.support.kill_points import died_of
from tests.support.restarting_agent import RestartingAgent, restarting_agent

# A conversation of two tasks takes six writes: two for the record, two for heads, and two for events.
WRITES = 6
JSON = {"content-type": "application/json"}


@contextlib.asynccontextmanager
async def gateway(folder: Path, **variables: str) -> AsyncIterator[RestartingAgent]:
    """Run a gateway as a process, with an agent that has the same log."""
    card = AgentCard(name="orchestrator", description="Recalls.", version="1", skills=[])
    async with (
        serve(AgentApp(RECALL, card, settings=Settings(data_dir=str(folder)))) as agent_url,
        restarting_agent(folder, "dying_gateway", TAILRACE_ORCHESTRATOR_URL=f"{agent_url}/", **variables) as process,
    ):
        yield process


async def converse(http: httpx.AsyncClient) -> list[str]:
    """Have a conversation of two tasks; return their ids."""
    tasks = []
    for text in ("one", "two"):
        body = {"message": {"parts": [{"text": text}], "contextId": "c"}}
        task = (await http.post("/api/tasks", json=body)).json()["id"]
        assert (await read_stream(http, task)).state == "TASK_STATE_COMPLETED"
        tasks.append(task)
    return tasks


async def delete(http: httpx.AsyncClient) -> int | None:
    """Send a DELETE; return its status, None if the gateway died."""
    try:
        return (await http.delete("/api/conversations/c", headers=JSON)).status_code
    except httpx.TransportError:
        return None


async def sweep_until_gone(log: SQLiteLog, folder: Path, agent_url: str) -> None:
    settings = Settings(data_dir=str(folder), orchestrator_url=agent_url, lease_s=0.2, renew_s=0.1)
    async with new_http() as http:
        deletions = Deletions(settings, log, Agents(http, settings))

        async def is_gone() -> bool:
            await sweep_deletions(log, deletions, settings)
            return await log.conversations.get(conversation_id_of("local", "orchestrator", "c")) is None

        await eventually(is_gone)
        await deletions.close()


@pytest.mark.parametrize("late", [{}, {"DIES_LATE": "1"}], ids=["before the write", "after the write"])
@pytest.mark.parametrize("by", ["the same request", "the sweeper"])
async def test_a_deletion_goes_on_after_the_gateway_was_killed_at_a_write(
    by: str, late: dict[str, str], tmp_path: Path
) -> None:
    async def killed_at(number: int) -> Path:
        folder = tmp_path / str(number)
        await asyncio.to_thread(folder.mkdir)
        async with (
            gateway(folder, DIES_AT=str(number), **late) as process,
            httpx.AsyncClient(base_url=process.url, timeout=60) as http,
        ):
            tasks = await converse(http)
            assert await delete(http) is None
            await eventually(lambda: process.deaths == 1)
            shown = (await http.get("/api/conversations/c")).status_code
            begun = number > 1 or "DIES_LATE" in late
            assert shown == (404 if begun else 200), "it is whole or gone"
            log = SQLiteLog(folder / "log.sqlite3")
            if by == "the same request" or not begun:
                assert await delete(http) in (204, 404)
            else:
                await sweep_until_gone(log, folder, process.variables["TAILRACE_ORCHESTRATOR_URL"])
            assert (await http.get("/api/conversations/c")).status_code == 404
            assert (await log.list("local")).heads == []
            assert [await log.last(task) for task in tasks] == [0, 0]
            assert (await http.get("/api/conversations")).json()["conversations"] == []
            await log.close()
        return folder

    assert await died_of(range(1, WRITES + 1), killed_at) == WRITES


async def test_the_sweeper_ends_other_deletions_although_an_agent_is_away(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.sqlite3")
    card = AgentCard(name="orchestrator", description="Recalls.", version="1", skills=[])
    async with serve(AgentApp(RECALL, card, settings=Settings(data_dir=str(tmp_path)))) as url, new_http() as http:
        settings = Settings(data_dir=str(tmp_path), orchestrator_url=f"{url}/", lease_s=0.2, renew_s=0.1)
        for agent in ("away", "orchestrator"):
            key = conversation_id_of("local", agent, "c")
            record = Conversation(id=key, owner="local", agent=agent, context_id="c", task="t", title="")
            claimed = await log.conversations.claim(record, None)
            assert claimed is not None
            assert await log.conversations.begin_delete(claimed, ["t"])

        async def are_due() -> bool:
            return len(await log.conversations.being_deleted(idle_s=settings.lease_s, limit=10)) == 2

        await eventually(are_due)
        deletions = Deletions(settings, log, Agents(http, settings))
        with pytest.raises(AgentError, match="1 of 2 deletions could not be ended"):
            await sweep_deletions(log, deletions, settings)
        assert [each.agent for each in await log.conversations.being_deleted(idle_s=0, limit=10)] == ["away"]
        await deletions.close()
    await log.close()
