"""Files that are too large for a message, from a click on the page to the report."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import CDPSession, Page, Route, expect

from tests.e2e.actions import answer, opened, write
from tests.e2e.kept_page import requests_of
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

GRANTS, UPLOADS = "**/api/uploads", "**/api/uploads/*"
# `window.shares` gets each value of a progress bar, from 0 to 1. The promise `window.moved` waits for three in between.
WATCH_PROGRESS = """() => {
    window.shares = [];
    const between = () => new Set(window.shares.filter((share) => 0 < share && share < 1));
    window.moved = new Promise((resolve) => {
        const keep = (records) => {
            window.shares.push(...records.map(({ target }) => target.value));
            if (between().size >= 3) resolve();
        };
        const options = { subtree: true, attributes: true, attributeFilter: ["value"] };
        new MutationObserver(keep).observe(document.querySelector(".compose"), options);
    });
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(page: Page, shipped: Stack) -> Page:
    """The first view."""
    await page.goto(shipped.url)
    return page


def written(folder: Path, lines: int, name: str = "shop.log") -> Path:
    """A log of about 150 compressed bytes a line."""
    noise = random.Random(4)
    rows = (
        f"2026-01-01T{10 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z "
        f"{'ERROR disk full' if n > 0.7 * lines else 'INFO ok'} trace={noise.randbytes(150).hex()}\n"
        for n in range(lines)
    )
    (folder / name).write_text("".join(rows))
    return folder / name


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that is too large for a message: about 0.8 MB compressed."""
    return written(tmp_path_factory.mktemp("files"), 5_000)


async def choose(page: Page, *files: Path, view: str = ".compose") -> None:
    await page.locator(f"{view} input[type=file]").set_input_files(files)


@contextlib.asynccontextmanager
async def throttled(page: Page) -> AsyncIterator[CDPSession]:
    """Let uploads hardly progress, so that none is complete before the test wants it."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await limit_upload(session, 20_000)
    yield session
    await session.detach()


async def limit_upload(session: CDPSession, bytes_a_second: int) -> None:
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
    await session.send("Network.emulateNetworkConditions", limits)


def stored(shipped: Stack, upload: str) -> list[Path]:
    """The files of one upload."""
    return list((shipped.folder / "uploads").glob(f"*-{upload}-*"))


async def completed(page: Page) -> None:
    await opened(page)
    await expect(page.get_by_test_id("task-state")).to_have_attribute("data-state", "completed")


async def test_a_large_log_is_uploaded_with_a_progress_bar_and_analysed(page: Page, tmp_path: Path) -> None:
    log = written(tmp_path, 13_000)  # its upload has many steps
    await page.evaluate(WATCH_PROGRESS)
    async with throttled(page) as session:
        await choose(page, log)
        bar = page.get_by_role("progressbar", name="Uploading shop.log.gz")
        await expect(bar).to_be_visible()
        async with asyncio.timeout(60):
            await page.evaluate("window.moved")
        await limit_upload(session, 500_000)  # 2 MB take four seconds
        await expect(bar).to_have_count(0)
    shares: list[float] = await page.evaluate("window.shares")
    assert shares == sorted(shares)
    await page.get_by_test_id("send-button").click()
    await completed(page)
    await expect(answer(page)).to_contain_text("disk full")
    await expect(page.get_by_test_id("turns")).to_contain_text(re.compile(r"shop\.log\.gz [\d.]+ MB"))


async def test_sending_waits_for_the_uploads_and_sends_once(page: Page, log: Path) -> None:
    sending = asyncio.Event()

    async def hold(route: Route) -> None:
        await sending.wait()
        await route.continue_()

    await page.route(UPLOADS, hold)
    with requests_of(page, "/api/tasks") as requested:
        await choose(page, log)
        await expect(page.locator("progress")).to_be_visible()
        await page.get_by_test_id("message-input").press("Control+Enter")
        await page.get_by_test_id("message-input").press("Control+Enter")
        await expect(page.get_by_test_id("send-button")).to_have_text("Sending …")
        sending.set()
        await completed(page)
    assert len([each for each in requested if each.endswith("/api/tasks")]) == 1


async def test_sending_waits_for_a_file_that_is_added_meanwhile(page: Page, log: Path, tmp_path: Path) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    waiting = iter(gates)

    async def hold(route: Route) -> None:
        await next(waiting).wait()
        await route.continue_()

    await page.route(UPLOADS, hold)
    bars = page.locator("progress")
    await choose(page, log)
    await expect(bars).to_have_count(1)
    await page.get_by_test_id("message-input").press("Control+Enter")
    await choose(page, written(tmp_path, 5_000, "second.log"))
    await expect(bars).to_have_count(2)
    gates[0].set()
    await expect(bars).to_have_count(1)
    gates[1].set()
    await completed(page)
    await expect(page.get_by_test_id("turns")).to_contain_text(re.compile(r"shop\.log\.gz.*second\.log\.gz"))


@pytest.mark.parametrize("uploaded", [False, True], ids=["under way", "uploaded"])
async def test_a_removed_file_is_not_sent_and_leaves_nothing(
    page: Page, shipped: Stack, log: Path, uploaded: bool
) -> None:
    async with throttled(page) if not uploaded else contextlib.nullcontext(), asyncio.timeout(60):
        async with page.expect_response(GRANTS) as granted:
            await choose(page, log)
        upload = (await (await granted.value).json())["part"]["url"].rpartition(":")[2]
        if uploaded:
            await expect(page.locator("progress")).to_have_count(0)
        while not stored(shipped, upload):
            await asyncio.sleep(0.02)
        await page.get_by_role("button", name="Remove shop.log.gz").click()
        await expect(page.locator(".compose .files li")).to_have_count(0)
        while stored(shipped, upload):
            await asyncio.sleep(0.02)
    await page.get_by_test_id("send-button").click()
    await expect(page.locator(".compose .notice")).to_have_text("Write something, or add a file.")


@pytest.mark.parametrize(
    ("failing", "words"),
    [(GRANTS, "The gateway did not answer"), (UPLOADS, "The connection was lost")],
    ids=["grant", "upload"],
)
async def test_a_failed_upload_is_reported_and_can_be_retried(page: Page, log: Path, failing: str, words: str) -> None:
    await page.route(failing, lambda route: route.abort())
    await choose(page, log)
    await expect(page.locator(".compose .notice")).to_contain_text(f"shop.log.gz was not uploaded. {words}")
    await page.get_by_test_id("send-button").click()
    await expect(page.get_by_test_id("send-button")).to_have_text("Send")
    await page.unroute(failing)
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    await page.get_by_test_id("send-button").click()
    await completed(page)


async def test_a_refusal_is_shown_in_the_words_of_the_gateway(page: Page, log: Path) -> None:
    async def refuse(route: Route) -> None:
        problem = {"title": "Request Entity Too Large", "detail": "The file has 2 bytes; the limit is 1."}
        await route.fulfill(status=413, json=problem, content_type="application/problem+json")

    await page.route(GRANTS, refuse)
    await choose(page, log)
    notice = page.locator(".compose .notice")
    await expect(notice).to_contain_text("Request Entity Too Large: The file has 2 bytes; the limit is 1.")


async def test_small_files_stay_in_the_message(page: Page, log: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.log"
    small.write_bytes(log.read_bytes()[:160_000])  # noqa: ASYNC240
    with requests_of(page, "/api/uploads") as grants:
        await choose(page, small)
        await page.get_by_test_id("send-button").click()
        await completed(page)
    assert grants == []


async def test_a_reply_may_carry_a_large_file(page: Page, log: Path) -> None:
    await write(page, "message-input", "checkout is slow")
    await page.get_by_test_id("send-button").click()
    await expect(page.get_by_test_id("task-state")).to_have_attribute("data-state", "input-required")
    await choose(page, log, view="[data-testid=question]")
    await page.get_by_test_id("reply-button").click()
    await completed(page)
    await expect(answer(page)).to_contain_text("disk full")
