"""`make pictures`: those of README.md, light and dark. They show the page of `make run` with the sample."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, expect

from tests.e2e.actions import answer, open_work, send, send_sample, state
from tests.support.browser import chromium, new_context
from tests.support.processes import ROOT, stack

DOCS = ROOT / "docs"
WIDTH = 1280
SCALE = 1.5  # a compromise between sharp letters and small files
EARLIER = {
    "Why does the nightly export stop?": "2026-11-28T02:1{n}:04Z ERROR export: disk full",
    "Is the cache slower since the release?": "2026-11-28T09:3{n}:40Z WARN cache: 512 ms for get",
}


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with stack(Path(folder)) as started, chromium() as browser:
            await take(browser, started.url)


async def take(browser: Browser, url: str) -> None:
    context = await new_context(browser, device_scale_factor=SCALE, reduced_motion="reduce")
    page = await context.new_page()
    await page.set_viewport_size({"width": WIDTH, "height": 900})
    for question, line in EARLIER.items():
        await send(page, url, "\n".join([question, *(line.format(n=n) for n in range(5))]))
        await state(page, "completed")
    await send_sample(page, url)
    await state(page, "completed")
    await expect(page.get_by_test_id("conversations").locator("li").first.locator(".state")).to_have_text("completed")
    await open_work(page)
    await page.evaluate("scrollTo(0, 0)")
    await picture(page, "page", height=1140)
    findings = page.get_by_role("region", name="Findings")
    await expect(answer(page)).to_be_visible()
    await findings.evaluate("findings => findings.scrollIntoView()")
    await expect(findings.locator(".uplot").first).to_be_visible()
    await picture(page, "findings", height=860)
    await context.close()


async def picture(page: Page, name: str, height: int) -> None:
    """Take a picture of what is visible, light and dark."""
    await page.set_viewport_size({"width": WIDTH, "height": height})
    for scheme, suffix in (("light", ""), ("dark", "-dark")):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.mouse.move(0, 0)
        path = DOCS / f"{name}{suffix}.png"
        await page.screenshot(path=path, animations="disabled", caret="hide")
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    asyncio.run(main())
