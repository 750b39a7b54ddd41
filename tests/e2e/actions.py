"""What people do at the page, and what they look at."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page, expect


async def write(page: Page, field: str, text: str) -> None:
    """Write into a field as a hand does, key by key: `fill` would pass by what the page does with keys."""
    box = page.get_by_test_id(field)
    await box.press_sequentially(text)
    await expect(box).to_have_value(text)


async def send(page: Page, url: str, text: str) -> str:
    """Send a request; its task's id."""
    await page.goto(url)
    await write(page, "message-input", text)
    await page.get_by_test_id("send-button").click()
    await page.wait_for_url("**/?task=*")
    return task_of(page)


def task_of(page: Page) -> str:
    """The id of the task on the page."""
    return page.url.partition("task=")[2]


async def applied(page: Page) -> dict[str, Any]:
    """What the page counts of its events."""
    found: dict[str, Any] = await page.evaluate("window.tailrace.applied")
    return found


def state(page: Page, name: str) -> Any:
    return expect(page.get_by_test_id("task-state")).to_have_attribute("data-state", name)


def pill(page: Page, name: str) -> Any:
    return expect(page.get_by_test_id("connection-pill")).to_have_attribute("data-state", name)
