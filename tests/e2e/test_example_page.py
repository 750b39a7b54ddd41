"""frontend/examples: a page of somebody else's that follows a task of a running gateway."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_the_example_follows_a_task_of_the_gateway(page: Page, assistant: Stack) -> None:
    message = {"parts": [{"text": "steps 3"}]}
    answer = await page.request.post(f"{assistant.url}/api/tasks", data={"message": message}, headers=assistant.origin)
    task_id = (await answer.json())["id"]
    await page.goto(f"{assistant.url}/examples/timeline.html?task={task_id}")
    await expect(page.locator("#progress")).to_have_text("looking for word 2")
    tools = page.locator(".tl-row").filter(has=page.get_by_text("look_up", exact=True))
    await expect(tools).to_have_count(3)
    await tools.last.click()
    details = page.get_by_role("row", name="Details of look_up")
    await expect(details.get_by_role("group", name="Input")).to_contain_text("word 2")
    await expect(details.get_by_role("group", name="Output")).to_contain_text("word 2 is a word.")
    await expect(page.locator(".is-running")).to_have_count(0)
