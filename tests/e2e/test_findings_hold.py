"""Findings that are wrong, hostile or very many: the view shows what can be shown, and stays quick."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from orchestrator.foreign_finding import finding_of
from orchestrator.synthesis import events_of, main_event, told
from tests.e2e.findings_cases import ALERT, BEGIN, at, clear, draw, finding, samples
from tests.e2e.kept_page import lent
from tests.support.browser import needs_chromium
from triage.alert import Alert
from triage.findings import in_order

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]


@pytest_asyncio.fixture(loop_scope="session")
async def page(findings_page: Page) -> AsyncIterator[Page]:
    await clear(findings_page)
    async with lent(findings_page) as page:
        yield page


NO_FINDINGS = [None, 5, "text", [], {}, {"type": {}}, {"subject": ["a"]}]
CENTURIES = [["1971-01-01T00:00:00Z", 1], [at(1), 5], ["2199-01-01T00:00:00Z", 2]]
HOSTILE = [
    {"subject": "<img src=x onerror=alert(1)>", "type": "__proto__", "summary": "\u202eevil", "confidence": 87},
    {"type": "constructor", "magnitude": "big", "unit": [], "start": "soon", "evidence": samples([1, 2])},
    finding("ends before it starts", 100, 50),
    finding("in no year", 100, 150) | {"start": "9999-99-99T99:99:99Z"},
    finding("huge", 100, 150, magnitude=1e300, evidence=samples([1e308, -1e308] * 20)),
    finding("large", 100, 150, evidence=samples([9e14, -9e14] * 20)),
    finding("tiny", 100, 150, evidence=samples([5e-324, 0] * 20)),
    finding("constant", 100, 150, evidence=samples([3] * 20)),
    finding("no numbers", 100, 150, evidence=samples(["3", True, {}] * 9)),
    finding("no pairs", 100, 150, evidence={"series": [1, None, [], ["x"], [None, None], {}]}),
    finding("no list", 100, 150, evidence={"series": "abc", "example": {}, "routes": [{"text": "a"}, {}]}),
    finding("centuries", 100, 150, evidence={"series": CENTURIES}),
    finding("long", 100, 150, evidence=samples([i % 97 for i in range(25_000)], step=0.5)),
]  # fmt: skip


async def test_wrong_and_hostile_findings_are_shown_as_far_as_they_can_be(page: Page) -> None:
    deep = json.dumps(finding("deep", 100, 150)).replace(
        '"evidence": {}', '"evidence": {"a": ' + "[" * 5000 + "]" * 5000 + "}"
    )
    await draw(page, json.dumps([*NO_FINDINGS, *HOSTILE])[:-1] + f", {deep}]", ALERT)
    view = page.get_by_test_id("findings")
    await expect(view).to_contain_text("14 findings in 2 groups by time")
    await expect(view).to_contain_text("7 entries are not findings")
    await page.get_by_role("button", name="Without a time").click()
    await expect(page.get_by_test_id("finding")).to_have_count(14)
    for button in await page.locator(".f-opener").all():
        await button.click()
    await expect(view).to_contain_text("nested too deep to be shown")
    await expect(view).to_contain_text("<img src=x onerror=alert(1)>")
    await expect(view.locator("img")).to_have_count(0)
    await expect(page.locator(".u-over")).to_have_count(6)
    assert await page.evaluate("typeof {}.subject") == "undefined"


async def test_thousands_of_findings_are_drawn_in_part_until_more_are_asked_for(page: Page) -> None:
    together = [finding(f"series {i}", i / 100, 200, evidence=samples([1, 2, 3])) for i in range(2000)]
    await draw(page, together, ALERT)
    rows = page.get_by_test_id("finding")
    await expect(rows).to_have_count(25)
    await expect(page.locator(".u-over")).to_have_count(12)
    await page.locator(".f-opener").first.click()
    await page.get_by_role("button", name="Show in the chart").click()
    await expect(page.get_by_role("slider")).to_be_focused()
    await page.get_by_role("button", name="Show 100 more of 2,000 findings").click()
    await expect(rows).to_have_count(125)
    await page.get_by_role("searchbox").press_sequentially("series 1999")
    await expect(rows).to_have_count(1)

    apart = [finding(f"series {i}", i * 5000, i * 5000) for i in range(3000)]
    await draw(page, apart, ALERT)
    await page.get_by_role("searchbox").press("ControlOrMeta+a")
    await page.get_by_role("searchbox").press("Delete")
    await expect(page.locator(".f-incident")).to_have_count(10)
    await page.get_by_role("button", name="Show 10 more groups of 3,000").click()
    await expect(page.locator(".f-incident")).to_have_count(20)


GROUPS = """async ([cases]) => {
    const { incidentsOf, readFindings } = await import("/findings/incidents.js");
    return JSON.parse(cases).map(([list, events]) => {
        const { incidents } = incidentsOf(readFindings(list).findings, null, events, list);
        const told = incidents.filter(({ isCause }) => isCause !== null);
        const at = (some) => some.map(({ raw }) => list.indexOf(raw));
        return told.map(({ first, faint, atEnd, state, isCause }) => [at(first), at(faint), at(atEnd), state, isCause]);
    });
}"""


def some_findings(rng: random.Random) -> list[dict[str, Any]]:
    scale = rng.choice([30, 300, 3000])
    types = ["level_shift", "gone", "flat_line", "rare"]

    def one(number: int) -> dict[str, Any]:
        start = rng.randrange(scale)
        confidence = rng.choice([0.2, 0.49, 0.5, 0.9])
        return finding(
            f"s{number} started", start, start + rng.choice([0, 10, 400]), type=rng.choice(types), confidence=confidence
        ) | {"state": rng.choice(["over", "ongoing", "unknown"])}

    return [one(number) for number in range(rng.randrange(2, 25))] + [finding("sure", scale, scale)]


async def test_the_page_tells_the_events_of_the_orchestrators_report(page: Page) -> None:
    rng = random.Random(12)
    cases: list[Any] = []
    expected: list[Any] = []
    for _ in range(100):
        found = in_order(map(finding_of, some_findings(rng)))
        events = events_of(found)
        alert = Alert(title="", start=rng.choice([None, BEGIN + rng.randrange(3000)]), end=None)
        given = told(events, main_event(events, alert), found)
        cases.append([msgspec.to_builtins(found), given])
        keys = ("first", "faint", "at_end", "state", "is_cause")
        expected.append([[event[key] for key in keys] for event in given])
    assert await page.evaluate(GROUPS, [json.dumps(cases)]) == expected
