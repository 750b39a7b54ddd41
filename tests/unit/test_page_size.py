"""The page stays small, loads at once, and needs nothing that is not in its folder."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from pathlib import Path

FRONTEND = Path(__file__).parents[2] / "frontend"
INDEX = (FRONTEND / "index.html").read_text()
VENDORED = FRONTEND / "findings" / "vendor"
FILES = [path for path in FRONTEND.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg")]
OWN = [path for path in FILES if VENDORED not in path.parents]
_IMPORT = re.compile(r"""^(?:import|export)\b[^;]*?["'](\.[^"']+)["'];""", re.MULTILINE)


def imported(path: Path, known: set[Path]) -> set[Path]:
    """The modules that a module imports, directly or not, without those that it loads later."""
    for name in _IMPORT.findall(path.read_text()):
        other = (path.parent / name).resolve()
        if other not in known:
            known.add(other)
            imported(other, known)
    return known


def loaded_at_first() -> set[Path]:
    """The files that the first view and a conversation need."""
    lines = "".join(line for line in INDEX.splitlines() if "modulepreload" not in line)
    named = {FRONTEND / name for name in re.findall(r'(?:href|src)="([^"#/]+\.(?:js|css|svg))"', lines)}
    return imported(FRONTEND / "app.js", named) | {FRONTEND / "index.html"}


def gzipped(paths: Iterable[Path]) -> int:
    return sum(len(gzip.compress(path.read_bytes(), mtime=0)) for path in paths)


def test_what_is_loaded_at_first_is_under_60_kb_gzipped() -> None:
    assert gzipped(loaded_at_first()) < 60 * 1024


def test_all_modules_that_are_loaded_at_first_are_asked_for_at_once() -> None:
    preloaded = set(re.findall(r'<link rel="modulepreload" href="([^"]+)">', INDEX))
    modules = {path.name for path in loaded_at_first() if path.suffix == ".js"} - {"theme.js", "app.js"}
    assert preloaded == modules


def test_the_page_asks_nobody_else_for_anything() -> None:
    for path in OWN:
        addresses = re.findall(r"https?://[^\s\"'`<>)]+", path.read_text())
        assert [address for address in addresses if not address.startswith("http://www.w3.org/")] == [], path.name


def test_the_page_never_makes_markup_from_text() -> None:
    for path in OWN:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text())
