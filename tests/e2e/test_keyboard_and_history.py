"""The page under a user's hands: the keyboard, the clipboard, back and forward, and one task after another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.e2e.actions import answer, go_on, open_work, pill, send, state, task_of, told_nothing_of_others, write
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

LOG = "".join(f"2026-01-01T10:00:0{second}Z ERROR disk full\n" for second in range(3))
BOXES = ["message-input", "reply-input"]


def title(page: Page) -> Any:
    return expect(page.get_by_test_id("title"))


async def open_box(page: Page, shipped: Stack, box: str) -> None:
    """Open the page with the box for a request or for a reply."""
    if box == "reply-input":
        await send(page, shipped.url, "checkout is slow")
        await state(page, "input-required")
    else:
        await page.goto(shipped.url)


@pytest.mark.parametrize("box", BOXES)
async def test_every_key_does_what_it_does_in_any_text_box_and_control_and_enter_sends(
    page: Page, shipped: Stack, box: str
) -> None:
    await open_box(page, shipped, box)
    field = page.get_by_test_id(box)
    await field.click()
    await page.keyboard.type("disk fulll")
    await page.keyboard.press("Backspace")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.press("Escape")
    await page.keyboard.type("on web-1")
    await expect(field).to_have_value("disk full\n\non web-1")
    await page.keyboard.press("Control+A")
    await page.keyboard.press("Control+X")
    await expect(field).to_have_value("")
    await page.keyboard.press("Control+V")
    await expect(field).to_have_value("disk full\n\non web-1")
    await page.keyboard.press("Tab")
    await expect(field).not_to_be_focused()
    await page.keyboard.press("Shift+Tab")
    await expect(field).to_be_focused()
    await write(page, box, LOG.strip())
    await expect(page.get_by_title("Ctrl+Enter").filter(visible=True)).to_have_text("Send")
    await page.keyboard.press("Control+Enter")
    await state(page, "completed")
    await title(page).to_be_focused()


async def test_a_long_text_that_is_pasted_becomes_a_file(page: Page, shipped: Stack) -> None:
    await page.goto(shipped.url)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.evaluate("text => navigator.clipboard.writeText(text)", LOG * 10)
    await page.get_by_test_id("message-input").click()
    await page.keyboard.press("Control+V")
    await expect(page.get_by_role("list", name="Files to send")).to_contain_text("pasted-1.txt")
    await expect(page.get_by_test_id("message-input")).to_have_value("")
    await page.keyboard.press("Control+Enter")
    await state(page, "completed")
    await expect(page.get_by_test_id("turns")).to_contain_text("pasted-1.txt")


async def test_a_refusal_leaves_the_focus_where_it_was(page: Page, shipped: Stack) -> None:
    await page.goto(shipped.url)
    for place in (page.get_by_test_id("message-input"), page.get_by_test_id("send-button")):
        await place.focus()
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_role("alert").first).to_have_text("Write something, or add a file.")
        await expect(page.get_by_test_id("send-button")).to_have_text("Send")
        await expect(place).to_be_focused()


async def test_files_can_be_dropped_into_the_box_and_nothing_happens_beside_it(page: Page, shipped: Stack) -> None:
    await page.goto(shipped.url)
    drop = """(element, [name, text]) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([text], name));
        const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
        element.dispatchEvent(event);
        return event.defaultPrevented;
    }"""
    assert await page.locator("h1").evaluate(drop, ["beside.log", LOG])
    assert await page.locator(".compose").evaluate(drop, ["inside.log", LOG])
    await expect(page.locator(".compose .file-name")).to_have_text(["inside.log"])
    text = """element => {
        const dataTransfer = new DataTransfer();
        dataTransfer.setData("text/plain", "words");
        const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
        element.dispatchEvent(event);
        return event.defaultPrevented;
    }"""
    assert not await page.get_by_test_id("message-input").evaluate(text)


async def test_a_conversation_shows_nothing_of_the_one_before(page: Page, shipped: Stack, finished_sample: str) -> None:
    await page.goto(f"{shipped.url}/?task={finished_sample}")
    await state(page, "completed")
    await open_work(page)
    await page.locator(".drawer summary").click()
    await page.get_by_test_id("new-conversation").click()
    await expect(page.get_by_test_id("message-input")).to_be_focused()

    await write(page, "message-input", "checkout is slow")
    await page.get_by_test_id("send-button").click()
    await state(page, "input-required")
    await expect(page.get_by_test_id("finding")).to_have_count(0)
    await expect(page.locator(".drawer")).not_to_have_attribute("open", re.compile(".*"))

    await page.go_back()
    await page.go_back()
    await title(page).to_contain_text("shop.example has been answering with 5xx")
    await state(page, "completed")
    assert await task_of(page) == finished_sample
    await expect(answer(page).get_by_role("heading", name="What happened")).to_have_count(1)
    await page.go_forward()
    await expect(page.get_by_test_id("sample-button")).to_be_visible()
    await expect(page.get_by_test_id("answer")).to_have_count(0)


async def test_a_closed_view_gets_no_more_events_of_its_task(page: Page, slow_stack: Stack) -> None:
    first = await send(page, slow_stack.url, "60 events, 5 ms apart, 30 before closed")
    await expect(answer(page)).to_contain_text("step 10")
    await page.evaluate("window.closedView = window.tailrace.applied")
    await page.get_by_test_id("new-conversation").click()
    count = await page.evaluate("window.closedView.count")
    await write(page, "message-input", "3 events, 1 ms apart")
    go_on(slow_stack, "closed")
    await page.keyboard.press("Control+Enter")
    await state(page, "completed")
    await title(page).to_have_text("3 events, 1 ms apart")
    await expect(answer(page)).to_contain_text(re.compile(r"step 1\s*step 2\s*step 3\s*$"))
    await page.request.get(f"{slow_stack.url}/api/stream/{first}")  # to its end
    assert await page.evaluate("window.closedView.count") == count
    await page.goto(f"{slow_stack.url}/?task={first}")
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("step 60")


async def test_the_list_follows_the_states_and_keeps_the_focus(page: Page, slow_stack: Stack) -> None:
    await send(page, slow_stack.url, "20 events, 1 ms apart, 10 before listed")
    await state(page, "working")
    await page.get_by_test_id("new-conversation").click()
    row = page.get_by_test_id("conversations").locator("li").first
    await expect(row).to_contain_text("20 events")
    await expect(row.locator(".state")).to_have_text("working")
    await row.locator("a").focus()
    go_on(slow_stack, "listed")
    await expect(row.locator(".state")).to_have_text("completed")
    await expect(row.locator("a")).to_be_focused()


async def test_questions_and_answers_stay_on_the_page(page: Page, shipped: Stack, tmp_path: Path) -> None:
    await send(page, shipped.url, "checkout is slow")
    messages = page.get_by_test_id("turn").locator(".message")
    await state(page, "input-required")
    await expect(messages).to_have_text([re.compile("checkout is slow")])
    question = await page.get_by_test_id("question").locator(".q-title").inner_text()
    await write(page, "reply-input", "no idea")
    await page.get_by_test_id("reply-button").click()
    await expect(messages).to_have_count(3)
    await state(page, "input-required")
    await expect(messages.nth(1)).to_contain_text(question.strip())
    await expect(messages.nth(2)).to_contain_text("no idea")
    again = page.get_by_test_id("question")
    await expect(again).to_contain_text("Your reply 'no idea' has no log lines and no metrics.")
    await expect(page.get_by_test_id("reply-input")).to_have_value("")

    (tmp_path / "shop.log").write_text(LOG)
    await page.get_by_test_id("question").locator("input[type=file]").set_input_files(tmp_path / "shop.log")
    await page.get_by_test_id("reply-button").click()
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("What happened")
    await expect(messages).to_have_count(5)
    await expect(messages.nth(4)).to_contain_text("shop.log")
    await page.reload()
    await expect(messages).to_have_count(5)


async def test_a_reply_in_another_window_is_shown_here(page: Page, shipped: Stack) -> None:
    task = await send(page, shipped.url, "checkout is slow")
    await state(page, "input-required")
    answered = {"message": {"parts": [{"text": LOG}]}}
    response = await page.request.post(
        f"{shipped.url}/api/tasks/{task}/messages", data=answered, headers=shipped.origin
    )
    assert response.ok, await response.text()
    await state(page, "completed")
    await pill(page, "finished")


@pytest.mark.parametrize("by", ["reply", "cancel"])
async def test_a_refusal_for_the_state_of_a_task_shows_that_state(page: Page, shipped: Stack, by: str) -> None:
    await told_nothing_of_others(page)
    task = await send(page, shipped.url, "checkout is slow")
    await state(page, "input-required")
    response = await page.request.post(f"{shipped.url}/api/tasks/{task}/cancel", data={}, headers=shipped.origin)
    assert response.ok, await response.text()
    await state(page, "input-required")
    if by == "reply":
        await write(page, "reply-input", "too late")
    await page.get_by_test_id(f"{by}-button").click()
    await state(page, "canceled")


async def test_a_long_request_is_folded_and_a_text_of_any_name_is_an_answer(page: Page, shipped: Stack) -> None:
    def frame(seq: int, result: dict[str, Any]) -> str:
        return f"id: {seq}\ndata: {json.dumps({'result': result})}\n\n"

    def text_artifact(name: str, text: str) -> dict[str, Any]:
        return {"artifactUpdate": {"artifact": {"artifactId": name, "name": name, "parts": [{"text": text}]}}}

    message = {"role": "ROLE_USER", "parts": [{"text": "\n".join(f"line {number}" for number in range(40))}]}
    task = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_SUBMITTED"}, "history": [message]}
    completed = {"statusUpdate": {"status": {"state": "TASK_STATE_COMPLETED"}}}

    async def show(*events: dict[str, Any]) -> None:
        frames = [frame(seq, event) for seq, event in enumerate([{"task": task}, *events, completed], 1)]
        body = "".join(frames) + f'event: end\ndata: {{"seq": {len(frames)}}}\n\n'
        await page.unroute_all()
        await page.route("**/api/stream/*", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
        await page.route("**/api/tasks/t", lambda route: route.fulfill(json=task))
        await page.route(
            "**/api/conversations/c?*", lambda route: route.fulfill(status=404, json={"title": "Not Found"})
        )
        await page.goto(f"{shipped.url}/?task=t")
        await state(page, "completed")

    await show(text_artifact("summary", "It was **DNS**."))
    await expect(page.get_by_test_id("answer").locator("strong")).to_have_text("DNS")
    sent = page.get_by_test_id("turn").locator(".turn-sent")
    await expect(sent.get_by_text("line 39")).to_be_hidden()
    await sent.locator("summary").press("Enter")
    await expect(sent.get_by_text("line 39")).to_be_visible()

    await show(text_artifact("response", "Hello."), text_artifact("researcher", "Let me see."))
    await expect(page.get_by_test_id("answer")).to_contain_text("Hello.")
    await expect(page.get_by_test_id("artifact")).to_contain_text("Let me see.")


@pytest.mark.parametrize("width", [360, 1280])
async def test_a_finished_conversation_of_one_turn_opens_at_its_top(
    page: Page, shipped: Stack, finished_sample: str, width: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 700})
    await page.goto(f"{shipped.url}/?task={finished_sample}")
    await state(page, "completed")
    await expect(answer(page).get_by_role("heading", name="What happened")).to_have_count(1)
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert await page.evaluate("scrollY") == 0
