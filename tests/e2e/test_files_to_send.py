"""What a user puts into the box: files of one name, cells of a spreadsheet; and the notices below it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.e2e.actions import opened
from tests.support.browser import needs_chromium
from tests.support.processes import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

# A spreadsheet copies cells as text and as a picture.
PASTE_CELLS = """element => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", "time\\tcpu\\n12:00\\t97");
    clipboardData.items.add(new File(["\\0picture"], "image.png", { type: "image/png" }));
    const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
    element.dispatchEvent(event);
    return event.defaultPrevented;
}"""

# A file is read when `goOn` is called.
SLOW_READING = """() => {
    const gate = new Promise((resolve) => (globalThis.goOn = resolve));
    const { arrayBuffer } = Blob.prototype;
    Blob.prototype.arrayBuffer = async function () { await gate; return arrayBuffer.call(this); };
}"""


async def test_files_of_one_name_are_all_sent(page: Page, shipped: Stack, tmp_path: Path) -> None:
    paths = [tmp_path / host / "access.log" for host in ("web-1", "web-2", "web-3")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(f"2026-01-01T10:00:00Z INFO hello from {path.parent.name}\n")
    await page.goto(shipped.url)
    await page.locator(".compose input[type=file]").set_input_files(paths)
    names = page.locator(".compose .file-name")
    await expect(names).to_have_text(["access.log", "access (2).log", "access (3).log"])
    await page.get_by_test_id("send-button").click()
    sent = page.get_by_test_id("turns").locator(".sent-files code")
    await expect(sent).to_have_text(["access.log", "access (2).log", "access (3).log"])


async def test_a_file_that_is_chosen_again_replaces_the_first_and_the_page_says_so(
    page: Page, shipped: Stack, tmp_path: Path
) -> None:
    log = tmp_path / "shop.log"
    await page.goto(shipped.url)
    # The second one is long enough to be compressed, and is sent under another name.
    for lines in (1, 1_000):
        log.write_text("2026-01-01T10:00:00Z INFO all is well\n" * lines)
        await page.locator(".compose input[type=file]").set_input_files(log)
        await expect(page.locator(".compose .file-name")).to_have_text(["shop.log" if lines == 1 else "shop.log.gz"])
        await expect(page.locator(".compose .files-sum")).to_contain_text("to send")  # the file was read
    notice = page.locator(".compose .notice")
    await expect(notice).to_have_text("shop.log was chosen again: the newer one is sent.")


async def test_a_file_that_is_still_read_can_be_removed(page: Page, shipped: Stack, tmp_path: Path) -> None:
    for name in ("large.log", "small.log"):
        (tmp_path / name).write_text("2026-01-01T10:00:00Z INFO all is well\n")
    await page.goto(shipped.url)
    await page.evaluate(SLOW_READING)
    rows = page.locator(".compose .files li")
    await page.locator(".compose input[type=file]").set_input_files([tmp_path / "large.log", tmp_path / "small.log"])
    await expect(rows).to_contain_text(["reading …", "reading …"])
    await page.get_by_role("button", name="Remove large.log").click()
    await expect(page.get_by_test_id("message-input")).to_be_focused()
    await page.evaluate("goOn()")
    await expect(page.locator(".compose .files-sum")).to_have_text("1 file, 38 B to send")
    await expect(page.locator(".compose .file-name")).to_have_text(["small.log"])


async def test_cells_of_a_spreadsheet_are_pasted_as_text(page: Page, shipped: Stack) -> None:
    await page.goto(shipped.url)
    assert not await page.get_by_test_id("message-input").evaluate(PASTE_CELLS)
    await expect(page.locator(".compose .notice")).to_be_empty()


async def test_a_refusal_disappears_at_the_next_action(page: Page, shipped: Stack) -> None:
    await page.goto(shipped.url)
    notice = page.locator(".compose .notice")
    await page.get_by_test_id("send-button").click()
    await expect(notice).to_have_text("Write something, or add a file.")
    await page.get_by_test_id("message-input").press_sequentially("x")
    await expect(notice).to_be_empty()
    await page.keyboard.press("Backspace")
    await page.get_by_test_id("send-button").click()
    await page.get_by_test_id("sample-button").click()
    await opened(page)
    await page.get_by_test_id("new-conversation").click()
    await expect(notice).to_be_empty()


async def test_a_sample_that_cannot_be_loaded_is_reported(page: Page, shipped: Stack) -> None:
    await page.goto(shipped.url)
    await expect(page.locator(".sample")).to_contain_text("files")
    await page.route("**/sample/**", lambda route: route.abort())
    await page.get_by_test_id("sample-button").click()
    sentence = "The sample could not be loaded: the gateway did not answer. Try again in a moment."
    await expect(page.locator(".compose .notice")).to_have_text(sentence)
