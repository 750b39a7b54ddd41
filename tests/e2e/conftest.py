from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from browser import chromium
from playwright.async_api import Browser, Page, expect
from stack import Stack, stack

TIMEOUT_MS = 30_000


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shipped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """What `make run` starts."""
    async with stack(tmp_path_factory.mktemp("shipped")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page that fails its test when a script of it does, or when it breaks its own security policy."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    opened = await context.new_page()
    opened.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda m: errors.append(m.text) if "Content Security Policy" in m.text else None)
    yield opened
    await context.close()
    assert errors == []
