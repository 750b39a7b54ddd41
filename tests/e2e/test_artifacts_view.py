"""What a task made, on the page: the answer while it is written, data, files, and what nobody foresaw."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.e2e.artifacts_page import apply, artifact, begin, ended
from tests.e2e.kept_page import lent, stop_timers
from tests.support.browser import needs_chromium

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


@pytest_asyncio.fixture(loop_scope="session")
async def page(artifacts_page: Page) -> AsyncIterator[Page]:
    async with lent(artifacts_page) as page:
        yield page


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><script>alert(1)</script></svg>'


def base64_of(content: str | bytes) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def shown(page: Page, name: str) -> Locator:
    """The artifact with this name."""
    heading = page.get_by_role("heading", name=name, exact=True)
    return page.get_by_test_id("artifact").filter(has=heading)


async def column(table: Locator, number: int) -> list[str]:
    return await table.locator(f"tbody td:nth-child({number})").all_inner_texts()


async def test_the_answer_grows_and_keeps_focus_selection_and_scrolling(page: Page) -> None:
    await begin(page)
    await apply(page, artifact("response", {"text": "# Tea\n\nBoil the wat"}, last=False))
    answer = page.get_by_test_id("answer")
    await expect(answer.locator(".md")).to_have_attribute("aria-busy", "true")
    await answer.get_by_text("Boil").click(click_count=2, position={"x": 12, "y": 8})
    selected = await page.evaluate("String(getSelection())")
    assert selected.strip() == "Boil"
    more = [artifact("response", {"text": text}, append=True, last=False) for text in ("er", ", then w", "ait.")]
    for event in more:
        await apply(page, event)
    await expect(answer.locator("p")).to_have_text("Boil the water, then wait.")
    assert await page.evaluate("String(getSelection())") == selected

    line = "a long line that is wider than the page " * 10
    await apply(page, artifact("response", {"text": f"\n\n```sh\n{line}\n"}, append=True, last=False))
    code = answer.locator("pre")
    await code.click()
    await code.evaluate("box => { box.scrollLeft = 300 }")
    await apply(page, artifact("response", {"text": "make tea\n"}, append=True, last=False))
    await expect(code).to_contain_text("make tea")
    await expect(code).to_be_focused()
    assert await code.evaluate("box => box.scrollLeft") == 300

    await apply(page, artifact("response", {"text": "```\n"}, append=True), ended())
    await expect(answer.locator(".md")).to_have_attribute("aria-busy", "false")
    await stop_timers(page)
    await answer.get_by_role("button", name="Copy").click()
    await expect(answer.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == f"{line}\nmake tea"


async def test_a_long_answer_has_an_outline_that_jumps_to_its_headings(page: Page) -> None:
    await begin(page)
    sections = "\n\n".join(f"## Part {n % 3}\n\n{'word ' * 120}" for n in range(6))
    await apply(page, artifact("report", {"text": f"# Top\n\nSee [the end](#part-2-1).\n\n{sections}"}), ended())
    outline = page.get_by_text("Outline, 7 sections")
    await outline.click()
    await page.get_by_role("button", name="Part 1").nth(1).press("Enter")
    heading = page.get_by_role("heading", name="Part 1").nth(1)
    await expect(heading).to_be_focused()
    await expect(heading).to_be_in_viewport()
    await page.get_by_role("button", name="the end").click()
    await expect(page.get_by_role("heading", name="Part 2").nth(1)).to_be_focused()
    ids: list[str] = await page.evaluate("[...document.querySelectorAll('.md :is(h3, h4)')].map(({ id }) => id)")
    assert len(set(ids)) == 7


async def test_every_kind_of_artifact_is_shown(page: Page) -> None:
    await begin(page)
    await apply(
        page,
        artifact("response", {"text": "Done."}),
        artifact("notes", {"text": "- one\n- two"}),
        artifact("script", {"text": "# no heading", "mediaType": "text/x-sh"}),
        artifact("flat", {"data": {"region": "eu", "cost": 12.5, "ok": True, "none": None}}),
        artifact("mixed", {"text": "With words"}, {"data": [1, 2]}, {"hologram": {"spin": 3}}),
        artifact("null", {"data": None}),
        artifact("void"),
        ended(),
    )
    await expect(page.get_by_test_id("answer")).to_have_text("Done.")
    await expect(shown(page, "notes").locator("li")).to_have_text(["one", "two"])
    await expect(shown(page, "script").locator("code")).to_have_text("# no heading")
    await expect(shown(page, "flat").locator("dt")).to_have_text(["region", "cost", "ok", "none"])
    await expect(shown(page, "flat").locator("dd")).to_have_text(["eu", "12.5", "true", "null"])
    await expect(shown(page, "mixed").locator("p")).to_have_text("With words")
    await expect(shown(page, "mixed").locator("dd")).to_have_text(["1", "2"])
    assert json.loads(await shown(page, "mixed").locator("code").inner_text()) == {"hologram": {"spin": 3}}
    await expect(shown(page, "null")).to_contain_text("null")
    await expect(shown(page, "void")).to_contain_text("empty")


async def test_findings_are_drawn_by_their_own_view(page: Page) -> None:
    await begin(page)
    finding = {"type": "burst", "subject": "shop-db", "summary": "Errors", "start": "2026-11-22T14:02:00Z"}
    report = artifact("report", {"text": "shop-db died."})
    await apply(page, report, artifact("findings", {"data": {"findings": [finding]}}), ended())
    await expect(page.get_by_test_id("findings")).to_contain_text("shop-db")
    await expect(page.get_by_test_id("findings-summary")).to_be_visible()


async def test_a_table_of_ten_thousand_rows_is_sorted_by_its_headers(page: Page) -> None:
    await begin(page)
    rows = [{"name": f"host {n}", "errors": (n * 7919) % 10_000, "note": None if n % 2 else "x"} for n in range(10_000)]
    await apply(page, artifact("hosts", {"data": rows}), ended())
    box = shown(page, "hosts")
    await expect(box).to_contain_text("10,000 rows")
    table = box.get_by_role("table")
    await expect(table.locator("tbody tr")).to_have_count(100)
    errors, name = (table.get_by_role("button", name=text, exact=True) for text in ("errors", "name"))
    await errors.click()
    await expect(table.get_by_role("columnheader", name="errors")).to_have_attribute("aria-sort", "ascending")
    assert await column(table, 2) == [str(n) for n in range(100)]
    await page.keyboard.press("Enter")
    await expect(table.get_by_role("columnheader", name="errors")).to_have_attribute("aria-sort", "descending")
    assert await column(table, 2) == [str(9_999 - n) for n in range(100)]
    await page.keyboard.press("Enter")
    await expect(table.locator("[aria-sort]")).to_have_count(0)
    assert await column(table, 1) == [f"host {n}" for n in range(100)]
    await page.keyboard.press("Shift+Tab")
    await expect(name).to_be_focused()

    await box.get_by_role("button", name="Show 400 more of 9,900").press("Enter")
    await expect(table.locator("tbody tr")).to_have_count(500)
    # The table changes while somebody reads it: focus, order and length stay.
    await name.press("Enter")
    await apply(page, artifact("hosts", {"data": [{"name": "host ", "errors": -1}]}, append=True))
    await expect(box).to_contain_text("10,001 rows")
    await expect(name).to_be_focused()
    await expect(table.locator("tbody tr")).to_have_count(500)
    assert (await column(table, 1))[:3] == ["host ", "host 0", "host 1"]


async def test_nested_data_unfolds_and_stays_unfolded(page: Page) -> None:
    await begin(page)
    data: dict[str, Any] = {
        "a": {"b": [{"c": 1, "d": {"e": "deep", "f": [[], {}]}}, {"c": 2}]},
        "link": "https://a.test/x",
    }
    await apply(page, artifact("tree", {"data": data}))
    box = shown(page, "tree")
    await expect(box.get_by_role("link")).to_have_attribute("rel", "noopener noreferrer nofollow")
    await box.get_by_text("1 key: b").click()
    await box.get_by_text("2 rows").press("Enter")
    await box.get_by_text("2 keys: e, f").click()
    await expect(box.get_by_text("deep")).to_be_visible()
    await box.get_by_text("2 keys: e, f").focus()
    await apply(page, artifact("tree", {"data": {**data, "new": 1}}))
    await expect(box.get_by_text("deep")).to_be_visible()
    await expect(box.get_by_text("2 keys: e, f")).to_be_focused()


async def test_files_have_a_preview_and_a_download(page: Page, tmp_path: Path) -> None:
    await begin(page)
    files: list[dict[str, Any]] = [
        {"raw": PIXEL, "filename": "pixel.png", "mediaType": "image/png"},
        {"raw": base64_of(SVG), "filename": "plot.svg", "mediaType": "image/svg+xml; charset=utf-8"},
        {"raw": base64_of("ä,b\n1,2\n"), "filename": "rows.csv", "mediaType": "text/csv"},
        {"raw": base64_of('{"answer": 42}'), "filename": "data.json", "mediaType": "application/json"},
        {
            "raw": base64_of(bytes(range(256)) + b"\xfb\xff").replace("+", "-").replace("/", "_").rstrip("="),
            "filename": "a.mp3",
            "mediaType": "audio/mpeg",
        },
        {"text": "a line\n" * 20_000, "filename": "long.log"},
        {"url": "https://files.test/logs.zip", "filename": "logs.zip", "mediaType": "application/zip"},
        {"url": "javascript:alert(1)", "filename": "bad.html"},
        {"raw": "no base64!", "filename": "gpj.\u202eexe", "mediaType": "image/png"},
        {"raw": "", "filename": "void.txt"},
    ]
    await apply(page, artifact("bundle", *files), ended())
    rows = page.get_by_test_id("file")
    await expect(rows).to_have_count(10)
    await expect(rows.nth(0)).to_contain_text("image/png, 70 B")
    await expect(rows.nth(9)).to_have_text("void.txtempty")
    for index in (0, 1):
        await expect(rows.nth(index).get_by_role("img")).to_be_visible()
        await page.wait_for_function(
            "image => image.naturalWidth", arg=await rows.nth(index).locator("img").element_handle()
        )
    await expect(rows.nth(2).locator("code")).to_have_text("ä,b\n1,2\n")
    await expect(rows.nth(3).locator("dd")).to_have_text("42")
    await expect(rows.nth(4)).to_contain_text("audio/mpeg, 258 B")
    await expect(rows.nth(5)).to_contain_text("This is the beginning.")
    assert len(await rows.nth(5).locator("code").inner_text()) <= 40_000
    await expect(rows.nth(6).get_by_role("link", name="Open")).to_have_attribute("href", "https://files.test/logs.zip")
    await expect(rows.nth(7).get_by_role("link")).to_have_count(0)
    await expect(rows.nth(8)).to_contain_text("This image cannot be shown.")
    await expect(rows.nth(8).locator("bdi")).to_have_text("gpj.exe")

    async with page.expect_download() as download:
        await rows.nth(4).get_by_role("button", name="Download a.mp3").click()
    file = await download.value
    assert file.suggested_filename == "a.mp3"
    await file.save_as(tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == bytes(range(256)) + b"\xfb\xff"
    await rows.nth(8).get_by_role("button", name="Download").click()
    await expect(rows.nth(8)).to_contain_text("This file is damaged.")


async def test_hostile_data_is_text_and_stays_small(page: Page) -> None:
    await begin(page)
    deep: Any = "the bottom"
    for _ in range(300):
        deep = {"deeper": deep, "x": 1}
    hostile = {
        "<img src=x onerror=alert(1)>": "javascript:alert(1)",
        "__proto__": {"polluted": True},
        "constructor": "a word",
        "deep": deep,
        "long": "w" * 300_000,
        "many": {f"key {n}": n for n in range(20_000)},
        "wide": [{f"column {n}": n for n in range(3_000)}],
        "strangers": [{f"only {n}": n} for n in range(3_000)],
        "rtl": "مرحبا بالعالم",
    }
    rows = [{"constructor": 1, "a": "<b>"}, {"toString": None, "a": "x" * 5_000}]
    await apply(page, artifact("hostile", {"data": hostile}), artifact("rows", {"data": rows}), ended())
    box = shown(page, "hostile")
    await expect(box.locator("dt")).to_have_count(10)  # the small object is open
    await expect(box.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    await expect(box.get_by_text("javascript:alert(1)")).to_be_visible()
    await expect(box.get_by_role("link")).to_have_count(0)
    assert await column(shown(page, "rows").get_by_role("table"), 1) == ["1", ""]
    for text in ("20,000 keys", "1 row", "3,000 items", "2 keys: deeper, x"):
        await box.get_by_text(text).first.click()
    await expect(box).to_contain_text("The first 50 of 3,000 columns.")
    assert await page.locator("main *").count() < 4_000
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate("({}).polluted") is None


async def test_many_artifacts_and_appended_parts_are_bounded(page: Page) -> None:
    await begin(page)
    await apply(page, *(artifact(f"file {n}", {"data": n}) for n in range(60)))
    await expect(page.get_by_test_id("artifact")).to_have_count(20)
    await page.get_by_role("button", name="Show 40 more artifacts").click()
    await expect(page.get_by_test_id("artifact")).to_have_count(60)
    await apply(page, *(artifact("lines", {"data": [{"n": n}]}, append=True, last=False) for n in range(500)))
    await expect(shown(page, "lines")).to_contain_text("500 rows")


async def test_a_phone_shows_wide_and_right_to_left_things_without_scrolling_the_page(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await begin(page)
    text = (
        "| time | signal | value | pod |\n|-|-|-:|-|\n| 14:02:11 | 5xx rate | 38 % | `checkout-7f9c4d66b8-x2x1b` |\n\n"
        "مرحبا بالعالم\n\n- بند أول\n\n" + "x" * 400 + "\n\n```\n" + "y" * 400 + "\n```\n"
    )
    rows = [{f"column {n}": "some words" for n in range(12)}]
    await apply(page, artifact("response", {"text": text}), artifact("wide", {"data": rows}), ended())
    await expect(shown(page, "wide").get_by_role("table")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    for table in (page.get_by_test_id("answer"), shown(page, "wide")):
        box = table.get_by_role("group", name="Table, scrolls sideways")
        await box.focus()
        await page.keyboard.press("ArrowRight")
        await page.wait_for_function("box => box.scrollLeft > 0", arg=await box.element_handle())
    item = page.get_by_text("بند أول")
    assert await item.evaluate("item => getComputedStyle(item.parentElement).direction") == "rtl"
