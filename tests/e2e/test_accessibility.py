"""axe-core finds nothing wrong with the page's views, light and dark, on a desktop and on a phone."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e.actions import answer, newest, open_work, send, state, write
from tests.support.axe import check
from tests.support.browser import needs_chromium, new_context
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

PHONE = {"width": 390, "height": 800}
NEWEST_TURN = ".turn:last-child"


async def say(page: Page, text: str, outcome: str) -> None:
    """Send the next message, and wait until its turn has the state."""
    await write(page, "message-input", text)
    await page.get_by_test_id("send-button").click()
    await expect(page.get_by_test_id("message-input")).to_have_value("")
    await expect(page.get_by_test_id("turn").last).to_have_attribute("data-state", outcome)


async def stop(page: Page) -> None:
    await page.get_by_test_id("cancel-button").click()
    await state(page, "canceled")


async def test_the_first_view_and_the_list(page: Page, assistant: Stack) -> None:
    await page.goto(assistant.url)
    await expect(page.get_by_role("radio", name="assistant")).to_be_checked()
    await check(page, "a new conversation with the choice of an agent")
    await page.get_by_role("radio", name="log_analyst").check()
    await write(page, "message-input", "tables")
    await write(page, "search", "no title has this")
    await expect(page.get_by_text("Nothing matches.")).to_be_visible()
    await check(page, "a list without a match, and a message that is being written")


async def test_a_conversation_from_its_first_message_to_its_end(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "tables")
    await state(page, "completed")
    turn = page.get_by_test_id("turn").last
    for shown in ("notes.txt", "=coffee", "colour"):
        await expect(turn).to_contain_text(shown)
    await expect(turn.get_by_role("img").first).to_be_visible()
    await expect(page.get_by_test_id("conversations").get_by_text("completed").first).to_be_visible()
    await check(page, "an answer with data and files")

    await say(page, "steps 3", "completed")
    await expect(await open_work(page)).to_contain_text("look_up")
    await check(page, "a timeline", NEWEST_TURN)
    await (await open_work(page)).get_by_text("look_up", exact=True).first.click()
    step = page.get_by_role("row", name="Details of look_up")
    await step.get_by_text("Events", exact=True).click()
    await expect(step.get_by_role("group", name="JSON")).to_contain_text("tool_start")
    await check(page, "a step that is open", NEWEST_TURN)

    await say(page, "lines 10, 10 before never", "working")
    await expect(answer(page)).to_contain_text("line 3")
    await check(page, "a task that works")
    await stop(page)

    await say(page, "fail", "failed")
    await expect(newest(page, "failure")).to_be_visible()
    await check(page, "a failed task", NEWEST_TURN)

    await page.get_by_role("button", name="Rename").click()
    await expect(page.get_by_role("textbox", name="Title")).to_be_focused()
    await check(page, "a title that is being changed", "header:has([aria-label=Title])")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await check(page, "a dialog", "dialog")


async def test_questions(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "trip")
    question = newest(page, "question")
    await expect(question).to_be_visible()
    await check(page, "a form")
    await stop(page)
    for text in ("pick", "approve"):
        await say(page, text, "input-required")
        await expect(page.get_by_test_id("turn").last.get_by_test_id("question")).to_be_visible()
        await page.set_viewport_size(PHONE)
        await check(page, f"the question of {text} on a phone", NEWEST_TURN)
        await page.set_viewport_size({"width": 1280, "height": 900})
        await stop(page)


async def test_a_phone(page: Page, assistant: Stack) -> None:
    await page.set_viewport_size(PHONE)
    await send(page, assistant.url, "tables")
    await state(page, "completed")
    await expect(page.get_by_test_id("turn").last).to_contain_text("notes.txt")
    await check(page, "a conversation on a phone")
    await page.get_by_role("button", name="Conversations").click()
    await expect(page.get_by_test_id("search")).to_be_focused()
    await check(page, "the menu")
    await page.get_by_test_id("new-conversation").click()
    await expect(page.get_by_role("radio", name="assistant")).to_be_checked()
    await check(page, "a new conversation on a phone")
    await page.goto(f"{assistant.url}/?conversation=none")
    await expect(page.get_by_role("heading", name="does not exist")).to_be_visible()
    await check(page, "a conversation that does not exist")


async def fits(box: Locator) -> None:
    """Check that all of a box can be seen at once, in a window of 320 × 256."""
    await expect(box).to_be_visible()
    place = await box.bounding_box()
    assert place is not None
    assert 0 < place["x"] < place["x"] + place["width"] < 320
    assert place["height"] < 256


async def test_everything_fits_at_400_percent(browser: Browser, assistant: Stack) -> None:
    # What a browser's zoom does to a window of 1,280 × 1,024: fewer and larger CSS pixels.
    context = await new_context(browser, viewport={"width": 320, "height": 256}, device_scale_factor=4)
    page = await context.new_page()
    await page.goto(assistant.url)
    await expect(page.get_by_test_id("sample-button")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    await check(page, "a new conversation at 400 %")
    await write(page, "message-input", "tables")
    await page.keyboard.press("Control+Enter")
    await page.wait_for_url("**/?conversation=*")
    await state(page, "completed")
    await expect(page.get_by_test_id("turn")).to_contain_text("notes.txt")
    timeline = await open_work(page)
    await expect(timeline.get_by_text("work", exact=True)).to_be_visible()
    await check(page, "a conversation at 400 %")
    await page.get_by_test_id("take-along-menu").click()
    await fits(page.get_by_text("Copy as a curl command").locator(".."))
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Delete").click()
    await fits(page.get_by_role("dialog"))
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    await context.close()
