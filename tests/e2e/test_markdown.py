"""Markdown in the page: drawing any text takes time linear in its length, and never fails."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from playwright.async_api import Browser, Page, Route

from tests.support.browser import needs_chromium, unknown_context
from tests.support.processes import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

ORIGIN = "http://page.test/"
DRAW = """async ([pieces]) => {
    const { MarkdownView } = await import("/markdown.js");
    const root = document.createElement("div");
    const view = new MarkdownView(root);
    let text = "";
    for (const piece of pieces) view.update((text += piece));
    return root.innerHTML;
}"""

# The text before, the repeated text and the text after it: each was, or could be, slower than linear.
LONG = {
    "spaces after a heading": ("# a", " ", "b"),
    "marks after a heading": ("# a ", "# ", "b"),
    "spaces in a line": ("a", " ", "b"),
    "ticks without closing ones": ("", "`a ``b ", ""),
    "runs of ticks": ("", "``` ` `` ", "a"),
    "brackets": ("", "[", ""),
    "links that do not end": ("", "[a](b ", ""),
    "links in parentheses": ("", "[a](b(", ""),
    "titles that do not end": ("", '[a](b "c ', ""),
    "stars": ("", "*a **b ", ""),
    "only stars": ("a", "*", "b"),
    "underscores": ("a", " _b", "c"),
    "escapes": ("**", "\\a", ""),
    "addresses": ("", "https://a.", ""),
    "an address of dots": ("https://", ".", ""),
    "marks that are no rule": ("", "- ", "x"),
    "quotes in quotes": ("", "> ", "x"),
    "lists in lists": ("", "- ", "x"),
    "lines of a list": ("", "- a\n", ""),
    "lines between items": ("- a\n", "  b\n\n", ""),
    "lines of a quote": ("", "> a\n", ""),
    "lines of a paragraph": ("", "a | b\n", ""),
    "a fence that is not closed": ("```\n", "``\n", ""),
    "a long fence": ("`" * 1000 + "\n", "````\n", ""),
    "rows of a table": ("a|b\n-|-\n", "|c\n", ""),
    "columns of a table": ("", "|a", "\n|-|-\n"),
    "blocks": ("", "a\n\n", ""),
    "struck words": ("", "~~a ~b ", ""),
    "tasks": ("", "- [ ] a\n", ""),
    "fences": ("", "```\n```\n", ""),
    "links within the text": ("", "[a](#b) ", ""),
}


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page that can import the page's modules."""

    async def serve(route: Route) -> None:
        name = route.request.url.removeprefix(ORIGIN)
        path = ROOT / "frontend" / name
        if not name:
            await route.fulfill(body="<!doctype html>", content_type="text/html")
        else:
            await route.fulfill(body=path.read_text(), content_type="text/javascript")

    page = await (await unknown_context(browser)).new_page()
    await page.route(f"{ORIGIN}**", serve)
    await page.goto(ORIGIN)
    yield page
    await page.close()


async def drawn(page: Page, *texts: list[str]) -> list[str]:
    """The markup of each text, which comes in pieces."""
    # JSON, because a lone surrogate would not arrive otherwise.
    script = f"texts => Promise.all(JSON.parse(texts).map((pieces) => ({DRAW})([pieces])))"
    html: list[str] = await page.evaluate(script, json.dumps(texts))
    return html


async def draw(page: Page, text: str) -> str:
    """The markup of a text."""
    [html] = await drawn(page, [text])
    return html


async def measure(page: Page, before: str, repeated: str, after: str, times: int) -> tuple[float, int]:
    """The time that the page's thread computes to draw the text, in ms, and the number of its nodes.

    The time on the clock would count other processes too. Source: Chrome DevTools Protocol, `Performance.enable`.
    """
    script = """async ([before, repeated, after, times]) => {
        const { MarkdownView } = await import("/markdown.js");
        const root = document.createElement("div");
        new MarkdownView(root).update(before + repeated.repeat(times) + after);
        return root.querySelectorAll("*").length;
    }"""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    async def computed_ms() -> float:
        metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
        return 1000 * next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")

    begun = await computed_ms()
    nodes = await page.evaluate(script, [before, repeated, after, times])
    took = await computed_ms() - begun
    await devtools.detach()
    return took, nodes


@pytest.mark.parametrize("about", LONG)
async def test_time_and_nodes_are_linear_in_the_length(page: Page, about: str) -> None:
    before, repeated, after = LONG[about]
    times = 20_000 // len(repeated)
    long, nodes = await measure(page, before, repeated, after, 8 * times)
    assert nodes <= 2 * 8 * times * len(repeated)
    # Linear is 8 times, quadratic 64 times. Very short times are not measured well, so 250 ms are never too long.
    if long >= 250:
        short = min([(await measure(page, before, repeated, after, times))[0] for _ in range(3)])
        again = [(await measure(page, before, repeated, after, 8 * times))[0] for _ in range(2)]
        assert min(long, *again) < 25 * max(short, 10)


async def test_a_block_that_grows_is_searched_for_its_direction_once(page: Page) -> None:
    """A browser searches the whole of an element with `dir="auto"` whenever a child comes or goes."""
    script = """async ([before, repeated]) => {
        const { MarkdownView } = await import("/markdown.js");
        const root = document.createElement("div");
        const view = new MarkdownView(root);
        const { append } = Element.prototype;
        let moves = 0;
        Element.prototype.append = function (...children) {
            const places = [this, ...children.map((child) => child.parentNode)];
            moves += places.some((place) => place?.closest?.("[dir]"));
            append.apply(this, children);
        };
        view.update(before + repeated.repeat(5));
        view.update(before + repeated.repeat(50));
        Element.prototype.append = append;
        return [moves, root.querySelectorAll("li, tbody > tr").length, root.querySelectorAll("[dir=auto]").length];
    }"""
    assert await page.evaluate(script, ["", "- 1\n"]) == [0, 50, 1]
    assert await page.evaluate(script, ["- 1\n", "  - 1\n"]) == [0, 51, 2]
    assert await page.evaluate(script, ["1|2\n-|-\n", "1|2\n"]) == [0, 50, 1]


async def test_a_table_has_the_cells_that_were_written(page: Page) -> None:
    wide = "|".join("a" * 60) + "\n" + "|".join("-" * 60) + "\n"
    _, nodes = await measure(page, wide, "|\n", "", 10_000)
    assert nodes < 40_000
    html = await draw(page, "|a|b|c|\n|-|-:|-|\n|1|\n|1|2|3|4|\n")
    assert html.count("<td") == 5
    assert '<td colspan="2"></td>' in html
    assert ">4<" not in html
    _, nodes = await measure(page, "a|b\n-|-\n", "|\n", "", 100_000)
    assert nodes < 16_000
    too_wide = "|".join("a" * 5_000) + "\n" + "|".join("-" * 5_000) + "\n"
    assert "<table" not in await draw(page, too_wide)


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "\n",
                "\n\n",
                "  ",
                "# ",
                "## a #",
                "- ",
                "1. ",
                "> ",
                "|",
                "\n-|-\n",
                "```",
                "~~~\n",
                "**",
                "*",
                "_",
                "`",
                "---",
            ]
        ),
        st.sampled_from(
            ["[a](", "https://a.b", "[", "]", "(", ")", "!", "\\", "a b", "é", "\t", "\r\n", "   \n", "|a|b|"]
        ),
        st.sampled_from(["- [x] a", "[ ] ", "~~", "[a](#b)", "```py\n", "\n# a\n"]),
        st.text(max_size=4),
    ),
    max_size=24,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=TEXTS)
@example(pieces=["1. a\n\n2", ". b"])
@example(pieces=["# a", " #", "#"])
@example(pieces=["- a\n\n", " ", " b"])
@example(pieces=["> a\n", ">", " b\n"])
async def test_a_text_in_pieces_is_drawn_like_the_whole_and_never_fails(page: Page, pieces: list[str]) -> None:
    in_pieces, whole = await drawn(page, pieces, ["".join(pieces)])
    assert in_pieces == whole


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# Top #", "<h3>Top</h3>"),
        ("## a # b", "<h4>a # b</h4>"),
        ("### C#", "<h5>C#</h5>"),
        ("`a` ``b ` c`` `d", "<p><code>a</code> <code>b ` c</code> `d</p>"),
        ("**a** *b* _c_ log_analyst", "<p><strong>a</strong> <em>b</em> <em>c</em> log_analyst</p>"),
        ("- a\n  - b\n- c", '<ul dir="auto"><li>a<ul dir="auto"><li>b</li></ul></li><li>c</li></ul>'),
        ("* * *", "<hr>"),
        (
            "```html\n<b>\n```\nc",
            '<div class="md-code" data-language="html"><pre tabindex="0"><code>&lt;b&gt;</code></pre>'
            '<button class="md-copy" type="button">Copy</button></div><p>c</p>',
        ),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        (
            "- [ ] a\n- [X] *b*\n- [x]",
            '<ul dir="auto"><li class="md-task"><span class="md-check" role="img" aria-label="to do"></span> a</li>'
            '<li class="md-task"><span class="md-check" role="img" aria-label="done"></span> <em>b</em></li>'
            "<li>[x]</li></ul>",
        ),
        ("~~a~~ ~b~", "<p><del>a</del> ~b~</p>"),
        ("[a](#b-c)", '<p><button class="link md-jump" type="button" data-to="b-c">a</button></p>'),
        (
            "|a|\n|-|",
            '<div class="scroll-x" tabindex="0" role="group" aria-label="Table, scrolls sideways">'
            '<table dir="auto"><thead><tr><th>a</th></tr></thead><tbody></tbody></table></div>',
        ),
        ("<img src=x>", "<p>&lt;img src=x&gt;</p>"),
        # A character that reverses what follows is seen; in code, so is every one that moves something.
        ("a \u202eb **\u202ec** [d](e\u202e)", "<p>a [U+202E]b <strong>[U+202E]c</strong> [d](e[U+202E])</p>"),
        ("`rm \u2066a` \u2066b", "<p><code>rm [U+2066]a</code> \u2066b</p>"),
    ],
)
async def test_marks_are_drawn_and_markup_is_text(page: Page, text: str, html: str) -> None:
    assert await draw(page, text) == html
