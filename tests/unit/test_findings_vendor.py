"""What the findings bring along: a chart library as it was published, with its licence, and nothing from elsewhere."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from deploy.publish import content_type

FINDINGS = Path(__file__).parents[2] / "frontend" / "findings"
UPLOT = FINDINGS / "vendor" / "uplot-1.6.32"
OWN = [path for path in FINDINGS.iterdir() if path.is_file()]
# The first characters of the SHA-256 of the files in npm's package uplot 1.6.32.
PUBLISHED = {
    "LICENSE.txt": "8f989229699b4fe2f1a0432d0e9edc33",
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f71615",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b1",
}


@pytest.mark.parametrize(("name", "digest"), PUBLISHED.items())
def test_the_library_is_the_published_one(name: str, digest: str) -> None:
    assert hashlib.sha256((UPLOT / name).read_bytes()).hexdigest().startswith(digest)


def test_the_library_has_its_licence_and_types_that_browsers_accept() -> None:
    assert {path.name for path in UPLOT.iterdir()} == set(PUBLISHED)
    assert "The MIT License" in (UPLOT / "LICENSE.txt").read_text()
    types = {path.suffix: content_type(path) for path in UPLOT.iterdir()}
    assert types == {
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".txt": "text/plain; charset=utf-8",
    }


def test_our_own_files_ask_nobody_else_and_make_no_markup_from_text() -> None:
    for path in OWN:
        text = path.read_text()
        assert not re.search(r"https?://", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path.name
        assert len(text.splitlines()) <= 400, path.name
