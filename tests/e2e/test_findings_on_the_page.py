"""The findings of the sample in a conversation: the answer first, and links between it and the findings."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.e2e.actions import answer, state
from tests.support.axe import check
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_the_sample_leads_from_its_cause_to_the_evidence_and_back(
    page: Page, shipped: Stack, finished_sample: str
) -> None:
    await page.goto(f"{shipped.url}/?task={finished_sample}")
    await state(page, "completed")
    summary = page.get_by_test_id("findings-summary")
    await expect(summary).to_contain_text("What failed: 633 of 1,391 requests (46%) failed from 12:41:46 to 12:43:08")
    await expect(summary).to_contain_text("Likely cause, because it came first")
    await expect(summary.locator(".f-headline")).to_contain_text("reprice started")
    await expect(summary).to_contain_text("8 s before the alert fired")
    await expect(summary).to_contain_text("Another event began at 12:42:21")
    await expect(page.get_by_role("combobox", name="Agent of the findings")).to_contain_text("log_analyst")
    filters = page.get_by_role("searchbox", name="Search the findings")
    charts = page.get_by_role("slider")
    await filters.scroll_into_view_if_needed()  # charts are drawn when they come near
    await expect(charts.locator("canvas")).to_have_count(12)

    await answer(page).get_by_role("link", name="database_cpu_percent").first.click()
    opener = page.get_by_role("button", name="Details of database_cpu_percent")
    await expect(opener).to_be_focused()
    await expect(opener).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Show in the report").click()
    await expect(answer(page).get_by_role("link", name="database_cpu_percent").first).to_be_focused()

    # A reader who comes later, on a phone.
    await page.set_viewport_size({"width": 360, "height": 720})
    await page.reload()
    await expect(summary.locator(".f-headline")).to_contain_text("reprice started")
    await filters.scroll_into_view_if_needed()  # charts are drawn when they come near
    await expect(charts.locator("canvas")).to_have_count(12)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_axe_finds_nothing_wrong_with_a_report_with_findings(
    page: Page, shipped: Stack, finished_sample: str
) -> None:
    await page.goto(f"{shipped.url}/?task={finished_sample}")
    await state(page, "completed")
    await expect(answer(page).get_by_role("heading", name="What happened")).to_be_visible()
    findings = page.get_by_role("region", name="Findings")
    await findings.scroll_into_view_if_needed()
    await expect(findings.locator(".uplot").first).to_be_visible()
    await check(page, "a report with findings", ".turn")
