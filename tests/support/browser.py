"""The system's Chromium, headless, for tests of the page."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.support.processes import RUNNING

_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _BROWSERS)), None)

# Chromium draws the popups of its address bar as web pages, even without a screen. It would load both of them for each
# page of a test, which takes longer than the page itself.
_POPUPS = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup")
# A process that waits for a second site. A test's page has one site.
_SPARE = ("SpareRendererForSitePerProcess",)
# Only the last list of disabled features counts, so ours has Playwright's too.
_OF_PLAYWRIGHT = (
    *("AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync"),
    *("DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay"),
    *("MediaRouter", "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch"),
    *("TcpPortRandomizationWin", "ThirdPartyStoragePartitioning"),
    *("msEdgeUpdateLaunchServicesPreferredVersion", "msForceBrowserSignIn"),
)

# What a browser has not done after so long hangs, on any machine. Without it, Playwright waits 5 s for some things.
_HANGS_MS = 120_000

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="install Chromium to test the page (package: chromium)")


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless browser without background requests of its own."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    # A scroll by a key that is animated may be given up while the page is laid out.
    steady = ["--disable-smooth-scrolling"]
    lean = ["--disable-gpu", "--disable-quic", f"--disable-features={','.join((*_OF_PLAYWRIGHT, *_POPUPS, *_SPARE))}"]
    # Chromium has no sandbox for root, and containers and CI run as root.
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        expect.set_options(timeout=_HANGS_MS)
        arguments = [*quiet, *steady, *lean, *as_root]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=_HANGS_MS)
        try:
            yield browser
        finally:
            await browser.close()


async def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A new context, which is let in at every stack that runs."""
    context = await unknown_context(browser, **options)
    await let_in(context)
    return context


async def unknown_context(browser: Browser, **options: Any) -> BrowserContext:
    """A new context, which is let in nowhere."""
    context = await browser.new_context(**options)
    context.set_default_timeout(_HANGS_MS)
    return context


async def let_in(context: BrowserContext) -> None:
    """Let a context in at every stack that runs, as if each one's printed address had been opened in it."""
    await context.add_cookies(
        [
            {"name": name, "value": value, "url": stack.url, "httpOnly": True, "sameSite": "Strict"}
            for stack in RUNNING
            for name, value in stack.cookies.items()
        ]
    )
