"""What of a request's files the gateway and an agent take and refuse, over HTTP."""

from __future__ import annotations

import base64
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sample_agents import asking
from system import System, system


@pytest.fixture
async def sut(tmp_path: Path) -> AsyncIterator[System]:
    async with system(asking.builder, tmp_path) as running:
        yield running


def packed(size: int) -> dict[str, Any]:
    content = gzip.compress(b"x" * size)
    return {"raw": base64.b64encode(content).decode(), "filename": "app.log.gz", "mediaType": "application/gzip"}


async def test_a_reply_whose_files_are_too_many_with_the_first_ones_is_refused_and_the_task_still_waits(
    sut: System,
) -> None:
    task = await sut.post({"text": "hi"}, packed(40_000_000))
    waiting = await sut.read(task)
    assert waiting.state == "TASK_STATE_INPUT_REQUIRED"
    refused = await sut.http.post(f"/api/tasks/{task}/messages", json={"message": {"parts": [packed(40_000_000)]}})
    assert (refused.status_code, "64,000,000" in refused.json()["detail"]) == (400, True), refused.text
    taken = await sut.http.post(f"/api/tasks/{task}/messages", json={"message": {"parts": [packed(20_000_000)]}})
    assert taken.status_code == 202, taken.text
    assert (await sut.read(task, cursor=waiting.seqs[-1])).state == "TASK_STATE_COMPLETED"
