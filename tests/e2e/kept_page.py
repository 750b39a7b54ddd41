"""One page for many tests: a browser that has loaded a page's modules loads them again for half the work, or not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, ViewportSize

from tests.support.browser import let_in, new_context

VIEWPORT: ViewportSize = {"width": 1280, "height": 900}


class KeptPage:
    """A page whose next test finds nothing of the one before: no cookies, routes, permissions, windows or settings.

    A page that cannot be left like that is closed, and the next test gets another one.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._context: BrowserContext | None = None

    async def opened(self) -> Page:
        """The page, empty, and let in at every stack that runs."""
        if self._context is None:
            # Endless decorations cost a browser without a GPU more than all else that the page draws.
            self._context = await new_context(self._browser, viewport=VIEWPORT, reduced_motion="reduce")
            return await self._context.new_page()
        await let_in(self._context)
        return self._context.pages[0]

    async def leave(self) -> None:
        """Forget what the test did."""
        assert self._context is not None
        try:
            await self._forget(self._context)
        except Error:
            await self.close()

    async def close(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            await context.close()

    async def _forget(self, context: BrowserContext) -> None:
        page, *others = context.pages
        for other in others:
            await other.close()
        await page.unroute_all(behavior="ignoreErrors")
        await page.evaluate("localStorage.clear()")
        await page.goto("about:blank")
        await context.clear_cookies()
        await context.clear_permissions()
        await _reset_window(page)


@contextlib.asynccontextmanager
async def lent(page: Page) -> AsyncIterator[Page]:
    """Lend a test a page that stays loaded. What the test draws, it or its fixture replaces; the routes are its page's.

    Raises:
        AssertionError: a script failed, or broke the page's security policy.
    """
    with errors_of(page) as errors:
        yield page
    await page.unroute_all(behavior="ignoreErrors")
    await page.evaluate("window.setTimeout = window.setTimeout.real ?? window.setTimeout")
    await _reset_window(page)
    assert errors == []


async def stop_timers(page: Page) -> None:
    """What a button says for two seconds stays, so that no test depends on when it looks."""
    await page.evaluate("window.setTimeout = Object.assign(() => 0, { real: window.setTimeout })")


@contextlib.contextmanager
def errors_of(page: Page) -> Iterator[list[str]]:
    """Collect the errors of a page's scripts, and what its security policy forbids, until the block ends."""
    errors: list[str] = []

    def note_error(error: Error) -> None:
        errors.append(str(error))

    def note_violation(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            errors.append(message.text)

    def show(request: Request) -> None:  # if the test fails
        print(f"{request.url}: {request.failure}")

    page.on("pageerror", note_error)
    page.on("console", note_violation)
    page.on("requestfailed", show)
    yield errors
    page.remove_listener("pageerror", note_error)
    page.remove_listener("console", note_violation)
    page.remove_listener("requestfailed", show)


@contextlib.contextmanager
def requests_of(page: Page, part: str) -> Iterator[list[str]]:
    """Collect the addresses that have this part, of what a page requests until the block ends.

    A page that is kept would tell of each later request too.
    """
    addresses: list[str] = []

    def note(request: Request) -> None:
        if part in request.url:
            addresses.append(request.url)

    page.on("request", note)
    yield addresses
    page.remove_listener("request", note)


async def _reset_window(page: Page) -> None:
    await page.set_viewport_size(VIEWPORT)
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
