"""Actions of a user of the page, and assertions about what the page shows."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page, expect


async def write(page: Page, field: str, text: str) -> None:
    """Type into a field key by key: `fill` would skip the page's handling of keys."""
    box = page.get_by_test_id(field)
    await box.press_sequentially(text)
    await expect(box).to_have_value(text)


async def send(page: Page, url: str, text: str) -> str:
    """Send a request. Returns the id of its task."""
    await page.goto(url)
    await write(page, "message-input", text)
    await page.get_by_test_id("send-button").click()
    await page.wait_for_url("**/?task=*")
    return task_of(page)


def task_of(page: Page) -> str:
    """The id of the task on the page."""
    return page.url.partition("task=")[2]


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
