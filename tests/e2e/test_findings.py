"""The view of findings on a page of its own: what came first, the charts, the rows and their evidence."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e.findings_cases import (
    ALERT,
    EVENTS,
    INCIDENT,
    LINE,
    ORIGIN,
    WORDS,
    at,
    clear,
    draw,
    finding,
    opened,
    samples,
)
from tests.e2e.kept_page import lent, stop_timers
from tests.support.axe import violations
from tests.support.browser import needs_chromium
from tests.support.processes import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


@pytest_asyncio.fixture(loop_scope="session")
async def page(findings_page: Page) -> AsyncIterator[Page]:
    await clear(findings_page)
    async with lent(findings_page) as page:
        yield page


LIBRARY = "findings/vendor/uplot-1.6.32/uPlot.iife.min.js"
# Whether the first chart has a pixel of this colour.
HAS_PIXEL = """([red, green, blue]) => {
    const canvas = document.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
        if (data[i] === red && data[i + 1] === green && data[i + 2] === blue && data[i + 3] === 255) return true;
    }
    return false;
}"""


def row(page: Page, subject: str) -> Locator:
    return page.get_by_test_id("finding").filter(has=page.get_by_text(subject, exact=True))


def opener(page: Page, subject: str) -> Locator:
    return page.get_by_role("button", name=f"Details of {subject}", exact=True)


async def subjects(page: Page) -> list[str]:
    return await page.locator(".f-subject").all_inner_texts()


async def test_the_summary_says_what_failed_what_came_first_when_and_how_sure_it_is(page: Page) -> None:
    await draw(page, INCIDENT, ALERT, beside={"events": EVENTS, "failures": [{"words": WORDS, "start": at(106)}]})
    summary = page.get_by_test_id("findings-summary")
    for words in (
        "What failed: 9 of 20 requests (45%) failed from 12:41:46 to 12:43:08",
        "Likely cause, because it came first", "pool_in_use", "12:41:40 UTC", "10 s before the alert fired",
        "87 %in this finding", "Over after12:43:08 UTC1 m 28 s later",
        "May have begun at the same time: cpu_percent",
        "Just before it, with little confidence: INFO job started",
        "An earlier event began at 11:40:00: memory_mb",
    ):  # fmt: skip
        await expect(summary).to_contain_text(words)
    await summary.get_by_role("button", name="pool_in_use").click()
    await expect(opener(page, "pool_in_use")).to_be_focused()

    goes_on = EVENTS[0] | {"state": "ongoing", "is_cause": False}
    await draw(page, [*INCIDENT], ALERT, beside={"events": [goes_on]})
    await expect(summary).to_contain_text("This came first, but is itself an effect")
    await expect(summary).to_contain_text("goes onto the end of the recording")
    await draw(page, INCIDENT[1:2])
    await expect(summary).to_contain_text("Only faint signs; this is the first")
    await expect(summary).not_to_contain_text("cause")
    await draw(page, [])
    await expect(summary).to_be_hidden()
    await expect(page.get_by_test_id("findings")).to_contain_text("The list is empty.")


async def test_without_the_orchestrators_events_nothing_is_called_a_cause(page: Page) -> None:
    for beside in ({}, {"events": [EVENTS[0] | {"first": [99]}]}, {"events": "soon"}, {"events": [None]}):
        await draw(page, [*INCIDENT], ALERT, beside=beside)
        summary = page.get_by_test_id("findings-summary")
        await expect(summary).to_contain_text("What came first")
        await expect(summary).not_to_contain_text("cause")


async def test_the_lines_of_a_finding_are_a_chart_with_the_number_of_its_words_and_its_figure(page: Page) -> None:
    counts = {"start": at(90), "step_s": 2, "counts": [7, 0, 3, 5, 0, 1], "begin": 2, "end": 6, "later": 2}
    words = f"First seen at {at(94)}, last at {at(140)}: 11 lines."
    fields = {"type": "new_template", "magnitude": 11, "unit": "lines", "summary": words}
    await draw(page, [finding("ERROR locked", 94, 140, **fields, evidence={"count": 11, "lines": counts})])
    await expect(page.locator(".fc-value")).to_have_text(["11 lines"])
    await expect(page.locator(".f-size")).to_have_text("11 lines")
    await expect(row(page, "ERROR locked")).to_contain_text("11 lines.")
    charts = page.get_by_role("slider")
    await expect(charts.locator("canvas")).to_have_count(1)
    await charts.focus()
    await page.keyboard.press("Home")
    await expect(page.locator(".fc-value")).to_have_text(["7 lines in 2 s"])


async def test_findings_are_grouped_by_time_ranked_and_can_be_ordered_and_filtered(page: Page) -> None:
    await draw(page, INCIDENT, ALERT)
    view = page.get_by_test_id("findings")
    await expect(view).to_contain_text("7 findings in 2 groups by time")
    ranked = ["cpu_percent", "ERROR pool exhausted", "pool_in_use", "POST /cart 200", "p95_ms", "INFO job started"]
    assert await subjects(page) == ranked
    await page.get_by_role("combobox", name="Order").select_option("Sort: time")
    assert await subjects(page) == [each["subject"] for each in INCIDENT[1:]]
    await page.get_by_role("combobox", name="Type").select_option("gone (1)")
    await expect(page.get_by_role("status")).to_have_text("1 of 7 findings")
    assert await subjects(page) == ["POST /cart 200"]
    await page.get_by_role("combobox", name="Type").select_option("All types")
    await page.get_by_role("combobox", name="Agent").select_option("logs (3)")
    search = page.get_by_role("searchbox")
    await search.press_sequentially("app.log error")
    assert await subjects(page) == ["ERROR pool exhausted"]
    await search.press_sequentially(" zzz")
    await page.get_by_role("button", name="Show all").click()
    await expect(search).to_be_focused()
    assert len(await subjects(page)) == 6
    group = page.get_by_role("button", name="11:40:00")
    await group.click()
    await expect(row(page, "memory_mb")).to_be_visible()
    await group.click()
    await search.press_sequentially("memory")
    await expect(row(page, "memory_mb")).to_be_visible()


async def test_a_row_opens_to_lines_that_can_be_copied(page: Page) -> None:
    await draw(page, INCIDENT, ALERT)
    await opener(page, "ERROR pool exhausted").press("Enter")
    details = row(page, "ERROR pool exhausted")
    await expect(details).to_contain_text("First seen at 12:41:46; 353 lines since then.")
    for words in ("app.log", LINE, "GET /", "logs", "ERROR"):
        await expect(details).to_contain_text(words)
    await stop_timers(page)
    # Pages that are not on https have no clipboard.
    await details.get_by_role("button", name="Copy line").first.click()
    await expect(details.get_by_role("button", name="Copying is not allowed here")).to_be_visible()
    clipboard = "{ configurable: true, value: { writeText: async (text) => void (window.copied = text) } }"
    await page.evaluate(f"Object.defineProperty(navigator, 'clipboard', {clipboard})")
    await details.get_by_role("button", name="Copy as JSON").click()
    await expect(details.get_by_role("button", name="Copied")).to_be_visible()
    assert json.loads(await page.evaluate("copied"))["subject"] == "ERROR pool exhausted"
    await row(page, "p95_ms").click(position={"x": 300, "y": 12})
    await expect(opener(page, "p95_ms")).to_have_attribute("aria-expanded", "true")


async def test_charts_have_one_cursor_and_one_zoom_for_mouse_and_keys(page: Page) -> None:
    await draw(page, INCIDENT, ALERT)
    charts = page.get_by_role("slider", name="Time cursor of 3 charts")
    plots = charts.locator(".u-over")
    await expect(plots).to_have_count(3)
    await expect(charts).to_contain_text("alert")
    values = charts.locator(".fc-value")
    await expect(values).to_have_text(["3 – 80 %", "0 – 8 connections", "5 – 3,000 ms"])
    reset = page.get_by_role("button", name="Reset the zoom")
    await expect(reset).to_be_disabled()

    box = await plots.nth(1).bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + box["width"] * 0.8, middle)
    await expect(values.first).to_have_text("80 %")
    await page.mouse.move(box["x"] + box["width"] * 0.3, middle)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=3)
    await page.mouse.up()
    await expect(reset).to_be_enabled()
    await reset.click()
    await expect(reset).to_be_disabled()

    await charts.focus()
    await page.keyboard.press("Home")
    await expect(charts).to_have_attribute(
        "aria-valuetext", "12:41:00 UTC. cpu_percent: 3 %. pool_in_use: 0 connections. p95_ms: 5 ms"
    )
    await page.keyboard.press("PageUp")
    await expect(values).to_have_text(["80 %", "8 connections", "5 ms"])
    for _ in range(6):
        await page.keyboard.press("ArrowRight")
    await expect(values).to_have_text(["80 %", "no sample", "5 ms"])
    await page.keyboard.press("+")
    await expect(reset).to_be_enabled()
    await page.keyboard.press("0")
    await expect(reset).to_be_disabled()
    await page.keyboard.press("Escape")
    await expect(values.first).to_have_text("3 – 80 %")

    await opener(page, "p95_ms").click()
    await page.get_by_role("button", name="Show in the chart").click()
    await expect(charts).to_be_focused()
    await expect(reset).to_be_enabled()
    await page.get_by_text("Values as a table").click()
    table = page.get_by_role("table")
    await expect(table.get_by_role("row").nth(1)).to_have_text("12:41:00.0305")
    await expect(table.get_by_role("columnheader", name="cpu_percent (%)")).to_be_visible()


async def test_the_charts_follow_the_theme(page: Page) -> None:
    await draw(page, INCIDENT, ALERT)
    await expect(page.locator(".u-over")).to_have_count(3)
    light, dark = [8, 117, 138], [76, 198, 219]
    await page.wait_for_function(HAS_PIXEL, arg=light)
    await page.emulate_media(color_scheme="dark")
    await page.wait_for_function(HAS_PIXEL, arg=dark)
    await page.evaluate("document.documentElement.dataset.theme = 'light'")
    await page.wait_for_function(HAS_PIXEL, arg=light)


async def test_without_the_chart_library_the_values_are_there_and_it_can_be_tried_again(browser: Browser) -> None:
    async with opened(browser, without=LIBRARY) as fresh, lent(fresh) as page:
        await draw(page, INCIDENT, ALERT)
        view = page.get_by_test_id("findings")
        await expect(view).to_contain_text("The charts could not be loaded.")
        await page.get_by_text("Values as a table").click()
        await expect(view.get_by_role("table")).to_contain_text("12:41:00.0")
        content = (ROOT / "frontend" / LIBRARY).read_text()
        script = {"body": content, "content_type": "text/javascript"}
        await page.route(f"{ORIGIN}{LIBRARY}", lambda route: route.fulfill(**script))
        await view.get_by_role("button", name="Try again").click()
        await expect(page.locator(".u-over")).to_have_count(3)


async def test_report_and_findings_lead_to_each_other(page: Page) -> None:
    report = ("cpu_percent rose", "cpu_percent", "ERROR pool exhausted", "pool_in_use_max")
    await draw(page, INCIDENT, ALERT, report)
    links = page.get_by_role("link", name="cpu_percent", exact=True)
    await expect(links).to_have_count(4)
    await expect(page.locator(".md").get_by_role("link", name="pool_in_use")).to_have_count(0)
    await draw(page, INCIDENT, ALERT, report)
    await expect(links).to_have_count(4)
    await links.nth(2).click()
    await expect(opener(page, "cpu_percent")).to_be_focused()
    await page.keyboard.press("Enter")
    await row(page, "cpu_percent").get_by_role("button", name="Show in the report").click()
    await expect(links.first).to_be_focused()
    # A finding that is filtered away is shown all the same.
    await page.get_by_role("searchbox").press_sequentially("p95")
    await links.first.click()
    await expect(opener(page, "cpu_percent")).to_be_focused()


async def test_more_findings_keep_what_is_open_and_the_focus(page: Page) -> None:
    await draw(page, INCIDENT[:6], ALERT)
    await page.get_by_role("searchbox").press_sequentially("o")
    await opener(page, "pool_in_use").press("Enter")
    await page.evaluate("([more]) => view.draw([...list, more], { task })", [INCIDENT[6] | {"subject": "more"}])
    await expect(row(page, "more")).to_be_visible()
    await expect(page.get_by_role("searchbox")).to_have_value("o")
    await expect(opener(page, "pool_in_use")).to_be_focused()
    await expect(opener(page, "pool_in_use")).to_have_attribute("aria-expanded", "true")
    await expect(page.get_by_role("slider")).to_have_count(1)


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (360, "dark")])
async def test_it_is_accessible_and_never_wider_than_the_page(page: Page, width: int, theme: Any) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    await page.emulate_media(color_scheme=theme)
    long = finding("x" * 400, 100, 150, unit="y" * 80, evidence={"example": "z" * 3000, **samples([1, 2, 3])})
    await draw(page, [*INCIDENT, long], ALERT, ("cpu_percent",))
    await expect(page.locator(".u-over")).to_have_count(4)
    for button in await page.locator(".f-opener:visible").all():
        await button.click()
    await page.get_by_text("Values as a table").click()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await violations(page) == []
