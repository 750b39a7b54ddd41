"""A conversation that two windows show: what one of them does is seen in the other."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.e2e.actions import answer, create, say, send, state, task_of, told_nothing_of_others, write
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def come_back(page: Page) -> None:
    """Look at this window again, after another one. Windows of a browser without a screen all have the focus."""
    await page.evaluate("dispatchEvent(new Event('focus'))")


async def context_of(page: Page) -> str:
    """The context of the conversation on the page."""
    context: str = await page.evaluate("new URLSearchParams(location.search).get('conversation')")
    return context


async def test_a_message_that_another_window_sent_is_shown_here(page: Page, assistant: Stack) -> None:
    await told_nothing_of_others(page)
    await send(page, assistant.url, "hello from here")
    await state(page, "completed")
    other = await page.context.new_page()
    await other.goto(page.url)
    await state(other, "completed")
    await say(other, "lines 10, 10 before never")
    await state(other, "working")
    await write(page, "message-input", "and from here")
    await page.get_by_test_id("send-button").click()
    await expect(page.get_by_role("alert").filter(has_text=await task_of(other))).to_be_visible()
    await expect(page.get_by_test_id("turn")).to_have_count(2)
    await expect(answer(page)).to_contain_text("line 3")
    await expect(page.get_by_test_id("message-input")).to_have_value("and from here")
    await page.get_by_test_id("cancel-button").click()
    await state(other, "canceled")


async def test_what_another_window_did_meanwhile_stands_in_its_place_after_a_message(
    page: Page, assistant: Stack
) -> None:
    first = await create(page, assistant, "first here")
    conversation = f"{assistant.url}/api/conversations/{first['contextId']}?agent=assistant"
    await page.goto(f"{assistant.url}/?task={first['id']}")
    await state(page, "completed")
    await create(page, assistant, "second there", contextId=first["contextId"])
    await page.request.patch(conversation, data={"title": "Renamed there"}, headers=assistant.origin)
    await say(page, "third here")
    await expect(page.get_by_test_id("turn")).to_contain_text(["first here", "second there", "third here"])
    await expect(page.get_by_test_id("title")).to_have_text("Renamed there")
    await expect(page).to_have_title("completed · Renamed there · Tailrace")


async def test_many_turns_of_another_window_leave_no_gap_when_this_one_is_looked_at_again(
    page: Page, assistant: Stack
) -> None:
    first = await create(page, assistant, "turn 0")
    await page.goto(f"{assistant.url}/?task={first['id']}")
    await state(page, "completed")
    for number in range(1, 13):
        await create(page, assistant, f"turn {number}", contextId=first["contextId"])
    await come_back(page)
    turns = page.get_by_test_id("turn")
    await expect(turns).to_have_count(13)
    for number in (12, 6, 0):
        await turns.nth(number).scroll_into_view_if_needed()
        await expect(turns.nth(number)).to_contain_text(f"You said turn {number}")
    await expect(page.get_by_role("button", name="Earlier turns")).to_be_hidden()


async def test_a_conversation_that_another_window_deletes_is_gone_here_too(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "hello deleted")
    await state(page, "completed")
    created = await task_of(page)
    await page.request.delete(
        f"{assistant.url}/api/conversations/{await context_of(page)}?agent=assistant", headers=assistant.origin
    )
    await come_back(page)
    await expect(page.get_by_role("heading", name="This conversation does not exist")).to_be_visible()
    await expect(page.get_by_test_id("turn")).to_have_count(0)
    await expect(page.get_by_role("link", name="hello deleted")).to_have_count(0)
    await expect(page).to_have_title("This conversation does not exist · Tailrace")

    # A message that is sent before somebody notices begins it anew, without the turns that are gone.
    await send(page, assistant.url, "hello again")
    await state(page, "completed")
    assert await task_of(page) != created
    await page.request.delete(
        f"{assistant.url}/api/conversations/{await context_of(page)}?agent=assistant", headers=assistant.origin
    )
    await say(page, "recall")
    await expect(answer(page)).to_contain_text("You said: .")
    await expect(page.get_by_test_id("turn")).to_have_count(1)
