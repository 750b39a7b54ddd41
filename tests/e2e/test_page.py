"""The page in a browser, with the real processes behind it: from a click to a report."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.e2e.actions import applied, pill, send, state, write
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

LINES = (
    "2026-01-01T10:00:00Z INFO all is well\n2026-01-01T10:00:05Z INFO all is well\n2026-01-01T10:00:10Z ERROR disk full"
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_the_sample_goes_from_click_to_report(page: Page, shipped: Stack) -> None:
    await page.goto(shipped.url)
    await page.get_by_test_id("sample-button").click()
    await state(page, "completed")
    await pill(page, "finished")
    report, timeline = page.get_by_test_id("report"), page.get_by_test_id("timeline")
    await expect(report.get_by_role("heading", name="What happened")).to_be_visible()
    await expect(report).to_contain_text("Connection refused")
    await expect(report.locator("table").first).to_be_visible()
    for name in ("orchestrator", "log_analyst", "metric_analyst"):
        await expect(timeline).to_contain_text(name)
    assert await page.get_by_test_id("findings").locator("li").count() > 3
    counts = await applied(page)
    assert counts["count"] == counts["last"]
    assert counts["repeated"] == 0


async def test_a_page_without_one_of_its_scripts_says_so_and_can_be_loaded_again(page: Page, shipped: Stack) -> None:
    # Chromium drops all requests that wait for a connection when an interface of the machine comes or goes.
    await page.route("**/turns-view.js", lambda route: route.abort("internetdisconnected"))
    await page.goto(shipped.url)
    words = page.get_by_text("This page is still loading.")
    await expect(words).to_be_visible()
    await page.unroute("**/turns-view.js")
    await words.get_by_role("link", name="load it again").click()
    await expect(words).to_have_count(0)
    await write(page, "message-input", "checkout is slow")


async def test_the_permalink_replays_in_a_second_tab(page: Page, shipped: Stack) -> None:
    await page.goto(shipped.url)
    await page.get_by_test_id("sample-button").click()
    await state(page, "completed")
    second = await page.context.new_page()
    await second.goto(page.url)
    await state(second, "completed")
    first_report = await page.get_by_test_id("report").inner_text()
    assert await second.get_by_test_id("report").inner_text() == first_report
    assert await applied(second) == await applied(page)


async def test_a_task_created_elsewhere_has_its_title_in_the_list_after_it_was_shown(
    page: Page, shipped: Stack
) -> None:
    parts = [{"text": "checkout is slow"}]
    created = await (await page.request.post(f"{shipped.url}/api/tasks", data={"message": {"parts": parts}})).json()
    await page.goto(f"{shipped.url}/?task={created['id']}")
    await state(page, "input-required")
    await page.goto(shipped.url)
    listed = page.locator("#recent-list a").filter(has_text="checkout is slow")
    await expect(listed).to_have_attribute("href", f"?task={created['id']}")


async def test_a_reload_in_the_middle_shows_everything_once(page: Page, slow_stack: Stack) -> None:
    await send(page, slow_stack.url, "300 events, 10 ms apart")
    await expect(page.get_by_test_id("report")).to_contain_text("step 20")
    await page.reload()
    await state(page, "completed")
    counts = await applied(page)
    assert counts["count"] == counts["last"] == int(await page.get_by_test_id("last-seq").inner_text())
    assert counts["repeated"] == 0
    steps = re.findall(r"step (\d+)", await page.get_by_test_id("report").inner_text())
    assert steps == [str(number) for number in range(1, 301)]


async def test_a_killed_gateway_costs_the_page_a_reconnect_and_nothing_else(page: Page, slow_stack: Stack) -> None:
    await send(page, slow_stack.url, "400 events, 15 ms apart")
    await expect(page.get_by_test_id("report")).to_contain_text("step 20")
    await slow_stack.kill("gateway")
    await state(page, "completed")
    await pill(page, "finished")
    counts = await applied(page)
    assert counts["count"] == counts["last"]
    steps = re.findall(r"step (\d+)", await page.get_by_test_id("report").inner_text())
    assert steps == [str(number) for number in range(1, 401)]


async def test_cancel_is_the_last_word(page: Page, slow_stack: Stack) -> None:
    await send(page, slow_stack.url, "5000 events, 20 ms apart")
    await expect(page.get_by_test_id("report")).to_contain_text("step 3")
    await page.get_by_test_id("cancel-button").click()
    await state(page, "canceled")
    await pill(page, "finished")


async def test_a_question_is_answered_on_the_page(page: Page, shipped: Stack) -> None:
    await send(page, shipped.url, "checkout is slow")
    await state(page, "input-required")
    await write(page, "reply-input", LINES)
    await page.get_by_test_id("reply-button").click()
    await state(page, "completed")
    await expect(page.get_by_test_id("report")).to_contain_text("What happened")


async def test_text_from_agents_is_never_markup(page: Page, slow_stack: Stack) -> None:
    await send(page, slow_stack.url, "<img src=x onerror=alert(1)> 3 events, 1 ms apart")
    await state(page, "completed")
    assert await page.locator("img[src='x']").count() == 0


async def test_an_unknown_task_gets_an_explanation_and_a_way_back(page: Page, shipped: Stack) -> None:
    await page.goto(f"{shipped.url}/?task=00000000-0000-0000-0000-000000000000")
    await expect(page.get_by_text("it belongs to somebody else, or it has expired.")).to_be_visible()
    await expect(page.get_by_text("Start a new task")).to_be_visible()


async def test_the_page_fits_a_phone(page: Page, shipped: Stack) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(shipped.url)
    await page.get_by_test_id("sample-button").click()
    await state(page, "completed")
    fits = "document.documentElement.scrollWidth <= window.innerWidth"
    assert await page.evaluate(fits)
    # The place of the time axis's last mark depends on the length of the run. At the edge it needs the most room.
    marks = page.locator(".tl-marks span")
    await marks.last.evaluate("mark => mark.style.setProperty('--s', 'calc(0.99 * var(--span))')")
    assert await page.evaluate(fits)


async def test_a_question_that_is_repeated_is_one_question(page: Page, shipped: Stack) -> None:
    def event(seq: int, state: str, text: str, role: str = "ROLE_AGENT") -> dict[str, Any]:
        message = {"role": role, "parts": [{"text": text}]}
        metadata = {"urn:tailrace:a2a:resume:1": {"seq": seq, "ts": seq, "kind": "state", "agent": "orchestrator"}}
        return {"statusUpdate": {"status": {"state": state, "message": message}, "metadata": metadata}}

    events = [
        event(1, "TASK_STATE_INPUT_REQUIRED", "Which host?"),
        event(2, "TASK_STATE_INPUT_REQUIRED", "Which host?"),
        event(3, "TASK_STATE_WORKING", "web-1", "ROLE_USER"),
        event(4, "TASK_STATE_INPUT_REQUIRED", "Since when?"),
    ]
    await page.goto(shipped.url)
    model = """async (events) => {
        const { applyEvent, newTask } = await import("/task-state.js");
        const task = newTask();
        events.forEach((event, at) => applyEvent(task, at + 1, event));
        return [task.state, task.message, ...task.turns.map((turn) => turn.text)];
    }"""
    assert await page.evaluate(model, events) == [
        "input-required",
        "Since when?",
        *("Which host?", "web-1", "Since when?"),
    ]


async def test_an_event_of_another_agent_about_a_known_step_adds_no_row(page: Page, shipped: Stack) -> None:
    def event(**meta: str) -> dict[str, Any]:
        message = {"role": "ROLE_AGENT", "parts": [{"text": "words"}]}
        status = {"state": "TASK_STATE_WORKING", "message": message}
        return {"statusUpdate": {"status": status, "metadata": {"urn:tailrace:a2a:resume:1": {"ts": 1, **meta}}}}

    events = [
        event(agent="orchestrator", kind="node_start", step="a", name="ask"),
        event(agent="logs", kind="progress", step="a"),
        event(agent="logs", kind="node_end", step="a"),
    ]
    await page.goto(shipped.url)
    model = """async (events) => {
        const { applyEvent, newTask } = await import("/task-state.js");
        const task = newTask();
        events.forEach((event, at) => applyEvent(task, at + 1, event));
        return [...task.steps.values()].map(({ name, text, state }) => [name, text, state]);
    }"""
    assert await page.evaluate(model, events) == [["orchestrator", "", "running"], ["ask", "words", "done"]]
