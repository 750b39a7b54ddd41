"""The browser of these tests is as Playwright wants it."""

from __future__ import annotations

import shlex

import pytest
from playwright.async_api import Browser

from tests.support.browser import needs_chromium

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_all_that_playwright_disables_is_disabled(browser: Browser) -> None:
    session = await browser.new_browser_cdp_session()
    line = (await session.send("SystemInfo.getInfo"))["commandLine"]
    switch = "--disable-features="
    by_playwright, ours = (arg.removeprefix(switch) for arg in shlex.split(line) if arg.startswith(switch))
    assert set(by_playwright.split(",")) <= set(ours.split(","))
