"""Several questions, questions that come again, and the focus: the cards alone on a page."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import expect

from tests.e2e.question_cards import APPROVAL, BOOKING, CALL, CALL_SCHEMA, Cards, press, type_into
from tests.support.axe import violations
from tests.support.browser import needs_chromium

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

SEVERAL: list[dict[str, Any]] = [
    {"id": "x", "value": {"question": "Inside?"}, "schema": {"type": "boolean"}},
    {"id": "y", "value": {"question": "How many?"}, "schema": {"type": "integer"}},
    {"id": "z", "value": {"question": "Which region?"}},
]


async def test_a_redraw_keeps_what_was_typed(cards: Cards) -> None:
    page = cards.page
    await cards.draw(*SEVERAL)
    await type_into(page, "How many?", "7")
    await type_into(page, "Which region?", "north")
    await press(page, "No")
    assert await cards.sent() == []  # one of several is sent when the user says so
    await page.get_by_label("Which region?").focus()
    await page.evaluate("view.draw(window.model)")
    await cards.draw(*SEVERAL)
    await expect(page.get_by_label("Which region?")).to_be_focused()
    await page.keyboard.type("-east")
    # The first one was answered, the task worked, and it asks the others again.
    await cards.draw(state="working")
    await expect(page.get_by_test_id("question").first).to_be_hidden()
    await cards.draw(*SEVERAL[1:])
    await expect(page.get_by_test_id("question")).to_have_count(2)
    await expect(page.get_by_label("How many?")).to_have_value("7")
    await press(page, "Send all answers")
    assert await cards.sent() == [[{"data": {"answers": {"y": 7, "z": "north-east"}}}]]
    await cards.draw(state="completed")
    await cards.draw(SEVERAL[1])
    await expect(page.get_by_label("How many?")).to_have_value("")


async def test_of_several_answers_one_that_is_wrong_sends_none(cards: Cards) -> None:
    page = cards.page
    await cards.draw(*SEVERAL)
    await press(page, "Send all answers")
    await expect(page.get_by_role("alert").filter(has_text="Answer a question first.")).to_be_visible()
    await press(page, "Yes")
    await type_into(page, "How many?", "1.5")
    await press(page, "Send all answers")
    await expect(page.get_by_label("How many?")).to_be_focused()
    await page.keyboard.press("Backspace")
    await page.keyboard.press("Backspace")
    await cards.hold()
    await press(page, "Send all answers")
    await page.get_by_role("button", name="Send all answers").click(force=True)  # it looks disabled
    await cards.release("The answer cannot be taken.")
    await expect(page.get_by_role("alert").filter(has_text="The answer cannot be taken.")).to_be_visible()
    await expect(page.get_by_role("button", name="Yes")).to_have_attribute("aria-pressed", "true")
    assert await cards.sent() == [[{"data": {"answers": {"x": True, "y": 1}}}]]


async def test_a_question_of_another_agent_names_it_and_says_why_an_answer_was_refused(cards: Cards) -> None:
    page = cards.page
    passed_on = {"question": "How many?", "agent": "booker", "delegated": {"agent": "booker", "task": "t"}}
    await cards.ask(passed_on, agent="booker")
    await expect(page.get_by_text("Question from booker")).to_be_visible()
    await expect(page.get_by_role("term")).to_have_count(0)
    await page.keyboard.type("none")
    await press(page, "Send")
    await cards.draw(state="working")
    again = {**passed_on, "refused": "None is no number.", "delegated": {"agent": "booker", "task": "u"}}
    await cards.ask(again, agent="booker", refused="None is no number.")
    await expect(page.get_by_text("None is no number.")).to_be_visible()
    await expect(page.get_by_label("How many?")).to_have_value("none")
    await page.keyboard.press("Control+A")
    await page.keyboard.type("4")
    await press(page, "Send")
    assert await cards.sent() == [[{"text": "none"}], [{"text": "4"}]]


async def test_an_answer_that_the_graph_refused_later_is_explained(cards: Cards) -> None:
    page = cards.page
    await cards.ask({"question": "Where to?"}, schema={"type": "string"})
    await page.keyboard.type("Atlantis")
    await press(page, "Send")
    await cards.draw(state="working")
    why = "An answer cannot be taken: city: no such city."
    question = {"id": "a", "value": {"question": "Where to?"}, "schema": {"type": "string"}}
    await cards.draw(question, message=f"{why}\n\nWhere to?")
    await expect(page.get_by_role("alert").filter(has_text=why)).to_be_visible()
    await expect(page.get_by_label("Where to?")).to_have_value("Atlantis")
    await press(page, "Send")
    assert await cards.answers() == ["Atlantis", "Atlantis"]


async def test_the_focus_stays_in_another_field(cards: Cards) -> None:
    page = cards.page
    elsewhere = page.get_by_label("Elsewhere")
    await elsewhere.press_sequentially("a")
    await cards.ask({"question": "Which region?"})
    await expect(page.get_by_label("Which region?")).to_be_visible()
    await expect(elsewhere).to_be_focused()
    await page.evaluate("view.focus()")
    await expect(page.get_by_label("Which region?")).to_be_focused()


async def test_nothing_is_wider_than_a_small_phone(cards: Cards) -> None:
    page = cards.page
    await page.set_viewport_size({"width": 320, "height": 640})
    try:
        await cards.draw(
            {"id": "1", "value": {"question": "x" * 300, "key" * 40: "y" * 900}, "schema": BOOKING},
            {"id": "2", "value": APPROVAL},
            {"id": "3", "value": {"question": "Which?", "options": ["option " * 20, "z" * 80]}},
            {"id": "4", "value": "https://example.com/" + "path" * 60},
        )
        await expect(page.get_by_test_id("question")).to_have_count(4)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    finally:
        await page.set_viewport_size({"width": 800, "height": 1200})


async def test_axe_finds_nothing_wrong_with_any_card(cards: Cards) -> None:
    page = cards.page
    await cards.draw(
        *SEVERAL,
        {"id": "1", "value": {"question": "Fill this in."}, "schema": BOOKING},
        {"id": "2", "value": APPROVAL},
        {"id": "3", "value": CALL, "schema": CALL_SCHEMA},
        {"id": "4", "value": {"question": "Which?", "options": ["a"], "amount": {"net": 3}}, "refused": "No."},
        {"id": "5", "value": {"question": "Sign in.", "auth_url": "https://login.example/x"}},
        {"id": "6", "value": [1], "schema": {"type": "object"}},
    )
    await page.get_by_role("group", name="Decide about send_mail").get_by_role("button", name="Edit").click()
    await page.get_by_role("button", name="Yes").click()
    await page.get_by_text("Another answer").first.click()
    await page.get_by_role("group", name="Guests").get_by_role("button", name="Add").click()
    await page.get_by_test_id("question").nth(3).get_by_test_id("reply-button").click()
    await expect(page.locator("[aria-invalid=true]").first).to_be_visible()
    rules = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")  # the others are about whole pages
    assert await violations(page, *rules) == []
    await page.emulate_media(color_scheme="dark")
    assert await violations(page, "color-contrast") == []
    await page.emulate_media(color_scheme="light")
