"""The questions that the page shows when a request or a reply has too little information."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.e2e.actions import send, state, write
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_a_request_that_fits_no_agent_gets_a_list_of_what_the_agents_do(page: Page, shipped: Stack) -> None:
    await send(page, shipped.url, "bake a cake")
    await state(page, "completed")
    answer = page.get_by_test_id("report")
    await expect(answer).to_contain_text("No agent here says that it can do this.")
    lines = await answer.get_by_role("listitem").all_inner_texts()
    assert [line.partition(":")[0] for line in lines] == ["log_analyst", "metric_analyst"]


async def test_the_next_question_says_what_was_wrong_with_the_reply(page: Page, shipped: Stack) -> None:
    await send(page, shipped.url, "checkout is slow")
    await state(page, "input-required")
    await write(page, "reply-input", "no idea")
    await page.get_by_test_id("reply-button").click()
    await expect(page.locator("#question")).to_contain_text("Your reply 'no idea' has no log lines and no metrics.")
