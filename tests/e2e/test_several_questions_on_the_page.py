"""Questions that an agent asks at once, and a page where the user signs in, as the page shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.e2e.actions import send, state, write
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


async def test_each_of_several_questions_is_answered_in_a_box_of_its_own(page: Page, asking: Stack) -> None:
    await send(page, asking.url, "paint")
    await state(page, "input-required")
    await expect(page.locator("#question")).to_have_text("The agents have 2 questions")
    await expect(page.get_by_test_id("reply-input")).to_be_hidden()
    await page.get_by_label("Which colour?").press_sequentially("red")
    await page.get_by_test_id("reply-button").click()
    # The other question is alone now, so it has the usual box.
    await expect(page.locator("#question")).to_have_text("How many?")
    await write(page, "reply-input", "7")
    await page.get_by_test_id("reply-button").click()
    await state(page, "completed")
    await expect(page.get_by_test_id("report")).to_have_text("7 red")


async def test_both_questions_are_answered_by_one_reply(page: Page, asking: Stack) -> None:
    await send(page, asking.url, "paint")
    await state(page, "input-required")
    await page.get_by_test_id("reply-button").click()
    await expect(page.get_by_role("alert")).to_have_text("Answer a question.")
    await page.get_by_label("Which colour?").press_sequentially("green")
    await page.get_by_label("How many?").press_sequentially("2")
    await page.keyboard.press("Control+Enter")
    await state(page, "completed")
    await expect(page.get_by_test_id("report")).to_have_text("2 green")
    await expect(page.get_by_test_id("turns").locator("li").last.locator("p")).to_have_text("green\n2")


async def test_a_task_that_waits_for_a_sign_in_says_so_and_links_to_it(page: Page, asking: Stack) -> None:
    await send(page, asking.url, "sign in")
    await state(page, "input-required")
    await expect(page.get_by_test_id("task-state")).to_have_text("sign-in required")
    await expect(page.get_by_role("link", name="https://login.example/x")).to_have_attribute(
        "href", "https://login.example/x"
    )
