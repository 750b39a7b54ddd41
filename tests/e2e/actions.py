"""Actions of a user of the page, and assertions about what the page shows."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import Locator, Page, Route, expect

from tests.support.processes import Stack


async def write(page: Page, field: str, text: str) -> None:
    """Put a text into a field in place of what it had, all at once but its last character by a key.

    `fill` alone would skip the page's handling of keys, and forty of them cost a browser as much as loading the page.
    """
    box = page.get_by_test_id(field)
    await box.fill(text[:-1])
    await box.press_sequentially(text[-1])
    await expect(box).to_have_value(text)


async def send(page: Page, url: str, text: str) -> str:
    """Begin a conversation. Returns the id of its task."""
    await page.goto(url)
    await write(page, "message-input", text)
    await page.get_by_test_id("send-button").click()
    return await opened(page)


async def send_sample(page: Page, url: str) -> str:
    """Send the sample. Returns the id of its task."""
    await page.goto(url)
    await page.get_by_test_id("sample-button").click()
    return await opened(page)


async def opened(page: Page) -> str:
    """Wait until a new conversation is on the page. Returns the id of its task."""
    await page.wait_for_url("**/?conversation=*")
    await expect(page.get_by_test_id("last-seq")).not_to_have_text("0")
    return await task_of(page)


async def last_seq(page: Page) -> int:
    """The `seq` of the newest event that the page shows of the conversation's last task."""
    return int(await page.get_by_test_id("last-seq").inner_text())


def go_on(stack: Stack, name: str) -> None:
    """Let an agent go on whose request says that it waits "before" this name (tests/sample_agents/gates.py)."""
    (stack.folder / f"go on {name}").touch()


async def say(page: Page, text: str) -> None:
    """Send the next message of the conversation on the page."""
    await write(page, "message-input", text)
    await page.get_by_test_id("send-button").click()
    await expect(page.get_by_test_id("message-input")).to_have_value("")


async def task_of(page: Page) -> str:
    """The id of the task whose events were opened last."""
    task: str = await page.evaluate("window.tailrace.task")
    return task


def newest(page: Page, part: str) -> Locator:
    """A part of the newest turn, which may appear later than the same part of the turn before."""
    return page.get_by_test_id("turn").last.get_by_test_id(part)


def answer(page: Page) -> Locator:
    """The newest answer."""
    return newest(page, "answer")


async def open_work(page: Page) -> Locator:
    """Open the newest turn's work. Returns its timeline."""
    work = newest(page, "work")
    if not await work.evaluate("work => work.open"):
        await work.locator("> summary").click()
    return work.get_by_test_id("timeline")


async def applied(page: Page) -> dict[str, Any]:
    """The page's counts of its events: `count`, `recovered`, `last` and `repeated`."""
    counts: dict[str, Any] = await page.evaluate("window.tailrace.applied")
    return counts


def state(page: Page, name: str) -> Any:
    """Wait until the page shows this state of the task."""
    return expect(page.get_by_test_id("task-state")).to_have_attribute("data-state", name)


def pill(page: Page, name: str) -> Any:
    """Wait until the page shows this state of the connection."""
    return expect(page.get_by_test_id("connection-pill")).to_have_attribute("data-state", name)


async def told_nothing_of_others(page: Page) -> None:
    """Let no request of the page succeed that it makes by itself to see what other windows have done.

    It makes one every few seconds: whatever a test does before the page knows would have to be quicker.
    """

    async def refuse_a_look(route: Route) -> None:
        if route.request.method == "HEAD":
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/api/stream/*", refuse_a_look)
    await page.route(re.compile(r"/api/conversations\?"), lambda route: route.abort())


async def create(page: Page, stack: Stack, text: str, **more: Any) -> dict[str, Any]:
    """Create a task over the API, and wait for its end. Returns the answer of the API."""
    body = {"message": {"parts": [{"text": text}], **more}}
    created: dict[str, Any] = await (
        await page.request.post(f"{stack.url}/api/tasks", data=body, headers=stack.origin)
    ).json()
    await page.request.get(f"{stack.url}{created['streamUrl']}")
    return created
