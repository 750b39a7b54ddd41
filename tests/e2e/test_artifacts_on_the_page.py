"""What an agent made, in a conversation: seen, sorted, downloaded, run again."""

from __future__ import annotations

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.e2e.actions import answer, applied, newest, open_work, say, send, state
from tests.e2e.kept_page import stop_timers
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def choose(page: Page, label: str) -> None:
    await newest(page, "take-along-menu").click()
    await page.get_by_role("button", name=label, exact=True).click()


async def download(page: Page, label: str, folder: Path) -> str:
    """The content of the file that an entry of the menu gives."""
    async with page.expect_download() as waiting:
        await choose(page, label)
    await (await waiting.value).save_as(folder / "file")
    return (folder / "file").read_text()


async def test_what_a_task_made_is_seen_and_taken_along(page: Page, assistant: Stack, tmp_path: Path) -> None:
    await send(page, assistant.url, "tables")
    await state(page, "completed")
    await expect(answer(page).get_by_role("heading", name="Prices")).to_be_visible()
    await expect(answer(page).get_by_role("img", name="done")).to_be_visible()
    artifacts = page.get_by_test_id("artifact")
    await expect(artifacts).to_have_count(4)
    table = artifacts.nth(0).get_by_role("table")
    await table.get_by_role("button", name="price").press("Enter")
    await table.get_by_role("button", name="price").press("Enter")
    await expect(table.locator("tbody tr").first).to_have_text("=coffee10")
    await artifacts.nth(1).get_by_text("1 key: depth").click()
    await artifacts.nth(1).get_by_text("3 items").click()
    await expect(artifacts.nth(1)).to_contain_text("three")
    await expect(artifacts.nth(2).get_by_role("img", name="pixel.png")).to_be_visible()
    await expect(artifacts.nth(3)).to_contain_text("first line\nsecond line", use_inner_text=True)

    assert (await download(page, "Download the answer (.md)", tmp_path)).startswith("## Prices\n")
    assert await download(page, "Download prices (.csv)", tmp_path) == "\ufeffitem,price\ntea,2.5\n'=coffee,10\n"
    data = json.loads(await download(page, "Download the data (.json)", tmp_path))
    assert data["settings"] == {"colour": "blue", "nested": {"depth": [1, 2, {"three": None}]}}
    events = [
        json.loads(line) for line in (await download(page, "Download all events (.ndjson)", tmp_path)).splitlines()
    ]
    await open_work(page)
    assert len(events) == (await applied(page))["last"]
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") == width
    await newest(page, "take-along-menu").click()
    await expect(page.get_by_role("button", name="Download prices (.csv)", exact=True)).to_be_in_viewport()


@pytest.mark.skipif(shutil.which("curl") is None, reason="install curl")
async def test_the_curl_command_of_a_task_begins_another(page: Page, assistant: Stack) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    first = await send(page, assistant.url, 'It\'s "quoted" $HOME é')
    await state(page, "completed")
    await stop_timers(page)
    await choose(page, "Copy as a curl command")
    await expect(page.get_by_test_id("take-along-menu")).to_have_text("Copied")
    command: str = await page.evaluate("navigator.clipboard.readText()")
    process = await asyncio.create_subprocess_exec("sh", stdin=PIPE, stdout=PIPE)
    output, _ = await process.communicate(command.encode())
    created = json.loads(output)
    assert created["id"] != first
    await page.goto(f"{assistant.url}/?task={created['id']}")
    await state(page, "completed")
    await expect(answer(page)).to_have_text('You said It\'s "quoted" $HOME é')


async def test_a_finished_task_runs_again_and_a_failed_one_is_retried(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "first")
    await state(page, "completed")
    await say(page, "fail")
    await state(page, "failed")
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_test_id("turn")).to_have_count(3)
    await state(page, "failed")
    await page.get_by_test_id("run-again").first.click()
    await expect(page.get_by_test_id("turn")).to_have_count(1)
    await state(page, "completed")
    await expect(answer(page)).to_have_text("You said first")
