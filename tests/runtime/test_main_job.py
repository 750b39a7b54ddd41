"""The main job with every function on our runtime, as on Lambda: the sample from a click to the report."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tailrace.stream.sse import Parser
from tests.runtime.bundle import ROOT, SECRET, bundle, front
from tests.support.browser import chromium, needs_chromium, unknown_context
from tests.support.gateway import Seen
from tests.support.http import serve

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLE = ROOT / "frontend" / "sample"
KNOWN = {"x-tailrace-secret": SECRET}


def sample() -> dict[str, Any]:
    document = json.loads((SAMPLE / "sample.json").read_text())
    parts = [{"text": document["text"]}, {"data": {"alert": document["alert"]}}]
    for file in document["files"]:
        raw = base64.b64encode((SAMPLE / file["href"]).read_bytes()).decode()
        parts.append({"raw": raw, "filename": file["href"], "mediaType": "application/gzip"})
    return {"message": {"parts": parts}}


async def read(http: httpx.AsyncClient, task_id: str, cursor: int = 0, enough: int = 10**9) -> Seen:
    """Read a stream from the cursor until it ends, or until `enough` events have come."""
    seen, parser = Seen(), Parser()
    async with asyncio.timeout(90), http.stream("GET", f"/api/stream/{task_id}?cursor={cursor}") as answer:
        assert answer.status_code == 200
        async for chunk in answer.aiter_bytes():
            for message in parser.feed(chunk):
                seen.add(message)
            if len(seen.seqs) >= enough:
                break
    return seen


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(layer: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The gateway's Function URL. All tests share the functions, whose processes take seconds to start."""
    async with bundle(layer, tmp_path_factory.mktemp("bundle")) as url:
        yield url


async def test_the_sample_is_triaged_and_a_cut_stream_resumes(gateway: str) -> None:
    async with httpx.AsyncClient(base_url=gateway, timeout=90, headers=KNOWN) as http:
        stranger = await http.post("/api/tasks", json=sample(), headers={"x-tailrace-secret": "guess"})
        assert stranger.status_code == 401
        created = await http.post("/api/tasks", json=sample())
        assert created.status_code == 201, created.text
        task_id = created.json()["id"]
        begun = await read(http, task_id, enough=8)
        rest = await read(http, task_id, cursor=begun.seqs[-1])
        again = await read(http, task_id)
        artifacts = (await http.get(f"/api/tasks/{task_id}")).json()["artifacts"]
    assert begun.seqs + rest.seqs == again.seqs == list(range(1, again.seqs[-1] + 1))
    assert rest.state == again.state == "TASK_STATE_COMPLETED"
    report = next(artifact for artifact in artifacts if artifact["name"] == "report")["parts"][0]["text"]
    assert "Connection refused" in report
    assert "Not covered" not in report


async def test_another_environment_answers_a_question(gateway: str) -> None:
    async with httpx.AsyncClient(base_url=gateway, timeout=90, headers=KNOWN) as http:
        task_id = (await http.post("/api/tasks", json={"message": {"parts": [{"text": "slow"}]}})).json()["id"]
        waiting = await read(http, task_id)
        assert waiting.state == "TASK_STATE_INPUT_REQUIRED"
        logs = "".join(f"2026-01-01T10:00:{second:02}Z INFO all is well\n" for second in range(60))
        reply = {"message": {"parts": [{"text": logs, "filename": "app.log"}]}}
        assert (await http.post(f"/api/tasks/{task_id}/messages", json=reply)).status_code == 202
        rest = await read(http, task_id, cursor=waiting.seqs[-1])
    assert rest.state == "TASK_STATE_COMPLETED"
    assert rest.seqs[0] == waiting.seqs[-1] + 1


@needs_chromium
async def test_the_page_goes_from_click_to_report(gateway: str) -> None:
    async with serve(front(gateway)) as url, chromium() as browser:
        page = await (await unknown_context(browser)).new_page()
        page.on("dialog", lambda dialog: dialog.accept(SECRET))
        # Chromium drops a click that falls while the page asks for the secret.
        async with page.expect_response(lambda answer: answer.ok and "/api/conversations" in answer.url):
            await page.goto(url)
        await page.get_by_test_id("sample-button").click()
        await expect(page.get_by_test_id("task-state")).to_have_attribute("data-state", "completed")
        await expect(page.get_by_test_id("answer")).to_contain_text("What happened")
        counted = await page.evaluate("window.tailrace.applied")
    assert counted["count"] == counted["last"]
