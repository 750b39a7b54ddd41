"""The cards of questions alone on a page: for each kind of question, what is shown and exactly what is sent."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.question_cards import APPROVAL, BOOKING, CALL, CALL_SCHEMA, Cards, press, type_into
from tests.support.browser import needs_chromium

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_a_text_is_sent_as_a_text(cards: Cards) -> None:
    page = cards.page
    await cards.ask({"question": "Which region?"})
    await expect(page.get_by_label("Which region?")).to_be_focused()
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_role("alert").filter(has_text="Write something")).to_be_visible()
    await page.keyboard.type("north")
    await page.keyboard.press("Enter")
    await page.keyboard.type("2")
    await page.keyboard.press("Control+Enter")
    assert await cards.sent() == [[{"text": "north\n2"}]]


async def test_a_question_of_an_older_server_has_no_id(cards: Cards) -> None:
    await cards.ask("Which region?\nSee https://example.com/regions?a=1.", id="")
    link = cards.page.get_by_role("link")
    await expect(link).to_have_attribute("href", "https://example.com/regions?a=1.")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")
    await cards.page.keyboard.type("north")
    await press(cards.page, "Send")
    assert await cards.sent() == [[{"text": "north"}]]


async def test_any_json_can_be_the_answer(cards: Cards) -> None:
    page = cards.page
    await cards.ask({"question": "Accept?"})
    await page.keyboard.type('{"type": "accept"')
    await page.get_by_label("as JSON").check()
    await press(page, "Send")
    await expect(page.get_by_role("alert").filter(has_text="This is not JSON")).to_be_visible()
    await page.get_by_label("Accept?").press("End")
    await page.keyboard.type("}")
    await press(page, "Send")
    assert await cards.sent() == [[{"data": {"answers": {"a": {"type": "accept"}}}}]]


async def test_an_answer_is_sent_once_and_a_refusal_keeps_what_was_typed(cards: Cards) -> None:
    page = cards.page
    await cards.ask({"question": "For how many?"}, schema={"type": "integer", "minimum": 1})
    number = page.get_by_label("For how many?")
    await expect(number).to_be_focused()
    await page.keyboard.type("0")
    await page.keyboard.press("Enter")
    await expect(number).to_have_attribute("aria-invalid", "true")
    await expect(number).to_have_accessible_description("Value must be greater than or equal to 1.")
    await page.keyboard.press("Backspace")
    await page.keyboard.type("13")
    await expect(number).to_have_attribute("aria-invalid", "false")

    await cards.hold()
    await page.keyboard.press("Enter")
    send = page.get_by_test_id("reply-button")
    await expect(send).to_have_text("Sending …")
    await page.keyboard.press("Control+Enter")
    await send.click(force=True)  # it looks disabled
    await cards.release("The answer cannot be taken: 13 is unlucky.")
    await expect(page.get_by_role("alert").filter(has_text="13 is unlucky.")).to_be_visible()
    await expect(number).to_have_value("13")
    await number.press("Backspace")
    await expect(page.get_by_text("13 is unlucky.")).to_be_hidden()
    await send.click()
    await expect(send).to_have_text("Sent")
    await send.click(force=True)
    assert await cards.answers() == [13, 1]


@pytest.mark.parametrize(
    ("schema", "options", "button", "answer"),
    [
        ({"enum": ["inside", "outside"]}, ["inside", "outside"], "outside", "outside"),
        ({"enum": [1, None, {"a": 1}]}, [], '{"a":1}', {"a": 1}),
        ({"type": "boolean"}, [], "No", False),
        ({"oneOf": [{"const": 1, "title": "One"}, {"const": 2, "title": "Two"}]}, [], "Two", 2),
        (None, [{"label": "Later", "at": 3}], "Later", {"label": "Later", "at": 3}),
    ],
)
async def test_an_option_is_a_button_that_sends(
    cards: Cards, schema: Any, options: list[Any], button: str, answer: Any
) -> None:
    await cards.ask({"question": "Which one?", "options": options}, schema=schema)
    # No button has the focus: a stray key answers nothing.
    await expect(cards.page.get_by_role("heading", name="Which one?")).to_be_focused()
    for key in ("Space", "Tab", "Control+Enter"):
        await cards.page.keyboard.press(key)
    assert await cards.sent() == []
    await press(cards.page, button)
    assert await cards.answers() == [answer]


async def test_options_without_a_schema_leave_room_for_another_answer(cards: Cards) -> None:
    page = cards.page
    await cards.ask({"question": "Refund?", "options": ["yes", "no"], "amount": 12.5, "customer": {"name": "Ada"}})
    facts = page.get_by_role("term")
    assert await facts.all_inner_texts() == ["amount", "customer"]
    await expect(page.get_by_text("12.5", exact=True)).to_be_visible()
    await page.get_by_text("Another answer").click()
    await press(page, "Send")
    await expect(page.get_by_label("Refund?", exact=True).last).to_have_attribute("aria-invalid", "true")
    await page.keyboard.type("half of it")
    await press(page, "Send")
    assert await cards.answers() == ["half of it"]


async def test_a_schema_becomes_a_form(cards: Cards) -> None:
    page = cards.page
    await cards.ask({"question": "Please fill this in."}, schema=BOOKING)
    await expect(page.get_by_role("group", name="Please fill this in.")).to_be_visible()
    await press(page, "Send")
    await expect(page.get_by_label("Guest Name")).to_be_focused()
    wrong = page.locator("[aria-invalid=true]")
    assert await wrong.evaluate_all("all => all.map(each => each.labels[0].innerText)") == [
        "Guest Name",
        "Day",
        "Street",
    ]
    await page.keyboard.type("Ada")
    await type_into(page, "Day", "12242026")
    address = page.get_by_role("group", name="Address", exact=True)
    await address.get_by_label("Street").press_sequentially("Main Street 1")
    await page.get_by_label("Smoking").check()
    await page.get_by_label("Room").select_option("terrace")
    await page.get_by_role("group", name="Tags").get_by_role("button", name="Add").click()
    await page.keyboard.type("quiet")
    guests = page.get_by_role("group", name="Guests", exact=True)
    await guests.get_by_role("button", name="Add").click()
    await page.keyboard.type("Bob")
    await guests.get_by_role("button", name="Add").click()
    await page.keyboard.type("Eve")
    await guests.get_by_role("button", name="Remove Guests 1").click()
    await type_into(page, "Prices optional", '{"wine": 1.5}')
    await press(page, "Send")
    assert await cards.answers() == [
        {
            "guest_name": "Ada",
            "people": 2,
            "room": "terrace",
            "smoking": True,
            "day": "2026-12-24",
            "address": {"street": "Main Street 1"},
            "tags": ["quiet"],
            "guests": [{"name": "Eve"}],
            "prices": {"wine": 1.5},
            "version": 3,
        }
    ]


async def test_what_a_form_cannot_draw_is_a_box_for_json(cards: Cards) -> None:
    page = cards.page
    await cards.ask([1, {"a": None}], schema={"type": "object", "additionalProperties": {"type": "number"}})
    await expect(page.locator("pre").first).to_contain_text('"a": null')
    await page.get_by_text("Schema of this JSON").click()
    await expect(page.get_by_text('"additionalProperties"')).to_be_visible()
    box = page.get_by_label("The agent waits for an answer.")
    await box.press_sequentially('{"b": 2')
    await press(page, "Send")
    await expect(box).to_have_attribute("aria-invalid", "true")
    await box.press("End")
    await page.keyboard.type("}")
    await press(page, "Send")
    assert await cards.answers() == [{"b": 2}]


@pytest.mark.parametrize(
    "schema", [{"enum": 3}, {"properties": 1, "type": "object"}, {"$ref": 7}, {"anyOf": [None]}, "x"]
)
async def test_a_schema_that_is_none_can_be_answered_with_any_json(cards: Cards, schema: Any) -> None:
    page = cards.page
    await cards.ask({"question": "<img src=x onerror=alert(1)>?"}, schema=schema)
    await expect(page.get_by_role("heading")).to_contain_text("<img")
    await page.locator("textarea").press_sequentially('{"b": 2}')
    if await page.get_by_label("as JSON").is_visible():
        await page.get_by_label("as JSON").check()
    await press(page, "Send")
    assert await cards.answers() == [{"b": 2}]


def action(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name))


async def test_actions_are_decided_one_by_one(cards: Cards) -> None:
    page = cards.page
    await cards.ask(APPROVAL)
    await expect(page.get_by_role("heading", name="May the agent do these 2 things?")).to_be_focused()
    mail, refund = action(page, "send_mail"), action(page, "refund")
    # LangChain's description repeats the arguments.
    await expect(mail.get_by_text("Mail needs a look")).to_have_text("Mail needs a look")
    assert await refund.get_by_role("button").all_inner_texts() == ["Approve", "Reject"]
    await mail.get_by_role("button", name="Edit").click()
    await mail.get_by_label("copies").press("End")
    await page.keyboard.type("0")
    await page.keyboard.press("Control+Enter")
    await expect(refund.get_by_role("alert")).to_have_text("Decide about refund.")
    await refund.get_by_role("button", name="Reject").click()
    await page.keyboard.type("too much")
    # A change of mind loses nothing.
    await refund.get_by_role("button", name="Approve").click()
    await refund.get_by_role("button", name="Reject").click()
    await expect(refund.get_by_label("Reason")).to_have_value("too much")
    await press(page, "Send")
    edited = {"name": "send_mail", "args": {**APPROVAL["action_requests"][0]["args"], "copies": 20}}
    decisions = [{"type": "edit", "edited_action": edited}, {"type": "reject", "message": "too much"}]
    assert await cards.answers() == [{"decisions": decisions}]


async def test_what_is_approved_is_what_is_seen(cards: Cards) -> None:
    args = {"command": "rm -rf \u202e/pmt/", "more": {"\u2066a": "b"}}
    request = {"name": "run", "args": args, "description": "May I \u202e?"}
    config = {"action_name": "run", "allowed_decisions": ["approve", "edit"]}
    await cards.ask({"question": "Which \u202eroloc?", "action_requests": [request], "review_configs": [config]})
    await expect(cards.page.get_by_role("heading", name="Which [U+202E]roloc?")).to_be_visible()
    shown = action(cards.page, "run")
    await expect(shown).to_contain_text("May I [U+202E]?")
    await expect(shown).to_contain_text("rm -rf [U+202E]/pmt/")
    await expect(shown).to_contain_text('"[U+2066]a": "b"')


async def test_all_actions_are_approved_at_once(cards: Cards) -> None:
    await cards.ask(APPROVAL)
    await press(cards.page, "Approve all")
    await press(cards.page, "Send")
    assert await cards.answers() == [{"decisions": [{"type": "approve"}, {"type": "approve"}]}]


async def test_one_action_is_approved_by_one_click(cards: Cards) -> None:
    one = {**APPROVAL, "action_requests": APPROVAL["action_requests"][1:]}
    await cards.ask(one)
    await press(cards.page, "Approve")
    assert await cards.answers() == [{"decisions": [{"type": "approve"}]}]


async def test_a_call_of_a_tool_takes_one_decision(cards: Cards) -> None:
    page = cards.page
    await cards.ask(CALL, schema=CALL_SCHEMA)
    buttons = page.get_by_role("group", name="Decide about book").get_by_role("button")
    assert await buttons.all_inner_texts() == ["Approve", "Edit", "Respond"]
    await buttons.filter(has_text="Respond").click()
    await press(page, "Send")
    await expect(page.get_by_label("Your answer")).to_have_attribute("aria-invalid", "true")
    await buttons.filter(has_text="Edit").click()
    await page.get_by_label("People").press_sequentially("2")
    await press(page, "Send")
    assert await cards.answers() == [{"type": "edit", "edited_action": {"name": "book", "args": {"people": 12}}}]


async def test_a_breakpoint_has_one_button(cards: Cards) -> None:
    await cards.ask({"question": "…", "breakpoint": "before", "nodes": ["publish", "tell"]})
    await expect(cards.page.get_by_role("heading")).to_have_text("The run waits before publish and tell.")
    await press(cards.page, "Go on")
    assert await cards.answers() == ["Go on"]


async def test_a_sign_in_is_confirmed_or_answered_with_a_code(cards: Cards) -> None:
    page = cards.page
    await cards.ask({"question": "Please sign in.", "auth_url": "https://login.example/x"})
    await expect(page.get_by_role("link")).to_have_attribute("href", "https://login.example/x")
    await cards.ask({"question": "Please sign in.", "auth": "https://login.example/z"})
    await expect(page.get_by_role("link")).to_have_text(["https://login.example/z"])  # once
    await press(page, "I have signed in")
    await cards.ask({"question": "Sign in again.", "auth": "javascript:alert(1)"})
    await expect(page.get_by_role("link")).to_have_count(0)
    await cards.ask({"question": "And once more.", "auth": "https://login.example/y"})
    await page.get_by_text("Another answer").click()
    await page.get_by_label("And once more.").press_sequentially("code 7")
    await press(page, "I have signed in")
    assert await cards.answers() == ["I have signed in", "code 7"]
