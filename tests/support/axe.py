"""axe-core, the accessibility checker, on a page of the browser.

It comes from npm, as tests/e2e/axe pins it. The page's security policy does not hold for scripts of the test's.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from playwright.async_api import Page

from tests.interop.cached import node_with
from tests.support.processes import ROOT

_RUN = """async ([rules, part]) => {
  const options = rules.length ? { runOnly: rules } : {};
  return (await axe.run(part, { resultTypes: ["violations"], ...options })).violations;
}"""


async def violations(page: Page, *rules: str, part: str = "html") -> list[str]:
    """What axe finds wrong with the page as it is now: one line for each rule, with the elements that break it.

    All of axe's rules count unless some are named. `part` is a selector: only what it selects is looked at.
    """
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(await asyncio.to_thread(_axe))
    return [_line(each) for each in await page.evaluate(_RUN, [list(rules), part])]


async def check(page: Page, view: str, part: str = "html") -> None:
    """Check a view, or the `part` of it that is new, as it is now. Light and dark differ in their colours only."""
    found = await violations(page, part=part)
    await page.emulate_media(color_scheme="dark")
    found += [f"dark: {line}" for line in await violations(page, "color-contrast", part=part)]
    await page.emulate_media(color_scheme="light")
    assert not found, "\n".join([f"{view}:", *found])


@cache
def _axe() -> str:
    _, folder = node_with(ROOT / "tests" / "e2e" / "axe")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def _line(violation: dict[str, Any]) -> str:
    nodes = "; ".join(f"{' '.join(node['target'])}: {node['failureSummary']}" for node in violation["nodes"][:5])
    return f"{violation['id']} ({violation['impact']}), {len(violation['nodes'])} elements: {nodes}"
