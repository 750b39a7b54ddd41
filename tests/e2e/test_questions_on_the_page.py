"""Questions of real agents, answered on the page."""

from __future__ import annotations

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.e2e.actions import answer, send, state, told_nothing_of_others
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_a_text_question_takes_a_text_with_files(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "name")
    box = page.get_by_label("What is your name?")
    await expect(box).to_be_focused()
    # The question is still there when the page is loaded again, and its box has the focus.
    await page.reload()
    await expect(box).to_be_focused()
    await page.keyboard.type("Ada")
    photo = FilePayload(name="ada.txt", mimeType="text/plain", buffer=b"a portrait")
    await page.get_by_test_id("question").locator("input[type=file]").set_input_files(photo)
    await expect(page.get_by_test_id("question").get_by_role("listitem")).to_contain_text("ada.txt")
    async with page.expect_request("**/messages") as request:
        await page.keyboard.press("Control+Enter")
    text, file = (await request.value).post_data_json["message"]["parts"]
    assert text == {"text": "Ada"}
    assert file["filename"] == "ada.txt"
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("Hello Ada!")
    await expect(page.get_by_test_id("question")).to_be_hidden()


async def test_a_form_is_filled_in_by_keyboard_on_a_phone(page: Page, assistant: Stack) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await send(page, assistant.url, "trip")
    await expect(page.get_by_label("City")).to_be_focused()
    for text in ("Bern", "31", "b"):  # "b" chooses the boat
        await page.keyboard.type(text)
        await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await page.keyboard.press("Control+Enter")
    days = page.get_by_label("Days")
    await expect(days).to_be_focused()
    await expect(days).to_have_accessible_description("Value must be less than or equal to 30.")
    await page.keyboard.press("Backspace")
    await page.keyboard.press("Enter")
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("city='Bern' days=3 by='boat' window=True")


async def test_an_answer_that_the_server_refuses_stays_with_the_reason(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "code")
    box = page.get_by_label("Which code?")
    await box.press_sequentially("ABCD")
    await page.keyboard.press("Control+Enter")
    refusal = page.get_by_test_id("question").get_by_role("alert")
    await expect(refusal).to_contain_text("'ABCD' does not match '^[A-Z]{3}$'")
    await expect(box).to_have_value("ABCD")
    await expect(box).to_be_focused()
    await page.keyboard.press("Backspace")
    await page.keyboard.press("Control+Enter")
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("The code is ABC.")


async def test_an_action_is_rejected_with_a_reason_by_keyboard(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "approve")
    question = page.get_by_test_id("question")
    await expect(question).to_contain_text("ada@example.com")
    await expect(question.get_by_role("heading", name="May the agent do this?")).to_be_focused()
    for key in ("Tab", "Tab", "Tab", "Enter"):  # past "Approve" and "Edit"
        await page.keyboard.press(key)
    await expect(page.get_by_label("Reason")).to_be_focused()
    await page.keyboard.type("not today")
    await page.keyboard.press("Control+Enter")
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("Decided: {'decisions': [{'type': 'reject', 'message': 'not today'}]}")


async def test_a_question_that_another_window_has_answered_goes_away(page: Page, assistant: Stack) -> None:
    await told_nothing_of_others(page)
    await send(page, assistant.url, "pick")
    other = await page.context.new_page()
    await other.goto(page.url)
    await other.get_by_role("button", name="green").click()
    await state(other, "completed")
    # This page did not hear of it: its stream had ended with the question.
    await page.get_by_role("button", name="red").click()
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("You picked green.")
    await expect(page.get_by_test_id("question")).to_be_hidden()
