"""The timeline of a long run: the newest row stays in sight, what is read stays where it is, and the rows are few."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e.kept_page import lent
from tests.e2e.model_events import open_modules
from tests.support.browser import needs_chromium

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

# addSteps(number, at most so many per agent) adds steps and draws; finish() ends the run.
SETUP = """async () => {
    await import("/progress-timeline.js");
    const { applyEvent, newTask } = await import("/task-state.js");
    const [timeline, task] = [document.createElement("progress-timeline"), newTask()];
    document.body.append("Above", timeline, document.createElement("hr"));
    document.querySelector("hr").style.marginTop = "2000px"; // the page can scroll
    const add = (kind, own = {}, state = "WORKING") => {
        const metadata = { "urn:tailrace:a2a:resume:1": { ts: 1_000 + task.seq, agent: "cook", kind, ...own } };
        applyEvent(task, task.seq + 1, { statusUpdate: { status: { state: `TASK_STATE_${state}` }, metadata } });
    };
    const draw = () => timeline.draw(task, task.updatedAt);
    let steps = 0;
    window.addSteps = (number, perAgent = Infinity, drawn = true) => {
        for (let i = 0; i < number; i += 1, steps += 1) {
            const parent = `agent ${Math.floor(steps / perAgent)}`;
            if (steps % perAgent === 0 || steps === 0) add("tool_start", { step: parent, name: parent });
            add("node_start", { step: `${steps}`, parent, name: `step ${steps}`, input: "in" });
            add("node_end", { step: `${steps}` });
        }
        if (drawn) draw();
    };
    window.finish = () => {
        add("state", {}, "COMPLETED");
        draw();
    };
}"""
PLACE = """() => {
    const area = document.querySelector(".tl-body").getBoundingClientRect();
    const rows = document.querySelectorAll(".tl-row");
    const row = rows[rows.length - 1].getBoundingClientRect();
    return { inSight: row.top >= area.top && row.bottom <= area.bottom + 1, page: scrollY, height: area.height };
}"""


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def timelines_page(browser: Browser) -> AsyncIterator[Page]:
    async with open_modules(browser) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="session")
async def page(timelines_page: Page) -> AsyncIterator[Page]:
    """A page with a new timeline."""
    await timelines_page.evaluate("document.body.replaceWith(document.createElement('body'))")
    async with lent(timelines_page) as page:
        await page.set_viewport_size({"width": 800, "height": 700})
        await page.evaluate(SETUP)
        yield page


def row(page: Page, name: str) -> Locator:
    return page.locator(".tl-row").filter(has=page.get_by_text(name, exact=True))


async def test_the_newest_row_stays_in_sight_and_the_page_does_not_scroll(page: Page) -> None:
    for _ in range(6):
        await page.evaluate("window.addSteps(50)")
        place = await page.evaluate(PLACE)
        assert place["inSight"]
        assert place["page"] == 0
        assert place["height"] <= 0.6 * 700 + 1
    await expect(page.get_by_role("button", name="Newest step")).to_be_hidden()


async def test_a_reader_who_scrolls_away_stays_there_until_the_button_goes_back(page: Page) -> None:
    await page.evaluate("window.addSteps(60)")
    await page.locator(".tl-body").hover()
    await page.mouse.wheel(0, -10_000)
    await page.wait_for_function("document.querySelector('.tl-body').scrollTop === 0")
    newest = page.get_by_role("button", name="Newest step")
    await expect(newest).to_be_visible()
    await page.evaluate("window.addSteps(1)")
    assert not (await page.evaluate(PLACE))["inSight"]
    await newest.click()
    await expect(newest).to_be_hidden()
    assert (await page.evaluate(PLACE))["inSight"]
    await page.evaluate("window.addSteps(1)")
    assert (await page.evaluate(PLACE))["inSight"]


async def test_the_details_of_the_last_row_in_sight_come_into_sight(page: Page) -> None:
    await page.evaluate("window.addSteps(30)")
    await row(page, "step 29").click()
    details = page.get_by_role("row", name="Details of step 29")
    await expect(details).to_be_in_viewport(ratio=0.9)
    await expect(row(page, "step 29")).to_be_in_viewport()
    assert await page.evaluate("scrollY") == 0


async def test_a_row_that_is_read_stays_while_hundreds_follow(page: Page) -> None:
    await page.evaluate("window.addSteps(30)")
    await row(page, "step 7").click()
    details = page.get_by_role("row", name="Details of step 7")
    await expect(details).to_be_visible()
    await page.evaluate("window.addSteps(300)")
    await page.evaluate("window.addSteps(100)")
    await expect(details).to_be_visible()
    await expect(row(page, "step 7")).to_be_focused()
    assert await page.locator(".tl-node").count() == 61
    await page.get_by_role("button", name="370 earlier steps").click()
    names = await page.locator(".tl-node .tl-label").all_inner_texts()
    assert names == ["step 7", *(f"step {number}" for number in range(170, 430))]
    await page.get_by_role("button", name="170 earlier steps").click()
    names = await page.locator(".tl-node .tl-label").all_inner_texts()
    assert names == [f"step {number}" for number in range(430)]
    await row(page, "step 7").click()
    await expect(details).to_have_count(0)


async def test_a_row_that_was_read_goes_when_the_reader_has_left_it(page: Page) -> None:
    await page.evaluate("window.addSteps(30)")
    await row(page, "step 7").click()
    await expect(page.get_by_role("row", name="Details of step 7")).to_be_visible()
    await page.evaluate("window.addSteps(100)")
    await row(page, "step 7").click()
    await row(page, "step 129").focus()
    await page.evaluate("window.addSteps(1)")
    await expect(row(page, "step 7")).to_have_count(0)
    assert await page.locator(".tl-node").count() == 60


async def test_a_run_of_20_000_events_has_few_rows(page: Page) -> None:
    for _ in range(10):
        await page.evaluate("window.addSteps(1_000, 50)")
    rows = await page.locator(".tl-row").count()
    assert rows < 1_000
    assert await page.locator(".tl-tool").count() == 60
    # A parent that came late is folded, and has its rows when it is unfolded.
    last = row(page, "agent 199")
    await expect(last).to_have_attribute("aria-expanded", "false")
    await last.locator(".tl-mark").click()
    await expect(row(page, "step 9999")).to_be_visible()
    await page.evaluate("window.finish()")
    await expect(page.locator(".is-running")).to_have_count(0)


async def test_a_finished_run_opens_at_its_beginning(page: Page) -> None:
    await page.evaluate("window.addSteps(60, Infinity, false)")
    await page.evaluate("window.finish()")
    await expect(row(page, "cook")).to_be_in_viewport()
    assert await page.locator(".tl-body").evaluate(
        "area => [area.scrollTop, area.scrollHeight > area.clientHeight]"
    ) == [
        0,
        True,
    ]
    await expect(page.get_by_role("button", name="Newest step")).to_be_hidden()
