"""Conversations on the page: the list, the turns, and what a user does with them, on a desktop and on a phone."""

from __future__ import annotations

import asyncio
import base64
import re

import pytest
from playwright.async_api import FilePayload, Page, Route, expect

from tests.e2e.actions import answer, create, go_on, newest, open_work, opened, say, send, state, write
from tests.e2e.kept_page import requests_of
from tests.sample_agents.assistant import PIXEL
from tests.support.browser import needs_chromium, new_context
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


async def test_a_conversation_is_talked_through(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "hello Ada")
    await state(page, "completed")
    listed = page.get_by_test_id("conversations").locator("li").first
    await expect(listed.locator("a")).to_have_attribute("aria-current", "page")
    await say(page, "lines 40, 40 before never")
    await expect(page.get_by_test_id("message-input")).to_be_focused()
    await expect(answer(page)).to_contain_text("line 3")
    await expect(page.get_by_test_id("send-button")).to_be_hidden()
    await expect(listed.locator(".state")).to_have_text("working")
    # The next message can be written meanwhile.
    await write(page, "message-input", "recall")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_test_id("turn")).to_have_count(2)
    await page.get_by_test_id("cancel-button").click()
    await state(page, "canceled")
    await expect(page.get_by_test_id("message-input")).to_be_focused()
    await expect(listed.locator(".state")).to_have_text("canceled")
    await page.keyboard.press("Tab")
    await page.get_by_test_id("send-button").click()
    # What was stopped has left no trace in the agent's memory.
    await expect(answer(page)).to_have_text(re.compile("You said: hello Ada\\."))
    await say(page, "fail")
    failure = newest(page, "failure")
    await expect(failure).to_contain_text("The kettle is cold.")
    await newest(page, "run-again").click()
    await expect(page.get_by_test_id("turn")).to_have_count(5)
    await expect(failure).to_contain_text("The kettle is cold.")

    await page.reload()
    await expect(page.get_by_test_id("turn")).to_have_count(5)
    await expect(page.get_by_test_id("turn").nth(2)).to_contain_text("You said: hello Ada.")
    await expect(page.get_by_test_id("turn").last).to_be_in_viewport()
    # A turn from before says what it took, and gets its events when its work is opened.
    work = page.get_by_test_id("work").nth(2)
    await expect(work.locator("> summary")).to_have_text(re.compile(r"^1 agent, 1 step, [\d.]+ m?s$"))
    took = await work.locator("> summary").inner_text()
    await work.locator("> summary").click()
    await expect(work.get_by_test_id("timeline")).to_contain_text("work")
    await expect(work.locator("> summary")).to_have_text(took)
    await expect(work.get_by_test_id("cost")).to_have_text(re.compile(r"^The run took [\d.]+ m?s of its processes\.$"))


async def test_a_run_again_begins_a_new_conversation(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "hello again")
    await state(page, "completed")
    before = page.url
    await page.get_by_test_id("run-again").click()
    await expect(page).not_to_have_url(before)
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("You said hello again")


async def test_the_work_is_open_while_it_goes_on_and_then_makes_way_for_the_answer(
    page: Page, assistant: Stack
) -> None:
    await send(page, assistant.url, "lines 10, 10 before seen")
    work = page.get_by_test_id("work")
    await expect(work).to_have_attribute("open", "")
    go_on(assistant, "seen")
    await state(page, "completed")
    await expect(work).not_to_have_attribute("open", "")
    await expect(page.locator("details.work > summary")).to_have_text(re.compile(r"^1 agent, 1 step, [\d.]+ m?s$"))
    # A reader who folds it by hand has the last word.
    await say(page, "lines 60, 10 before folded, 40 before never")
    await expect(page.get_by_test_id("turn")).to_have_count(2)
    await expect(answer(page)).to_contain_text("line 10")
    await newest(page, "work").locator("> summary").click()
    go_on(assistant, "folded")
    await expect(answer(page)).to_contain_text("line 40")
    await expect(newest(page, "work")).not_to_have_attribute("open", "")
    await page.get_by_test_id("cancel-button").click()
    await state(page, "canceled")


async def test_the_list_is_searched_filtered_and_paged(page: Page, assistant: Stack) -> None:
    for number in range(32):
        await create(page, assistant, f"listed {number}")
    await create(page, assistant, "fail listed")
    await page.goto(assistant.url)
    rows = page.get_by_test_id("conversations").locator("li")
    await expect(rows).to_have_count(30)
    await page.get_by_role("button", name="Show more").click()
    await expect(rows.filter(has_text="listed 0")).to_have_count(1)
    await write(page, "search", "LISTED 3")
    await expect(rows).to_have_count(3)  # 3, 30, 31
    with requests_of(page, "/api/conversations?") as asked:
        await page.get_by_role("combobox", name="State").select_option("waiting for you")
        await expect(rows).to_have_count(0)
    assert asked[-1].endswith("&state=TASK_STATE_INPUT_REQUIRED&state=TASK_STATE_AUTH_REQUIRED&pageSize=30")
    await page.get_by_role("combobox", name="State").select_option("failed")
    await expect(rows).to_have_count(0)
    await expect(page.get_by_text("Nothing matches.")).to_be_visible()
    await page.get_by_test_id("search").press("Control+A")
    await page.get_by_test_id("search").press("Delete")
    await expect(rows.first).to_contain_text("fail listed")
    await expect(rows.locator(".state")).to_have_text(["failed"] * await rows.count())


async def test_a_title_is_the_same_in_every_browser_and_a_deleted_conversation_is_gone(
    page: Page, assistant: Stack
) -> None:
    created = await create(page, assistant, "to be renamed")
    await page.goto(f"{assistant.url}/?task={created['id']}")
    await state(page, "completed")
    await page.get_by_role("button", name="Rename").click()
    field = page.get_by_role("textbox", name="Title")
    await expect(field).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("title")).to_have_text("to be renamed")
    await page.get_by_role("button", name="Rename").press("Enter")
    await page.keyboard.press("Delete")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert").filter(has_text="Write a title.")).to_be_visible()
    await page.keyboard.type("A better title")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("title")).to_have_text("A better title")
    await expect(page.get_by_test_id("conversations").locator("li").first).to_contain_text("A better title")
    assert page.context.browser is not None
    elsewhere = await (await new_context(page.context.browser)).new_page()
    await elsewhere.goto(assistant.url)
    await elsewhere.get_by_role("link", name="A better title").click()
    await state(elsewhere, "completed")
    await expect(elsewhere).to_have_title("completed · A better title · Tailrace")
    await elsewhere.context.close()

    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_test_id("message-input")).to_be_focused()
    await expect(page.get_by_role("link", name="A better title")).to_have_count(0)
    await page.goto(f"{assistant.url}/?task={created['id']}")
    await expect(page.get_by_role("heading", name="This conversation does not exist")).to_be_visible()


async def test_a_long_conversation_opens_at_its_end_and_at_the_turn_of_a_permalink(
    page: Page, assistant: Stack
) -> None:
    first = await create(page, assistant, "turn 0")
    tasks = [first, *[await create(page, assistant, f"turn {n}", contextId=first["contextId"]) for n in range(1, 13)]]
    await page.goto(f"{assistant.url}/?conversation={first['contextId']}&agent=assistant")
    turns = page.get_by_test_id("turn")
    await expect(turns).to_have_count(10)
    await expect(turns.last).to_be_in_viewport()
    await expect(turns.last).to_contain_text("You said turn 12")
    await page.get_by_role("button", name="Earlier turns").click()
    await expect(turns).to_have_count(13)
    await turns.first.scroll_into_view_if_needed()
    await expect(turns.first).to_contain_text("You said turn 0")
    await expect(page.get_by_role("button", name="Earlier turns")).to_be_hidden()
    for number in (6, 0):
        await page.goto(f"{assistant.url}/?task={tasks[number]['id']}")
        await expect(page.get_by_text(f"You said turn {number}", exact=True)).to_be_in_viewport()
    # What the reader sends from there is seen, though its answer is there at once.
    await say(page, "turn 13")
    await expect(page.get_by_text("You said turn 13")).to_be_in_viewport()


async def test_what_is_typed_while_a_message_is_sent_stays(page: Page, assistant: Stack) -> None:
    await send(page, assistant.url, "hello once")
    await state(page, "completed")
    typed = asyncio.Event()

    async def hold(route: Route) -> None:
        await typed.wait()
        await route.continue_()

    await page.route("**/api/tasks", hold)
    await write(page, "message-input", "hello twice")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_test_id("send-button")).to_have_text("Sending …")
    await page.keyboard.type(" and more")
    typed.set()
    await expect(page.get_by_test_id("turn")).to_have_count(2)
    await expect(page.get_by_test_id("message-input")).to_have_value(" and more")


async def test_any_agent_is_chosen_with_its_examples_and_its_files(page: Page, assistant: Stack) -> None:
    await page.goto(assistant.url)
    await page.get_by_role("button", name="recall").click()
    await expect(page.get_by_test_id("message-input")).to_have_value("recall")
    await expect(page.get_by_text("text files and images")).to_be_visible()
    await page.get_by_role("radio", name=re.compile("log_analyst")).focus()
    await page.keyboard.press("Space")
    await page.get_by_role("button", name="What changed in these logs since 14:03?").click()
    await expect(page.get_by_test_id("message-input")).to_be_focused()
    await page.keyboard.press("Control+Enter")
    await opened(page)
    await expect(page).to_have_url(re.compile("agent=log_analyst"))


async def test_no_other_agent_gets_what_is_meant_for_a_default_agent_that_does_not_answer(
    page: Page, assistant: Stack
) -> None:
    cards = await (await page.request.get(f"{assistant.url}/api/agents")).json()
    cards["agents"][0] = {"error": "The gateway's log says why."}
    await page.route("**/api/agents", lambda route: route.fulfill(json=cards))
    await page.goto(assistant.url)
    await expect(page.get_by_role("alert")).to_have_text(
        "The default agent does not answer. The gateway's log says why."
    )
    await expect(page.get_by_role("radio", checked=True)).to_have_count(0)
    await write(page, "message-input", "hello default")
    await page.keyboard.press("Control+Enter")
    await opened(page)
    await expect(answer(page)).to_contain_text("You said hello default")
    await expect(page.get_by_test_id("conversations").locator("a[aria-current]")).to_contain_text("hello default")


async def is_late(page: Page, url: str, name: str, reasons: list[str]) -> None:
    """The agent does not answer for one of the `reasons` each time that the page asks, and then it does."""

    async def list_agents(route: Route) -> None:
        listed = await (await route.fetch()).json()
        if reasons:
            late = {"name": name, "error": reasons.pop(0)}
            listed["agents"] = [late if card["name"] == name else card for card in listed["agents"]]
        await route.fulfill(json=listed)

    await page.route("**/api/agents", list_agents)
    await page.goto(url)


async def test_an_agent_that_answers_at_last_is_offered_without_loading_the_page_again(
    page: Page, assistant: Stack
) -> None:
    await is_late(page, assistant.url, "log_analyst", ["It installs its packages."])
    await expect(page.get_by_role("radio", name=re.compile("log_analyst"))).to_be_disabled()
    chosen = await page.get_by_role("radio", checked=True).get_attribute("value")
    await write(page, "message-input", "hello meanwhile")
    await expect(page.get_by_role("radio", name=re.compile("log_analyst"))).to_be_enabled()
    await expect(page.get_by_role("radio", checked=True)).to_have_attribute("value", chosen or "")
    await expect(page.get_by_test_id("message-input")).to_have_value("hello meanwhile")
    await page.get_by_role("radio", name=re.compile("log_analyst")).focus()
    await page.keyboard.press("Space")
    await expect(page.get_by_role("button", name="What changed in these logs since 14:03?")).to_be_visible()
    # Another view of the page knows it too.
    await page.get_by_role("link", name="New conversation").click()
    await expect(page.get_by_role("radio", name=re.compile("log_analyst"))).to_be_enabled()


async def test_an_agent_that_was_wanted_is_chosen_when_it_answers_at_last(page: Page, assistant: Stack) -> None:
    reasons = ["It installs its packages.", "It starts."]
    await is_late(page, f"{assistant.url}/?agent=log_analyst", "log_analyst", reasons)
    await expect(page.get_by_role("alert")).to_have_text("log_analyst does not answer. It installs its packages.")
    await expect(page.get_by_role("alert")).to_have_text("log_analyst does not answer. It starts.")
    await expect(page.get_by_role("radio", checked=True)).to_have_attribute("value", "log_analyst")
    await expect(page.get_by_role("alert")).to_be_hidden()
    await expect(page.get_by_role("button", name="What changed in these logs since 14:03?")).to_be_visible()


async def test_a_picture_is_sent_to_an_agent_that_takes_pictures(page: Page, assistant: Stack) -> None:
    await page.goto(assistant.url)
    picture = FilePayload(name="pixel.png", mimeType="image/png", buffer=b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    data = FilePayload(name="data.bin", mimeType="", buffer=b"\0\1\2")
    await page.locator(".compose input[type=file]").set_input_files([picture, data])
    refusal = "data.bin is application/octet-stream. This agent takes text files and images."
    await expect(page.get_by_role("alert")).to_have_text(refusal)
    await write(page, "message-input", "files")
    await page.keyboard.press("Control+Enter")
    await opened(page)
    await expect(answer(page)).to_contain_text("pixel.png (image/png)")


async def test_pictures_are_pasted_and_seen(page: Page, assistant: Stack) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto(assistant.url)
    copy = """async (base64) => {
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
    }"""
    await page.evaluate(copy, base64.b64encode(PIXEL).decode())
    await page.get_by_test_id("message-input").click()
    for count in (1, 2):
        await page.keyboard.press("Control+V")
        await expect(page.locator(".compose .files img")).to_have_count(count)
    # A browser calls all of them image.png.
    await expect(page.locator(".compose .file-name")).to_have_text(["pasted-1.png", "pasted-2.png"])
    await page.keyboard.type("files")
    await page.keyboard.press("Control+Enter")
    await opened(page)
    await expect(answer(page)).to_contain_text("pasted-1.png (image/png), pasted-2.png (image/png)")
    sent = page.get_by_test_id("turn").locator(".message.by-user img")
    await expect(sent).to_have_count(2)
    assert await sent.first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1


async def test_the_page_says_when_it_cannot_reach_the_gateway(page: Page, assistant: Stack) -> None:
    created = await create(page, assistant, "hello offline")
    await page.route("**/api/**", lambda route: route.abort())
    await page.goto(f"{assistant.url}/?task={created['id']}")
    await expect(page.get_by_role("heading", name="This conversation cannot be shown")).to_be_visible()
    await expect(page.get_by_role("navigation")).to_contain_text("The gateway did not answer.")
    await page.unroute_all()
    await page.get_by_role("button", name="Try again").click()
    await expect(answer(page)).to_contain_text("You said hello offline")
    # A list that is on the page already says it too, until the gateway answers again.
    await page.route("**/api/**", lambda route: route.abort())
    await page.get_by_test_id("search").press_sequentially("hello")
    await expect(page.get_by_role("navigation")).to_contain_text("The gateway did not answer.")
    await page.unroute_all()
    await expect(page.get_by_role("navigation")).not_to_contain_text("The gateway did not answer.")
    await expect(page.get_by_role("link", name="hello offline")).to_be_visible()


async def test_everything_can_be_reached_by_keyboard_on_a_phone(page: Page, assistant: Stack) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await create(page, assistant, "hello phone")
    await page.goto(assistant.url)
    menu = page.get_by_role("button", name="Conversations")
    await menu.press("Enter")
    await expect(page.get_by_test_id("search")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(menu).to_be_focused()
    await expect(page.get_by_test_id("search")).to_be_hidden()
    await menu.press("Enter")
    await page.keyboard.type("hello phone")
    link = page.get_by_test_id("conversations").get_by_role("link")
    await expect(link).to_have_count(1)
    await link.press("Enter")
    await expect(page.get_by_test_id("title")).to_be_focused()
    await expect(page.get_by_test_id("search")).to_be_hidden()
    timeline = await open_work(page)
    await expect(timeline).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
