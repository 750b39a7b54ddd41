"""`page`: how soon the page can be used on a slow connection, and how many frames a second it keeps, in Chromium.

The connection is Lighthouse's slow 4G: 150 ms of latency, 1.6 Mbit/s. The processor is as fast as this machine's; the
"slow processor" is a quarter of it. A run of 21,000 events comes from tests/sample_agents/assistant.py through the
gateway, on the same cores as the browser. Frames are counted by requestAnimationFrame, in a window of 1280 × 900.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from tests.bench.report import Aim, BenchError, Report, say
from tests.support.browser import CHROMIUM, chromium, new_context
from tests.support.processes import agent, stack

_SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 93_750}
_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
# `window.frames_ms` gets the time of each frame.
_COUNT = """() => {
    window.frames_ms = [];
    let last = performance.now();
    const step = (now) => { window.frames_ms.push(now - last); last = now; requestAnimationFrame(step); };
    requestAnimationFrame(step);
}"""
_TURNS = 100
_TOOLS = 7_000  # each is three events
_TIMEOUT_MS = 120_000


async def bench(folder: Path, runs: int) -> Report:
    if CHROMIUM is None:
        raise BenchError("install Chromium to measure the page (package: chromium).")
    report = Report()
    async with (
        agent(folder, "assistant") as url,
        stack(folder, forked=False, TAILRACE_ORCHESTRATOR="assistant", TAILRACE_ORCHESTRATOR_URL=url) as running,
        chromium() as browser,
    ):
        for name, slower in (("", 1), (", slow processor", 4)):
            opened = [await _open(browser, running.url, slower) for _ in range(runs)]
            report.add(f"first contentful paint{name}", "ms", [each[0] for each in opened], aim=Aim("≤", 1_000))
            report.add(f"the form can be used{name}", "ms", [each[1] for each in opened], aim=Aim("≤", 2_000))
        say("page: opened")
        pages = [await _run(browser, running.url) for _ in range(min(runs, 3))]
        report.add("21,000 events, live", "frames/s", pages, aim=Aim("≥", 30))
        report.add(
            f"a scroll through {_TURNS} turns", "frames/s", [await _turns(browser, running.url)], aim=Aim("≥", 30)
        )
    return report


async def _open(browser: Browser, url: str, slower: int) -> tuple[float, float]:
    """When something is painted, and when the form is there; in ms after the request."""
    context = await new_context(browser, viewport={"width": 390, "height": 844})
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send("Network.emulateNetworkConditions", _SLOW_4G)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    await page.goto(url, wait_until="commit")
    await page.get_by_test_id("message-input").wait_for()
    usable: float = await page.evaluate("performance.now()")
    painted: float = await page.evaluate(_FIRST_PAINT)
    await context.close()
    return painted, usable


async def _run(browser: Browser, url: str) -> float:
    page = await (await new_context(browser, viewport={"width": 1280, "height": 900})).new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    await page.goto(url)
    await page.get_by_test_id("message-input").press_sequentially(f"steps {_TOOLS}")
    await page.evaluate(_COUNT)
    await page.get_by_test_id("send-button").click()
    await _completed(page)
    frames = await _frames(page)
    await page.close()
    return frames


async def _turns(browser: Browser, url: str) -> float:
    page = await (await new_context(browser, viewport={"width": 1280, "height": 900})).new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    context_id = None
    for turn in range(_TURNS):
        context_id = await _turn(page, url, f"turn {turn}", context_id)
    await page.goto(f"{url}/?conversation={context_id}&agent=assistant")
    await _completed(page)
    turns, earlier = page.get_by_test_id("turn"), page.get_by_role("button", name="Earlier turns")
    while (count := await turns.count()) < _TURNS:
        await earlier.click()
        await turns.nth(count).wait_for(state="attached")
    await page.mouse.move(700, 500)
    await page.evaluate(_COUNT)
    for _ in range(_TURNS):
        await page.mouse.wheel(0, 300)
        await page.evaluate("new Promise(requestAnimationFrame)")
    return await _frames(page)


async def _turn(page: Page, url: str, text: str, context_id: str | None) -> str:
    message: dict[str, Any] = {"parts": [{"text": text}]} | ({"contextId": context_id} if context_id else {})
    created = await (
        await page.request.post(f"{url}/api/tasks", data={"message": message}, headers={"origin": url})
    ).json()
    await page.request.get(f"{url}{created['streamUrl']}")
    return str(created["contextId"])


async def _completed(page: Page) -> None:
    await page.locator("[data-testid=task-state][data-state=completed]").wait_for()


async def _frames(page: Page) -> float:
    """Frames a second since they were counted."""
    times: list[float] = await page.evaluate("window.frames_ms")
    return 1_000 / statistics.fmean(times)
