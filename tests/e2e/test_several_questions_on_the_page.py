"""Questions that an agent asks at once, and questions from other agents, as the page shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.e2e.actions import answer, send, state
from tests.support.browser import needs_chromium
from tests.support.checkout import ANALYSTS, checkout
from tests.support.processes import Stack, agent, stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def asking(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("asking")
    root = checkout(folder / "checkout", ANALYSTS)
    async with agent(folder, "two_questions") as url, stack(folder, root, TAILRACE_ORCHESTRATOR_URL=url) as started:
        yield started


async def test_one_of_several_questions_is_answered_and_what_was_typed_for_the_other_stays(
    page: Page, asking: Stack
) -> None:
    await send(page, asking.url, "paint")
    await state(page, "input-required")
    cards = page.get_by_test_id("question")
    await expect(cards).to_have_count(2)
    await page.get_by_label("How many?").press_sequentially("7")
    colour = cards.filter(has_text="Which colour?")
    red = colour.get_by_role("group", name="Which colour?").get_by_role("button", name="red")
    await red.click()
    await expect(red).to_have_attribute("aria-pressed", "true")
    await colour.get_by_test_id("reply-button").click()
    # The other question is alone now.
    await expect(cards).to_have_count(1)
    await expect(page.get_by_role("button", name="Send all answers")).to_be_hidden()
    await expect(page.get_by_label("How many?")).to_have_value("7")
    await page.keyboard.press("Control+Enter")
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("7 red")
    await expect(cards).to_be_hidden()


async def test_both_questions_are_answered_by_one_reply(page: Page, asking: Stack) -> None:
    await send(page, asking.url, "paint")
    await state(page, "input-required")
    everything = page.get_by_role("button", name="Send all answers")
    await everything.click()
    await expect(page.get_by_role("alert").filter(has_text="Answer a question first.")).to_be_visible()
    await page.get_by_role("button", name="green").click()
    await page.get_by_label("How many?").press_sequentially("2")
    async with page.expect_request("**/messages") as request:
        await everything.click()
    [part] = (await request.value).post_data_json["message"]["parts"]
    assert sorted(part["data"]["answers"].values(), key=str) == [2, "green"]
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("2 green")


async def test_a_task_that_waits_for_a_sign_in_says_so_and_goes_on_after_it(page: Page, asking: Stack) -> None:
    await send(page, asking.url, "sign in")
    await state(page, "input-required")
    await expect(page.get_by_test_id("task-state")).to_have_text("sign-in required")
    link = page.get_by_role("link", name="https://login.example/x")
    await expect(link).to_have_attribute("href", "https://login.example/x")
    await page.get_by_role("button", name="I have signed in").click()
    await page.get_by_role("button", name="red").click()
    await state(page, "completed")
    await expect(answer(page)).to_contain_text("red")
