"""The documentation names what exists: its links lead to files and headings, its log queries to what the code logs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/**/*.md")]
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_PAGE_IN_CODE = re.compile(r"\bdocs/\w+\.md\b")
_CODE = [
    path
    for folder in ("layers", "functions", "local", "deploy", "frontend", "tests", "examples")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".js", ".toml", ".md")
]


def links_of(page: Path) -> list[str]:
    """The targets of a page's links, without those to other sites."""
    links = _LINK.findall(_FENCED.sub("", page.read_text()))
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings: lower case, hyphens for spaces, no punctuation."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors_of(target), f"{link}: there is no such heading"


def test_the_code_names_no_page_that_is_gone() -> None:
    named = {page for path in _CODE for page in _PAGE_IN_CODE.findall(path.read_text())}
    assert {page for page in named if not (ROOT / page).exists()} == set()
    assert "docs/PROTOCOL.md" in named


def test_the_log_queries_of_the_operations_page_find_what_the_code_logs() -> None:
    queries = re.findall(r"filter @message like /([^/]+)/", (ROOT / "docs" / "OPERATIONS.md").read_text())
    words = [query for query in queries if query != "TASK-ID"]
    code = "".join(
        path.read_text() for path in _CODE if path.suffix == ".py" and "tests" not in path.relative_to(ROOT).parts
    )
    assert len(words) > 2
    assert [each for each in words if each not in code] == []


def test_links_and_headings_are_found() -> None:
    assert "docs/ARCHITECTURE.md" in links_of(ROOT / "README.md")
    assert "2-promises" in anchors_of(ROOT / "docs" / "ARCHITECTURE.md")
