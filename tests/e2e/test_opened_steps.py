"""A row of the timeline opens to what its step read, wrote, said and used, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.e2e.kept_page import lent, stop_timers
from tests.e2e.model_events import artifact, open_modules, status, task
from tests.support.axe import violations
from tests.support.browser import needs_chromium

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

STREAM = "**/api/stream/t?cursor=*"
DRAW = """async ([events, prices]) => {
    await import("/progress-timeline.js");
    const { applyEvent, newTask } = await import("/task-state.js");
    const timeline = document.createElement("progress-timeline");
    document.body.append(timeline);
    const task = Object.assign(newTask(), { prices, streamUrl: (cursor) => `/api/stream/t?cursor=${cursor}` });
    window.apply = (events) => {
        for (const event of events) applyEvent(task, task.seq + 1, event);
        timeline.draw(task, task.updatedAt);
    };
    window.apply(events);
}"""
EVENTS = [
    task({"text": "bake"}, ts=1_000),
    status("state", ts=1_000),
    status("node_start", step="n", name="plan", ts=1_200),
    status("usage", step="n", name="small", usage={"input": 1_000, "output": 200, "calls": 1}),
    status("usage", step="n", name="large", usage={"input": 2_000, "output": 100, "calls": 1}),
    status("reasoning", "Eggs first.", step="n", name="large", message="m1"),
    status("tool_call", step="n", name="search", message="m1", call="c1", input='{"q": "eggs"}'),
    status("tool_start", step="t", parent="n", name="search", ts=1_300, input='{"q": "eggs"}', input_size=20_000),
    status("progress", "looking", step="t", ts=1_400),
    status("progress", "looking again", step="t", ts=1_500),
    status("tool_complete", step="t", output="three eggs", error="the fridge is open", ts=1_600),
]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def steps_page(browser: Browser) -> AsyncIterator[Page]:
    async with open_modules(browser) as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield page


@pytest_asyncio.fixture(loop_scope="session", params=[1280])
async def page(steps_page: Page, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """An empty page that can import the page's modules: on a desktop, and with `on_a_phone_too` on a phone."""
    await steps_page.evaluate("document.body.replaceWith(document.createElement('body'))")
    async with lent(steps_page) as page:
        await page.set_viewport_size({"width": request.param, "height": 800})
        yield page


on_a_phone_too = pytest.mark.parametrize("page", [1280, 360], indirect=True)


async def draw(page: Page, events: list[dict[str, Any]], prices: Any = None) -> None:
    await page.evaluate(DRAW, [events, prices or {}])


def row(page: Page, name: str) -> Locator:
    return page.locator(".tl-row").filter(has=page.get_by_text(name, exact=True))


def details(page: Page, name: str) -> Locator:
    return page.get_by_role("row", name=f"Details of {name}")


@on_a_phone_too
async def test_a_click_opens_a_row_and_another_closes_it(page: Page) -> None:
    await draw(page, EVENTS)
    await expect(row(page, "search")).to_contain_text("q: eggs")
    await row(page, "search").click()
    panel = details(page, "search")
    await expect(panel).to_contain_text("tool of cook · began after 300 ms")
    await expect(panel.get_by_role("group", name="Error")).to_have_text("the fridge is open")
    await expect(panel.get_by_role("group", name="Input")).to_have_text('{\n  "q": "eggs"\n}')
    await expect(panel).to_contain_text("the first 13 of 20,000 characters")
    await expect(panel.get_by_role("group", name="Output")).to_have_text("three eggs")
    await expect(panel.get_by_role("list", name="Progress").get_by_role("listitem")).to_have_text(
        ["400 mslooking", "500 mslooking again"]
    )
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await row(page, "search").click()
    await expect(panel).to_have_count(0)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
async def test_a_tools_row_tells_its_arguments_with_spaces_between_them(page: Page, separators: Any) -> None:
    given = json.dumps({"city": "Rome", "days": 3, "with": ["Ada", "Bob"]}, separators=separators)
    await draw(page, [*EVENTS[:2], status("tool_start", step="t", name="book", ts=1_300, input=given)])
    await expect(row(page, "book")).to_contain_text("city: Rome, days: 3, with: [Ada, Bob]")


async def serve_stream(page: Page, events: list[dict[str, Any]]) -> list[int]:
    """Answer a request for the task's events as the gateway does. Returns the cursors that were asked for."""
    cursors: list[int] = []

    async def stream(route: Route) -> None:
        cursors.append(int(route.request.url.partition("cursor=")[2]))
        rest = list(enumerate(events, 1))[cursors[-1] :]
        frames = [f"id: {seq}\ndata: {json.dumps({'result': event})}\n\n" for seq, event in rest]
        body = "".join([*frames, f'event: sync\ndata: {{"seq": {len(events)}}}\n\n'])
        await route.fulfill(body=body, content_type="text/event-stream")

    await page.route(STREAM, stream)
    return cursors


async def shown_events(panel: Locator) -> list[dict[str, Any]]:
    """The events in an opened step."""
    text = await panel.get_by_role("group", name="JSON").inner_text()
    decoder, events = json.JSONDecoder(), []
    while text := text.strip():
        event, end = decoder.raw_decode(text)
        events.append(event)
        text = text[end:]
    return events


@on_a_phone_too
async def test_an_open_step_offers_all_its_events(page: Page) -> None:
    events = list(EVENTS)
    cursors = await serve_stream(page, events)
    await draw(page, EVENTS)
    await row(page, "search").click()
    panel = details(page, "search")
    assert cursors == []
    await panel.get_by_text("Events", exact=True).click()
    await expect(panel).to_contain_text("4 events")
    assert await shown_events(panel) == EVENTS[7:]
    assert cursors == [7]
    # What comes while it is open is added.
    events += [status("progress", "a late word", step="t"), status("progress", "a word of plan", step="n")]
    await page.evaluate("window.apply", events[-2:])
    await expect(panel).to_contain_text("5 events")
    assert await shown_events(panel) == events[7:-1]
    await row(page, "cook").click()
    await expect(details(page, "cook").get_by_text("Events", exact=True)).to_have_count(0)  # only its steps have some
    await row(page, "plan").click()
    await details(page, "plan").get_by_text("Events", exact=True).click()
    await expect(details(page, "plan")).to_contain_text("6 events")
    assert await shown_events(details(page, "plan")) == [*EVENTS[2:7], events[-1]]


async def test_very_many_events_of_a_step_are_bounded(page: Page) -> None:
    many = [*EVENTS, *(status("progress", "x" * 4_000, step="t") for _ in range(200))]
    await serve_stream(page, many)
    await draw(page, many)
    await row(page, "search").click()
    panel = details(page, "search")
    await panel.get_by_text("Events", exact=True).click()
    await expect(panel).to_contain_text(re.compile(r"the first \d+ events; the download of all events has the others"))
    await expect(panel.get_by_role("group", name="JSON")).to_contain_text("xxx")


async def test_events_that_cannot_be_read_are_asked_for_again(page: Page) -> None:
    await page.route(STREAM, lambda route: route.fulfill(status=503))
    await draw(page, EVENTS)
    await row(page, "search").click()
    panel = details(page, "search")
    await panel.get_by_text("Events", exact=True).click()
    await expect(panel).to_contain_text("the server answered 503")
    await page.unroute_all()
    await serve_stream(page, EVENTS)
    await panel.get_by_role("button", name="Try again").click()
    await expect(panel).to_contain_text("4 events")


async def test_a_scroll_that_cuts_the_newest_row_stays(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 400})
    await draw(page, EVENTS)
    await row(page, "search").click()
    await expect(details(page, "search")).to_be_visible()
    scrolled = """async (newest) => {
        const body = newest.closest(".tl-body");
        const { top, height } = newest.getBoundingClientRect();
        body.scrollTop += top + height / 2 - body.getBoundingClientRect().top;
        const before = body.scrollTop;
        for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
        return [before, body.scrollTop];
    }"""
    before, after = await row(page, "search").evaluate(scrolled)
    assert before > 0
    assert after == before


@on_a_phone_too
async def test_an_open_row_on_a_bare_page_is_accessible(page: Page) -> None:
    await draw(page, EVENTS)
    await serve_stream(page, EVENTS)
    for name in ("plan", "search"):
        await row(page, name).click()
        await details(page, name).get_by_text("Events", exact=True).click()
        await expect(details(page, name).get_by_role("group", name="JSON")).to_contain_text("statusUpdate")
    # axe takes the ground of a page without a background as white.
    await page.evaluate(
        "document.body.style.cssText = 'color-scheme: light dark; background: Canvas; color: CanvasText'"
    )
    assert await violations(page, "color-contrast", "aria-required-children", "scrollable-region-focusable") == []
    await page.emulate_media(color_scheme="dark")
    assert await violations(page, "color-contrast") == []


@on_a_phone_too
async def test_a_row_shows_tokens_and_cost_and_opens_to_those_of_each_model(page: Page) -> None:
    prices = {"small": {"input": 1, "output": 10}, "large": {"input": 10, "output": 100}}
    await draw(page, EVENTS, prices)
    await expect(row(page, "plan")).to_contain_text("3,300 tokens · $0.0330")
    # The agent has no tokens but those of its step.
    await expect(row(page, "cook")).not_to_contain_text("tokens")
    await row(page, "plan").click()
    rows = details(page, "plan").locator("tbody tr")
    await expect(rows).to_have_text(["small11,000200$0.0030", "large12,000100$0.0300", "all23,000300$0.0330"])
    await expect(details(page, "plan").get_by_role("group", name="large thinks")).to_have_text("Eggs first.")
    await expect(details(page, "plan").get_by_role("group", name="Call of search")).to_contain_text('"q": "eggs"')


async def test_there_is_no_cost_without_the_price_of_each_model(page: Page) -> None:
    await draw(page, EVENTS, {"small": {"input": 1, "output": 10}})
    await expect(row(page, "plan")).to_contain_text("3,300 tokens")
    await expect(row(page, "plan")).not_to_contain_text("$")
    await row(page, "plan").click()
    rows = details(page, "plan").locator("tbody tr")
    await expect(rows).to_have_text(["small11,000200$0.0030", "large12,000100", "all23,000300"])


@on_a_phone_too
async def test_the_keys_of_a_treegrid_open_rows_and_fold_children(page: Page) -> None:
    await draw(page, EVENTS)
    await page.keyboard.press("Tab")
    await expect(row(page, "cook")).to_be_focused()
    for _ in range(2):
        await page.keyboard.press("ArrowDown")
    await expect(row(page, "search")).to_be_focused()
    await expect(row(page, "search")).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("ArrowRight")
    await expect(details(page, "search")).to_be_visible()
    await expect(row(page, "search")).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Copy: Error")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(row(page, "search")).to_be_focused()
    await page.keyboard.press("ArrowLeft")
    await expect(details(page, "search")).to_have_count(0)
    await page.keyboard.press("ArrowLeft")
    await expect(row(page, "plan")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(details(page, "plan")).to_be_visible()
    await page.keyboard.press("ArrowLeft")
    await expect(row(page, "search")).to_be_hidden()
    await expect(row(page, "plan")).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("ArrowRight")
    await expect(row(page, "search")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(details(page, "plan")).to_have_count(0)


@on_a_phone_too
async def test_the_triangle_folds_the_children(page: Page) -> None:
    await draw(page, EVENTS)
    await row(page, "plan").locator(".tl-mark").click()
    await expect(row(page, "search")).to_be_hidden()
    await expect(details(page, "plan")).to_have_count(0)
    await row(page, "plan").locator(".tl-mark").click()
    await expect(row(page, "search")).to_be_visible()


async def test_text_is_copied_whole(page: Page) -> None:
    await draw(page, EVENTS)
    await stop_timers(page)
    await row(page, "search").click()
    for title, text in [("Output", "three eggs"), ("Input", '{"q": "eggs"}'), ("Progress", "looking\nlooking again")]:
        await page.get_by_role("button", name=f"Copy: {title}").click()
        await expect(page.get_by_role("button", name=f"Copy: {title}")).to_have_text("Copied")
        assert await page.evaluate("navigator.clipboard.readText()") == text


async def test_an_open_row_grows_and_keeps_what_is_selected(page: Page) -> None:
    await draw(page, EVENTS)
    await row(page, "plan").click()
    words = details(page, "plan").get_by_role("group", name="large thinks")
    await words.dblclick(position={"x": 20, "y": 14})
    selected = await page.evaluate("String(getSelection())")
    assert selected.strip() == "Eggs"
    more = [
        status("reasoning", " Then flour.", step="n", name="large", message="m1"),
        status("tool_start", step="t2", parent="n", name="weigh"),
        status("message", "Done.", step="n", name="large", message="m2"),
        artifact("token", "response", "cake", step="n"),
    ]
    await page.evaluate("window.apply", more)
    await expect(words).to_have_text("Eggs first. Then flour.")
    await expect(details(page, "plan").get_by_role("group", name="large says")).to_have_text("Done.")
    assert await page.evaluate("String(getSelection())") == selected


async def test_markup_in_a_step_is_text(page: Page) -> None:
    image = "<img src=x onerror='window.broken = true'>"
    await draw(page, [status("tool_start", step="t", name=image, input=image), status("progress", image, step="t")])
    await row(page, image).click()
    await expect(page.locator(".tl-panel pre")).to_have_text([image])
    assert await page.locator("progress-timeline img").count() == 0
