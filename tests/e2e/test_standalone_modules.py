"""`event-stream.js` and `progress-timeline.js` on pages of others: the examples in docs/PAGE.md run."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from tests.support.browser import needs_chromium, unknown_context
from tests.support.processes import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

ORIGIN = "http://another-project.test/"
# The files that belong together, in the order in which they are imported.
TIMELINE = ("progress-timeline.js", "dom.js", "format.js", "timeline-parts.js")
HTML = '<!doctype html><html lang="en"><title>Another project</title><body></body></html>'


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page. The test fails when one of its scripts does."""
    context = await unknown_context(browser)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await context.close()
    assert errors == []


async def open_with(page: Page, *modules: str) -> list[str]:
    """Open a page of an origin that has only these modules. Returns the paths of all later requests."""
    paths: list[str] = []

    async def serve(route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN)
        paths.append(path)
        if path in modules:
            await route.fulfill(body=(ROOT / "frontend" / path).read_text(), content_type="text/javascript")
        elif path:
            await route.fulfill(status=404)
        else:
            await route.fulfill(body=HTML, content_type="text/html")

    await page.route(f"{ORIGIN}**", serve)
    await page.goto(ORIGIN)
    paths.clear()
    return paths


def example_in(module: str) -> str:
    """The module's example in docs/PAGE.md."""
    examples = re.findall(r"^```js\n(.*?)^```", (ROOT / "docs/PAGE.md").read_text(), re.DOTALL | re.MULTILINE)
    [example] = [example for example in examples if f'"./{module}"' in example]
    return str(example)


def frame(seq: int) -> str:
    data = {"jsonrpc": "2.0", "id": "42", "result": {"number": seq}}
    return f"id: {seq}\ndata: {json.dumps(data)}\n\n"


async def test_the_event_stream_follows_a_stream_that_is_cut(page: Page) -> None:
    paths = await open_with(page, "event-stream.js")
    bodies = {
        "0": frame(1) + frame(2),  # cut: no `end`
        "2": frame(2) + frame(3) + 'event: end\ndata: {"seq": 3}\n\n',
    }
    cursors: list[str] = []

    async def stream(route: Route) -> None:
        cursor = route.request.url.partition("cursor=")[2]
        cursors.append(cursor)
        await route.fulfill(body=bodies[cursor], content_type="text/event-stream")

    await page.route("**/api/stream/42?cursor=*", stream)
    lines: list[str] = []
    page.on("console", lambda message: lines.append(message.text))
    await page.add_script_tag(type="module", content=example_in("event-stream.js"))
    await expect(page).to_have_title("ended")
    assert lines == ["1 {number: 1}", "2 {number: 2}", "3 {number: 3}"]
    assert cursors == ["0", "2"]
    assert [path for path in paths if not path.startswith("api/")] == ["event-stream.js"]


async def test_the_event_stream_dispatches_each_event_by_its_kind(page: Page) -> None:
    await open_with(page, "event-stream.js")

    def event(seq: int, form: str, kind: str) -> str:
        metadata = {"urn:tailrace:a2a:resume:1": {"seq": seq, "kind": kind}}
        return f"id: {seq}\ndata: {json.dumps({'result': {form: {'metadata': metadata}}})}\n\n"

    events = [
        ("task", "state"),
        ("statusUpdate", "progress"),
        ("artifactUpdate", "token"),
        ("statusUpdate", "progress"),
    ]
    first = "".join(event(seq, *kinds) for seq, kinds in enumerate(events, 1))
    bodies = {"": first, "4": event(5, "statusUpdate", "progress") + 'event: end\ndata: {"seq": 5}\n\n'}

    async def stream(route: Route) -> None:
        await route.fulfill(body=bodies[route.request.url.partition("?cursor=")[2]], content_type="text/event-stream")

    await page.route("**/api/stream/task-123*", stream)
    script = """() => new Promise((resolve) => {
        import("/event-stream.js").then(({ EventStream }) => {
            const source = new EventStream("/api/stream/task-123", { onEnd: () => resolve(lines) });
            const lines = [];
            for (const kind of ["progress", "token", "end"])
                source.addEventListener(kind, ({ type, detail }) => lines.push(`${type} ${detail.seq}`));
            source.open();
        });
    })"""
    assert await page.evaluate(script) == ["progress 2", "token 3", "progress 4", "progress 5"]


async def test_the_timeline_draws_a_run_with_its_own_styles(page: Page) -> None:
    paths = await open_with(page, *TIMELINE)
    await page.add_script_tag(type="module", content=example_in("progress-timeline.js"))
    rows = page.get_by_role("row")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_contain_text("planner")
    await expect(rows.nth(1)).to_contain_text("reading 1 of 3")
    await expect(rows.nth(1)).to_have_attribute("aria-level", "2")
    await expect(rows.nth(0)).to_have_css("display", "grid")
    await rows.nth(0).press("ArrowLeft")
    await expect(rows.nth(1)).to_be_hidden()
    assert paths == [*TIMELINE]


async def test_the_timeline_draws_in_an_element_of_the_pages_own_html(page: Page) -> None:
    await open_with(page, *TIMELINE)
    await page.evaluate("document.body.innerHTML = '<progress-timeline>\\n</progress-timeline>'")
    created = 'document.createElement("progress-timeline");\ndocument.body.append(timeline);'
    script = example_in("progress-timeline.js").replace(created, 'document.querySelector("progress-timeline");')
    await page.add_script_tag(type="module", content=script)
    await expect(page.locator("progress-timeline")).to_have_count(1)
    await expect(page.get_by_role("row")).to_have_count(2)


async def test_the_timeline_shows_the_newest_children_and_the_earlier_ones_on_request(page: Page) -> None:
    await open_with(page, *TIMELINE)
    script = (
        example_in("progress-timeline.js")
        + """
        const addSteps = (from, to) => {
            for (let number = from; number <= to; number += 1) {
                const step = { ...tool, name: `step ${number}`, children: [] };
                agent.children.push(step);
                run.changed.add(step);
            }
            timeline.draw(run, Date.now());
        };
        addSteps(1, 100); // 101 children with `search`
        addSteps(101, 299);
    """
    )
    await page.add_script_tag(type="module", content=script)
    labels = page.locator("progress-timeline .tl-tool .tl-label")
    await expect(labels).to_have_text([f"step {number}" for number in range(240, 300)])
    await page.get_by_role("button", name="240 earlier steps").click()
    await expect(labels).to_have_text([f"step {number}" for number in range(40, 300)])
    await page.get_by_role("button", name="40 earlier steps").click()
    await expect(labels).to_have_text(["search", *(f"step {number}" for number in range(1, 300))])
    await expect(page.get_by_role("button", name="earlier steps")).to_have_count(0)
