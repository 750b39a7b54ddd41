"""A conversation on the page, when its user does two things at once or goes elsewhere in the middle of one."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from tests.e2e.actions import answer, create, pill, send, state, write
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def rename(page: Page, title: str) -> None:
    """Type another title over the old one, and save it."""
    await page.get_by_role("button", name="Rename").click()
    await expect(page.get_by_role("textbox", name="Title")).to_be_focused()
    await page.keyboard.type(title)
    await page.keyboard.press("Enter")


async def test_a_window_that_is_looked_at_again_still_has_one_form_for_the_title(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "hello form")
    await state(page, "completed")
    await page.get_by_role("button", name="Rename").click()
    await expect(page.get_by_role("textbox", name="Title")).to_be_focused()
    async with page.expect_response("**/api/conversations/*"):
        await page.evaluate("dispatchEvent(new Event('focus'))")
    await page.keyboard.type("Typed on")
    await expect(page.get_by_role("button", name="Rename")).to_be_hidden()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("title")).to_have_text("Typed on")


async def test_a_title_that_is_saved_late_is_not_that_of_the_next_conversation(page: Page, assistant: Stack) -> None:
    other = await create(page, assistant, "hello stay")
    await send(page, assistant.url, "hello leave")
    await state(page, "completed")
    left = asyncio.Event()

    async def hold(route: Route) -> None:
        if route.request.method == "PATCH":
            await left.wait()
        await route.continue_()

    await page.route("**/api/conversations/**", hold)
    await rename(page, "Saved late")
    await page.get_by_test_id("conversations").get_by_role("link", name="hello stay").first.click()
    await expect(answer(page)).to_contain_text("You said hello stay")
    await expect(page).to_have_title("completed · hello stay · Tailrace")
    left.set()
    await expect(page.get_by_role("link", name="Saved late")).to_be_visible()
    await expect(page).to_have_title("completed · hello stay · Tailrace")
    await expect(page).to_have_url(f"{assistant.url}/?conversation={other['contextId']}&agent=assistant")


async def test_the_question_whether_to_delete_goes_with_its_conversation(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "hello kept")
    await state(page, "completed")
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await write(page, "message-input", "hello next")


async def test_the_link_to_the_content_keeps_what_is_written(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "hello skip")
    await state(page, "completed")
    await write(page, "message-input", "a draft")
    skip = page.get_by_role("link", name="Skip to the content")
    await skip.press("Enter")
    await page.wait_for_url("**#place")
    await expect(page.get_by_test_id("message-input")).to_have_value("a draft")
    await page.go_back()
    await expect(page.get_by_test_id("message-input")).to_have_value("a draft")


async def test_a_conversation_far_down_the_list_is_renamed_and_its_state_is_told(page: Page, assistant: Stack) -> None:
    far = await create(page, assistant, "far down")
    body = {"message": {"parts": [{"text": "name"}]}}
    waiting = await (await page.request.post(f"{assistant.url}/api/tasks", data=body, headers=assistant.origin)).json()
    gone = await create(page, assistant, "soon gone")
    for number in range(31):
        await create(page, assistant, f"above {number}")
    await page.goto(assistant.url)
    rows = page.get_by_test_id("conversations").locator("li")
    await expect(rows).to_have_count(30)
    await page.get_by_role("button", name="Show more").click()
    row = page.locator(f"#conversations li:has([href*='{waiting['contextId']}'])")
    await expect(row.locator(".state")).to_have_text("waiting for you")
    await page.locator(f"#conversations [href*='{far['contextId']}']").click()
    await state(page, "completed")
    await rename(page, "Renamed far down")
    await expect(page.get_by_test_id("conversations")).to_contain_text("Renamed far down")
    await expect(page.get_by_test_id("title")).to_have_text("Renamed far down")
    # What happened elsewhere meanwhile.
    cancel = f"{assistant.url}/api/tasks/{waiting['id']}/cancel"
    await page.request.post(cancel, data={}, headers=assistant.origin)
    await page.request.delete(
        f"{assistant.url}/api/conversations/{gone['contextId']}?agent=assistant", headers=assistant.origin
    )
    await expect(row.locator(".state")).to_have_text("canceled")
    await expect(page.locator(f"#conversations [href*='{gone['contextId']}']")).to_have_count(0)
    await expect(page.get_by_test_id("title")).to_have_text("Renamed far down")


async def test_stop_does_not_wait_for_the_end_of_a_pause(page: Page, assistant: Stack) -> None:
    frame = 'event: pause\ndata: {"ms": 3600000}\n\n'

    async def fulfill(route: Route) -> None:
        await route.fulfill(content_type="text/event-stream", body=frame)

    await send(page, assistant.url, "lines 40, 40 before never")
    await state(page, "working")
    await page.route("**/api/stream/**", fulfill, times=1)
    await page.get_by_role("button", name="Drop my connection").press("Enter")
    await pill(page, "quiet")
    await page.get_by_test_id("cancel-button").click()
    await state(page, "canceled")


async def test_a_phone_says_at_the_box_that_the_connection_is_lost(page: Page, assistant: Stack) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await send(page, assistant.url, "lines 40, 40 before never")
    await expect(answer(page)).to_contain_text("line 30")
    lost = page.get_by_test_id("lost")
    await expect(lost).to_be_hidden()
    await page.route("**/api/stream/**", lambda route: route.abort())
    await page.get_by_role("button", name="Break it").press("Enter")
    await page.get_by_role("button", name="Drop my connection").press("Enter")
    await expect(lost).to_be_visible()
    await page.keyboard.press("End")
    await expect(page.get_by_test_id("connection-pill")).not_to_be_in_viewport()
    await expect(lost).to_be_in_viewport()
    await page.unroute_all()
    await expect(lost).to_be_hidden()
    await page.get_by_test_id("cancel-button").press("Enter")
    await state(page, "canceled")


async def test_prices_that_come_late_are_in_the_folded_line(page: Page, assistant: Stack) -> None:
    first = await create(page, assistant, "priced")
    await create(page, assistant, "the newest", contextId=first["contextId"])
    told = asyncio.Event()

    async def with_usage(route: Route) -> None:
        stored = await (await route.fetch()).json()
        metadata = stored["metadata"]["urn:tailrace:a2a:resume:1"]
        metadata["work"]["usage"] = {"large": {"input": 1000, "output": 500, "calls": 1}}
        await route.fulfill(json=stored)

    async def late(route: Route) -> None:
        await told.wait()
        cards = await (await route.fetch()).json()
        await route.fulfill(json={**cards, "prices": {"large": {"input": 3, "output": 15}}})

    await page.route(f"**/api/tasks/{first['id']}", with_usage)
    await page.route("**/api/agents", late)
    await page.goto(f"{assistant.url}/?conversation={first['contextId']}&agent=assistant")
    line = page.get_by_test_id("work").first.locator("> summary")
    await expect(line).to_contain_text("1,500 tokens")
    told.set()
    await expect(line).to_contain_text("1,500 tokens · $0.0105")
