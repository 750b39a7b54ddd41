"""The findings of the sample in a conversation: the answer first, and links between it and the findings."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.e2e.actions import answer, send_sample, state
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_the_sample_leads_from_its_cause_to_the_evidence_and_back(page: Page, shipped: Stack) -> None:
    task = await send_sample(page, shipped.url)
    await state(page, "completed")
    summary = page.get_by_test_id("findings-summary")
    await expect(summary).to_contain_text("upstream_pool_in_use rose from 0 to 8")
    await expect(summary).to_contain_text("6 s before the alert fired")
    await expect(summary).to_contain_text("INFO reprice started")
    await expect(page.get_by_role("combobox", name="Agent of the findings")).to_contain_text("log_analyst")
    filters = page.get_by_role("searchbox", name="Search the findings")
    charts = page.get_by_role("slider")
    await filters.scroll_into_view_if_needed()  # charts are drawn when they come near
    await expect(charts.locator("canvas")).to_have_count(9)

    await answer(page).get_by_role("link", name="database_cpu_percent").first.click()
    opener = page.get_by_role("button", name="Details of database_cpu_percent")
    await expect(opener).to_be_focused()
    await expect(opener).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Show in the report").click()
    await expect(answer(page).get_by_role("link", name="database_cpu_percent").first).to_be_focused()

    # A reader who comes later, on a phone.
    await page.set_viewport_size({"width": 360, "height": 720})
    await page.goto(f"{shipped.url}/?task={task}")
    await expect(summary).to_contain_text("upstream_pool_in_use rose from 0 to 8")
    await filters.scroll_into_view_if_needed()  # charts are drawn when they come near
    await expect(charts.locator("canvas")).to_have_count(9)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
