"""Taking a task along: copies, downloads, a curl command, and running it again."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from tests.e2e.artifacts_page import ORIGIN, apply, artifact, begin, ended, opened
from tests.e2e.kept_page import lent, stop_timers
from tests.support.browser import needs_chromium

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


@pytest_asyncio.fixture(loop_scope="session")
async def page(artifacts_page: Page) -> AsyncIterator[Page]:
    async with lent(artifacts_page) as page:
        yield page


# Prints the arguments of the command in place of sending them, one a line, then the body.
CURL = 'curl() { for a in "$@"; do printf \'%s\\n\' "$a"; done; echo; cat; }\n'


async def choose(page: Page, label: str) -> None:
    await page.get_by_role("button", name="More").click()
    await page.get_by_role("button", name=label, exact=True).click()


async def download(page: Page, label: str, folder: Path) -> tuple[str, bytes]:
    """The name and the content of the file that an entry of the menu gives."""
    async with page.expect_download() as waiting:
        await choose(page, label)
    file = await waiting.value
    await file.save_as(folder / "file")
    return file.suggested_filename, (folder / "file").read_bytes()


async def copied(page: Page) -> str:
    text: str = await page.evaluate("navigator.clipboard.readText()")
    return text


async def test_the_answer_and_the_data_are_copied_and_downloaded(page: Page, tmp_path: Path) -> None:
    await begin(page)
    await expect(page.get_by_role("button", name="Copy")).to_be_hidden()
    await expect(page.get_by_role("button", name="Run again")).to_be_hidden()
    prices = [{"item": "tea", "price": 2.5}]
    answer = "# Tée\n\n| a |\n|---|\n| 1 |\n"
    await apply(page, artifact("response", {"text": answer}), artifact("prices", {"data": prices}), ended())
    await stop_timers(page)
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert await copied(page) == answer
    assert await download(page, "Download the answer (.md)", tmp_path) == ("What-broke-42-and-m.md", answer.encode())
    name, content = await download(page, "Download the data (.json)", tmp_path)
    assert (name, json.loads(content)) == ("What-broke-42-and-m.json", prices)
    # Data in several parts is one list, and several artifacts are one object.
    await apply(page, artifact("prices", {"data": [{"item": "milk", "price": 1}]}, append=True))
    await apply(page, artifact("flat", {"data": {"ok": None}}))
    _, content = await download(page, "Download the data (.json)", tmp_path)
    assert json.loads(content) == {"prices": [*prices, {"item": "milk", "price": 1}], "flat": {"ok": None}}


async def test_a_csv_is_quoted_and_has_no_formula(page: Page, tmp_path: Path) -> None:
    await begin(page)
    formulas = ["=1+1", "+1-800-555", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", '=HYPERLINK("https://a.test")']
    texts = ['a "quoted" word', "two\nlines", "a,b;c", "ü", "", "-5", "+3.5", "it's", "'quoted", " spaces "]
    values: list[Any] = [*texts, -5, 1e21, True, None, {"nested": ["x", 1]}]
    rows = [{"text": text, "=head": 1} for text in formulas] + [{"text": value} for value in values]
    await apply(page, artifact("findings list", {"data": {"rows": rows, "count": 2}}), ended())
    name, content = await download(page, "Download findings list rows (.csv)", tmp_path)
    assert name == "What-broke-42-and-m-findings-list-rows.csv"
    assert content.startswith(b"\xef\xbb\xbf")
    read = list(csv.reader(content.decode("utf-8-sig").splitlines(keepends=True), strict=True))
    assert read[0] == ["text", "'=head"]
    assert [row[0] for row in read[1:10]] == [f"'{text}" for text in formulas]
    expected = ["-5", "1e+21", "true", "", '{"nested":["x",1]}']
    assert [row[0] for row in read[10:]] == [*texts, *expected]
    assert all(len(row) == 2 for row in read)
    assert content.count(b"\r\n") == len(rows) + 1


@pytest.mark.parametrize("shell", ["sh", "bash"])
async def test_the_curl_command_repeats_the_request_whatever_is_in_it(page: Page, shell: str) -> None:
    text = 'It\'s "quoted" $HOME `id` $(id) \\ !x %s\nJSON\nüñ مرحبا 😀\x1b[31m\x9b\u202e\x00'
    parts: list[dict[str, Any]] = [
        {"text": text},
        {"raw": "aGVsbG8=", "filename": "it's a log.txt", "mediaType": "text/plain"},
        {"text": "x" * 200_000, "filename": "long.log"},
        {"data": {"answers": {"'": [None, 1]}}},
    ]
    await begin(page, parts=parts)
    await apply(page, ended())
    await stop_timers(page)
    await choose(page, "Copy as a curl command")
    await expect(page.get_by_role("button", name="Copied")).to_be_focused()
    command = await copied(page)
    assert not set(command) & {"\x1b", "\x9b", "\u202e", "\x00"}
    process = await asyncio.create_subprocess_exec(shell, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate((CURL + command).encode())
    assert errors == b""
    arguments, _, body = output.decode().partition("\n\n")
    assert json.loads(body) == {"message": {"parts": parts}, "agent": "cook"}
    digest = hashlib.sha256(body.encode()).hexdigest()
    headers = ["-H", "content-type: application/json", "-H", f"x-amz-content-sha256: {digest}"]
    assert arguments.split("\n") == ["-sS", f"{ORIGIN}/api/tasks", *headers, "--data-binary", "@-"]


async def curl_of(browser: Browser, caller: dict[str, str]) -> bytes:
    """The curl command for this caller, as a script that prints what curl would send."""
    # A page asks once who looks at it.
    async with opened(browser) as fresh, lent(fresh) as page:
        await begin(page, parts=[{"text": "hello"}])
        await apply(page, ended())
        await stop_timers(page)
        await page.route("**/api/auth/me", lambda route: route.fulfill(json=caller))
        await page.evaluate("document.body.insertAdjacentHTML('beforeend', '<aside id=sidebar></aside>')")
        await choose(page, "Copy as a curl command")
        await expect(page.get_by_role("button", name="Copied")).to_be_focused()
        return (CURL + await copied(page)).encode()


async def test_the_curl_command_of_this_machines_user_has_the_secret_of_make_run(
    browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "it's $HOME"
    file.write_text("the-secret")
    command = await curl_of(browser, {"id": "local", "name": "local", "kind": "session", "secretFile": str(file)})
    process = await asyncio.create_subprocess_exec("sh", stdin=PIPE, stdout=PIPE)
    output, _ = await process.communicate(command)
    assert "authorization: Bearer the-secret\n" in output.decode()


async def test_the_curl_command_of_a_person_who_is_signed_in_asks_for_a_token(browser: Browser) -> None:
    command = await curl_of(browser, {"id": "u-a", "name": "Ada", "kind": "session"})
    run = []
    for more in ({}, {"TAILRACE_TOKEN": "trk_a_b"}):
        process = await asyncio.create_subprocess_exec(
            "sh", stdin=PIPE, stdout=PIPE, stderr=PIPE, env={**os.environ, **more}
        )
        run.append([each.decode() for each in await process.communicate(command)])
    (nothing, said), (sent, _) = run
    assert (nothing, "make token NAME=" in said) == ("", True)
    assert "authorization: Bearer trk_a_b\n" in sent


async def test_all_events_are_downloaded_across_cuts_and_split_frames(page: Page, tmp_path: Path) -> None:
    await begin(page)
    await apply(page, ended())
    event = {"jsonrpc": "2.0", "result": {"text": "ü €😀"}}
    one, two = json.dumps(event, ensure_ascii=False), json.dumps({**event, "id": 2}, indent=1, ensure_ascii=False)
    lines = "\r\n".join(f"data:{line}" for line in two.split("\n"))
    bodies = {
        "0": f"retry: 2000\r\n\r\n: a comment\r\n\r\nid: 1\rdata: {one}\r\rid: 2\r\n{lines}\r\n\r\nid: 3\ndata: {{",
        "2": f'id: 2\ndata: {one}\n\nevent: gap\ndata: {{"from":3,"to":4}}\n\nevent: new\ndata: {{}}\n\n',
        "4": f'id: 5\ndata: {one}\n\nevent: sync\ndata: {{"seq":5}}\n\nid: 6\ndata: {one}\n\n',
    }
    # Each byte comes alone.
    await page.evaluate(
        """bodies => {
            window.fetch = async (url) => {
                const bytes = new TextEncoder().encode(bodies[new URL(url, location.href).searchParams.get("cursor")]);
                const start = (controller) => {
                    for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
                    controller.close();
                };
                return new Response(new ReadableStream({ start }));
            };
        }""",
        bodies,
    )
    name, content = await download(page, "Download all events (.ndjson)", tmp_path)
    assert name == "What-broke-42-and-m.ndjson"
    assert content.endswith(b"\n")
    read = [json.loads(line) for line in content.splitlines()]
    assert read == [event, {**event, "id": 2}, {"gap": {"from": 3, "to": 4}}, event]


async def test_events_that_do_not_come_are_not_half_a_file(page: Page, tmp_path: Path) -> None:
    await begin(page)
    await apply(page, ended())
    statuses = [200, 200, 404]

    async def stream(route: Route) -> None:
        body = 'id: 1\ndata: {"result": 1}\n\n' if len(statuses) == 3 else ""
        await route.fulfill(status=statuses.pop(0), body=body, content_type="text/event-stream")

    await page.route("**/api/stream/42?cursor=*", stream)
    await choose(page, "Download all events (.ndjson)")
    await expect(page.get_by_role("alert")).to_have_text("The events did not come: the server answered 404.")
    statuses += [200] * 9
    await choose(page, "Download all events (.ndjson)")
    await expect(page.get_by_role("alert")).to_have_text(
        "The connection was lost before all events had come. Try again."
    )
    await page.unroute("**/api/stream/42?cursor=*")
    await page.route("**/api/stream/42?cursor=*", lambda route: route.fulfill(status=204))
    assert (await download(page, "Download all events (.ndjson)", tmp_path))[1] == b""
    await expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("width", [1280, 360])
async def test_the_menu_opens_and_closes_with_the_keyboard(page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 700})
    await begin(page)
    await apply(page, artifact("response", {"text": "word\n\n" * 60}), ended())
    more = page.get_by_role("button", name="More")
    await page.get_by_role("button", name="Copy").focus()
    for _ in range(2):
        await page.keyboard.press("Tab")
    await expect(more).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    first = page.get_by_role("button", name="Download the answer (.md)")
    await expect(first).to_be_focused()
    menu = page.locator(".ta-menu")
    await expect(menu).to_be_in_viewport(ratio=1)
    await page.keyboard.press("Escape")
    await expect(menu).to_be_hidden()
    await expect(more).to_be_focused()
    await page.keyboard.press("Space")
    await expect(menu).to_be_visible()
    await page.mouse.click(5, 5)
    await expect(menu).to_be_hidden()
    assert await page.evaluate("document.documentElement.scrollWidth") == width


async def test_a_task_runs_again_and_a_failed_one_is_retried(page: Page) -> None:
    await begin(page)
    await apply(page, ended())
    await page.get_by_role("button", name="Run again").press("Enter")
    assert await page.evaluate("window.runs") == 1
    await page.evaluate("window.refusal = 'The gateway did not answer.'")
    await page.get_by_role("button", name="Run again").click()
    await expect(page.get_by_role("alert")).to_have_text("The gateway did not answer.")

    await begin(page)
    await apply(page, ended("FAILED", "The kettle is cold."))
    await page.get_by_role("button", name="Retry").click()
    assert await page.evaluate("window.runs") == 1
