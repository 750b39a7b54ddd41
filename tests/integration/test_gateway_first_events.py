"""The first events of a stream: read while the gateway finds out whose task it is, and only if they are streamed."""

from __future__ import annotations

import asyncio
import re
import uuid

import httpx
import pytest

from gateway.app import create_app
from tailrace.config import Settings
from tailrace.events import status_update, submitted
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tests.support.events import message_of
from tests.support.gateway import header_owner
from tests.support.http import serve

pytestmark = pytest.mark.asyncio


class _Meeting(MemoryLog):
    """Answers the first request for a head, and for events, only when both have come."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Barrier(2)
        self.waits = False

    async def head(self, task_id: str) -> Head:
        head = await super().head(task_id)
        if self.waits:
            await self.asked.wait()
        return head

    async def read(self, task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
        if self.waits:
            await self.asked.wait()
            self.waits = False
        return await super().read(task_id, cursor, limit)


async def test_a_new_readers_first_events_are_read_while_it_is_found_out_whose_task_it_is() -> None:
    log = _Meeting()
    head = Head(task_id=str(uuid.uuid4()), owner="alice", context_id="c", agent="orchestrator")
    await log.create(head, submitted(head.source, message_of({"text": "hello"})))
    await log.claim(head.task_id, "a process", 60)
    end = status_update(head.source, 2, "state", state="TASK_STATE_COMPLETED")
    await log.append(head.task_id, Batch(2, 1, [end]))
    app = create_app(Settings(log="memory"), log=log, decide_owner=header_owner)
    for owner, status, seqs in (("alice", 200, [1, 2]), ("bob", 404, [])):
        log.waits = True
        async with asyncio.timeout(60), serve(app) as url, httpx.AsyncClient() as http:
            response = await http.get(f"{url}/api/stream/{head.task_id}", headers={"x-test-owner": owner})
        assert response.status_code == status
        assert [int(each) for each in re.findall(r"^id: (\d+)$", response.text, re.MULTILINE)] == seqs
        assert "hello" not in response.text or owner == "alice"


class _Reads(MemoryLog):
    """Notes whose events are read."""

    def __init__(self) -> None:
        super().__init__()
        self.of: list[str] = []

    async def read(self, task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
        self.of.append(task_id)
        return await super().read(task_id, cursor, limit)


async def test_no_events_are_read_for_a_stream_that_is_refused_or_only_asked_about() -> None:
    log = _Reads()
    first, second = (
        Head(task_id=str(uuid.uuid4()), owner="alice", context_id="c", agent="orchestrator") for _ in range(2)
    )
    for head in (first, second):
        await log.create(head, submitted(head.source, message_of({"text": "hello"})))
        await log.claim(head.task_id, "a process", 60)
    app = create_app(Settings(log="memory", max_streams=1), log=log, decide_owner=header_owner)
    async with asyncio.timeout(60), serve(app) as url, httpx.AsyncClient(headers={"x-test-owner": "alice"}) as http:
        assert (await http.head(f"{url}/api/stream/{second.task_id}")).status_code == 200
        async with http.stream("GET", f"{url}/api/stream/{first.task_id}") as response:
            await anext(response.aiter_bytes())
            assert (await http.get(f"{url}/api/stream/{second.task_id}")).status_code == 503
    assert set(log.of) == {first.task_id}
