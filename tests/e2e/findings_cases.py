"""Findings for tests of their view, and a page that has nothing but the view."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from playwright.async_api import Browser, Page, Route

from deploy.publish import content_type
from local.site import PAGE_HEADERS
from tests.e2e.kept_page import VIEWPORT
from tests.support.browser import unknown_context
from tests.support.processes import ROOT

ORIGIN = "http://findings.test/"
HTML = """<!doctype html><html lang="en"><title>Findings</title><link rel="stylesheet" href="/styles.css">
<body><div class="place"><main><h1>A page</h1><h2>A turn</h2><div id="here"></div></main></div></body></html>"""
DRAW = """async ([findings, alert, report, beside]) => {
    const { FindingsView } = await import("/findings/findings-view.js");
    window.view ??= new FindingsView();
    const answer = document.createElement("div");
    answer.className = "md";
    for (const line of report) {
        const code = document.createElement("code");
        code.append(line);
        const paragraph = document.createElement("p");
        paragraph.append(line, " and ", code);
        answer.append(paragraph);
    }
    document.getElementById("here").replaceChildren(answer, view.element);
    const messages = [{ by: "user", text: "What broke?", data: alert ? [{ alert }] : [] }];
    window.list = JSON.parse(findings);
    const artifact = { name: "findings", parts: [{ data: { findings: list, ...beside } }] };
    window.task = { agent: "orchestrator", messages, artifacts: new Map([["findings", artifact]]) };
    view.draw(list, { task, report: answer });
}"""
BEGIN = datetime(2026, 11, 22, 12, 40, tzinfo=UTC).timestamp()
ALERT = {"title": "too many 5xx", "start": "2026-11-22T12:41:50Z", "end": "2026-11-22T12:43:00Z"}


def at(seconds: float) -> str:
    """A time in ISO 8601, in seconds after `BEGIN`."""
    return datetime.fromtimestamp(BEGIN + seconds, UTC).isoformat().replace("+00:00", "Z")


def finding(subject: str, start: float, end: float, **fields: Any) -> dict[str, Any]:
    given = {"type": "level_shift", "magnitude": 8, "unit": "", "confidence": 0.9, "evidence": {}, "agent": "metrics"}
    span = {"subject": subject, "start": at(start), "end": at(end)}
    return {**given, "summary": f"{subject}: rose from 0 to 8", **span, **fields}


def samples(values: list[Any], start: float = 60, step: float = 5) -> dict[str, Any]:
    """The evidence of a series with these values, one every `step` seconds; None has no sample."""
    pairs = [[at(start + i * step), value] for i, value in enumerate(values) if value is not None]
    return {"before": 0, "after": 8, "series": pairs}


POOL = samples([0] * 8 + [8] * 6 + [None] * 6 + [8] * 4)
LINE = '{"level":"error","message":"pool exhausted: 8 of 8 in use"}'
INCIDENT = [
    finding("memory_mb", -3600, -3500, confidence=0.7),
    finding("INFO job started", 98, 98, type="rare", confidence=0.3, summary="Seen once.", agent="logs"),
    finding("POST /cart 200", 99, 180, type="gone", confidence=0.8, summary="No lines.", agent="logs"),
    finding("pool_in_use", 100, 184, confidence=0.87, unit="connections", evidence=POOL),
    finding("cpu_percent", 102, 182, confidence=0.98, unit="%", evidence=samples([3] * 8 + [80] * 16)),
    finding(
        "ERROR pool exhausted",
        *(106, 188),
        type="new_template",
        magnitude=353,
        unit="lines",
        summary=f"First seen at {at(106)}; 353 lines since then.",
        evidence={"log": "app.log", "example": LINE, "level": "ERROR", "routes": [{"text": "GET /", "count": 3}]},
        agent="logs",
    ),
    finding("p95_ms", 150, 170, confidence=0.6, unit="ms", magnitude=3000, evidence=samples([5] * 18 + [3000] * 5)),
]  # fmt: skip


# What the orchestrator concludes from `INCIDENT`.
EVENTS = [
    {"start": at(100), "end": at(188), "state": "over", "is_cause": True, "first": [3, 4], "later": [2, 5, 6]}
    | {"at_end": [], "faint": [1]},
    {"start": at(-3600), "end": at(-3500), "state": "over", "is_cause": True, "first": [0], "later": []}
    | {"at_end": [], "faint": []},
]
WORDS = f"9 of 20 requests (45%) failed from {at(106)} to {at(188)} (9 × 503, in access). It is over."


@contextlib.asynccontextmanager
async def opened(browser: Browser, *, without: str = "") -> AsyncIterator[Page]:
    """A page that can load the view, with the security policy of the real one. Its file `without` is missing."""

    async def serve(route: Route) -> None:
        name = route.request.url.removeprefix(ORIGIN)
        path = ROOT / "frontend" / name
        if not name:
            await route.fulfill(body=HTML, content_type="text/html", headers=PAGE_HEADERS)
        elif name == without or not path.is_file():
            await route.fulfill(status=404)
        else:
            await route.fulfill(body=path.read_bytes(), content_type=content_type(path), headers=PAGE_HEADERS)

    context = await unknown_context(browser, viewport=VIEWPORT, reduced_motion="reduce")
    await context.route(f"{ORIGIN}**", serve)
    page = await context.new_page()
    await page.goto(ORIGIN)
    yield page
    await context.close()


async def clear(page: Page) -> None:
    """Leave the page as it was opened."""
    await page.evaluate("""() => {
        delete window.view;
        delete navigator.clipboard; // what a test put there
        document.getElementById("here").replaceChildren();
        delete document.documentElement.dataset.theme;
        scrollTo(0, 0);
    }""")


async def draw(
    page: Page, findings: Any, alert: Any = None, report: tuple[str, ...] = (), beside: dict[str, Any] | None = None
) -> None:
    """Draw findings; a text is their JSON. `beside` is what else their artifact holds."""
    text = findings if isinstance(findings, str) else json.dumps(findings)
    await page.evaluate(DRAW, [text, alert, list(report), beside or {}])
