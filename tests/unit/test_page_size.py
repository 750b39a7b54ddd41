"""The page stays small, and needs nothing that is not in its folder."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

FRONTEND = Path(__file__).parents[2] / "frontend"
FILES = [path for path in FRONTEND.iterdir() if path.is_file()]


def test_the_page_is_under_60_kb_gzipped() -> None:
    assert sum(len(gzip.compress(path.read_bytes(), mtime=0)) for path in FILES) < 60 * 1024


def test_the_page_asks_nobody_else_for_anything() -> None:
    for path in FILES:
        addresses = re.findall(r"https?://[^\s\"'`<>)]+", path.read_text())
        assert [address for address in addresses if not address.startswith("http://www.w3.org/")] == [], path.name


def test_the_page_never_makes_markup_from_text() -> None:
    for path in FILES:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text())
