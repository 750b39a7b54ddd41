from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.e2e import artifacts_page as artifacts
from tests.e2e import findings_cases as findings
from tests.e2e.actions import send_sample, state
from tests.e2e.kept_page import KeptPage, errors_of
from tests.e2e.model_events import open_modules
from tests.e2e.question_cards import Cards
from tests.support.browser import chromium, new_context
from tests.support.checkout import ANALYSTS, checkout
from tests.support.processes import Stack, agent, stack


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def slow_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All processes once more, with an orchestrator that takes as long as the request says.

    `make run` has not started this orchestrator.
    """
    folder = tmp_path_factory.mktemp("slow_stack")
    root = checkout(folder / "checkout", ANALYSTS)
    async with agent(folder, "slow_steps") as url, stack(folder, root, TAILRACE_ORCHESTRATOR_URL=url) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def assistant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All processes once more; the default agent is tests/sample_agents/assistant.py."""
    folder = tmp_path_factory.mktemp("assistant")
    async with (
        agent(folder, "assistant") as url,
        stack(folder, TAILRACE_ORCHESTRATOR="assistant", TAILRACE_ORCHESTRATOR_URL=url) as started,
    ):
        yield started


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def kept_page(browser: Browser) -> AsyncIterator[KeptPage]:
    kept = KeptPage(browser)
    yield kept
    await kept.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(kept_page: KeptPage) -> AsyncIterator[Page]:
    """A page. The test fails when one of the page's scripts does, or when the page breaks its security policy."""
    page = await kept_page.opened()
    with errors_of(page) as errors:
        yield page
        await kept_page.leave()
    assert errors == []


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def finished_sample(browser: Browser, shipped: Stack) -> str:
    """The id of a task that has triaged the sample, at `shipped`."""
    async with await new_context(browser, reduced_motion="reduce") as context:
        page = await context.new_page()
        task = await send_sample(page, shipped.url)
        await state(page, "completed")
        return task


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def modules_page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page that can import the page's modules."""
    async with open_modules(browser) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def artifacts_page(browser: Browser) -> AsyncIterator[Page]:
    """A page for what a task made. A test borrows it."""
    async with artifacts.opened(browser) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def findings_page(browser: Browser) -> AsyncIterator[Page]:
    """A page for the view of findings. A test borrows it."""
    async with findings.opened(browser) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def cards_page(browser: Browser) -> AsyncIterator[Cards]:
    """An empty page for cards of questions."""
    cards = await Cards.open(browser)
    yield cards
    await cards.page.close()


@pytest_asyncio.fixture(loop_scope="session")
async def cards(cards_page: Cards) -> AsyncIterator[Cards]:
    """A new view of questions on an empty page. The test fails when a script does."""
    errors: list[str] = []
    cards_page.page.on("pageerror", lambda error: errors.append(str(error)))
    await cards_page.mount()
    yield cards_page
    assert errors == []
