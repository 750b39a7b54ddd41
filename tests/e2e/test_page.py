"""The page in a browser, with the real processes behind it: from a click to a report."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.e2e.actions import answer, applied, go_on, last_seq, open_work, pill, send, send_sample, state, write
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_the_sample_goes_from_click_to_report(page: Page, shipped: Stack) -> None:
    task = await send_sample(page, shipped.url)
    await state(page, "completed")
    await pill(page, "finished")
    report = answer(page)
    # Who has watched it gets the beginning of the answer.
    await expect(page.get_by_test_id("findings-summary")).to_be_in_viewport(ratio=1)
    await expect(report.get_by_role("heading", name="What happened")).to_be_in_viewport()
    await expect(report).to_contain_text("Connection refused")
    await expect(report.locator("table").first).to_be_visible()
    timeline = await open_work(page)
    for name in ("orchestrator", "log_analyst", "metric_analyst"):
        await expect(timeline).to_contain_text(name)
    await expect(page.get_by_test_id("finding").nth(3)).to_be_visible()
    counts = await applied(page)
    assert counts["count"] == counts["last"]
    assert counts["repeated"] == 0

    second = await page.context.new_page()
    await second.goto(f"{shipped.url}/?task={task}")
    await state(second, "completed")
    assert await answer(second).inner_text() == await report.inner_text()
    assert await applied(second) == counts


async def test_a_page_without_one_of_its_scripts_says_so_and_can_be_loaded_again(page: Page, shipped: Stack) -> None:
    # Chromium drops all requests that wait for a connection when an interface of the machine comes or goes.
    await page.route("**/messages-view.js", lambda route: route.abort("internetdisconnected"))
    await page.goto(shipped.url)
    words = page.get_by_text("This page is still loading.")
    await expect(words).to_be_visible()
    await page.unroute("**/messages-view.js")
    await words.get_by_role("link", name="load it again").click()
    await expect(words).to_have_count(0)
    await write(page, "message-input", "checkout is slow")


async def test_a_reload_in_the_middle_shows_everything_once(page: Page, slow_stack: Stack) -> None:
    await send(page, slow_stack.url, "120 events, 5 ms apart, 60 before reload")
    await expect(answer(page)).to_contain_text("step 20")
    await page.reload()
    go_on(slow_stack, "reload")
    await state(page, "completed")
    counts = await applied(page)
    assert counts["count"] == counts["last"] == await last_seq(page)
    assert counts["repeated"] == 0
    steps = re.findall(r"step (\d+)", await answer(page).inner_text())
    assert steps == [str(number) for number in range(1, 121)]


async def test_a_killed_gateway_costs_the_page_a_reconnect_and_nothing_else(page: Page, slow_stack: Stack) -> None:
    await send(page, slow_stack.url, "120 events, 5 ms apart, 60 before kill")
    await expect(answer(page)).to_contain_text("step 20")
    await slow_stack.kill("gateway")
    go_on(slow_stack, "kill")
    await state(page, "completed")
    await pill(page, "finished")
    counts = await applied(page)
    assert counts["count"] == counts["last"]
    steps = re.findall(r"step (\d+)", await answer(page).inner_text())
    assert steps == [str(number) for number in range(1, 121)]


async def test_stop_is_the_last_word(page: Page, slow_stack: Stack) -> None:
    await send(page, slow_stack.url, "5000 events, 20 ms apart")
    await expect(answer(page)).to_contain_text("step 3")
    await page.get_by_test_id("cancel-button").click()
    await state(page, "canceled")
    await pill(page, "finished")
    await expect(page.get_by_test_id("send-button")).to_be_visible()


async def test_a_request_that_fits_no_agent_gets_a_list_of_what_the_agents_do(page: Page, shipped: Stack) -> None:
    await send(page, shipped.url, "bake a cake")
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("No agent here says that it can do this.")
    lines = await answer(page).get_by_role("listitem").all_inner_texts()
    assert [line.partition(":")[0] for line in lines] == ["log_analyst", "metric_analyst"]


async def test_text_from_agents_is_never_markup(page: Page, slow_stack: Stack) -> None:
    await send(page, slow_stack.url, "<img src=x onerror=alert(1)> 3 events, 1 ms apart")
    await state(page, "completed")
    assert await page.locator("img[src='x']").count() == 0


async def test_an_unknown_task_gets_an_explanation_and_a_way_back(page: Page, shipped: Stack) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    for address in (f"?task={unknown}", f"?conversation={unknown}&agent=orchestrator"):
        await page.goto(f"{shipped.url}/{address}")
        await expect(page.get_by_text("it was deleted or has expired, or it belongs to somebody else.")).to_be_visible()
        await page.get_by_role("main").get_by_role("link", name="New conversation").click()
        await expect(page.get_by_test_id("message-input")).to_be_focused()


async def test_the_page_fits_a_phone(page: Page, shipped: Stack, finished_sample: str) -> None:
    fits = "document.documentElement.scrollWidth <= window.innerWidth"
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(shipped.url)
    await expect(page.get_by_test_id("sample-button")).to_be_visible()
    assert await page.evaluate(fits)
    await page.goto(f"{shipped.url}/?task={finished_sample}")
    await state(page, "completed")
    timeline = await open_work(page)
    assert await page.evaluate(fits)
    # The place of the time axis's last mark depends on the length of the run. At the edge it needs the most room.
    marks = timeline.locator(".tl-marks span")
    await marks.last.evaluate("mark => mark.style.setProperty('--s', 'calc(0.99 * var(--span))')")
    assert await page.evaluate(fits)
