"""What docs/CONFORMANCE.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "CONFORMANCE.md").read_text()


def test_every_test_that_the_page_names_is_there() -> None:
    table = PAGE[PAGE.index("| section |") :]
    named = set(re.findall(r"`(test_\w+)`", table))
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"def (test_\w+)\(", sources))
    assert len(named) > 40
    assert named <= there, sorted(named - there)


def test_every_test_that_names_a_section_is_in_the_table_under_one() -> None:
    rows = [line.split("|") for line in PAGE[PAGE.index("| section |") :].splitlines() if line.startswith("| ")]
    for row in rows[1:]:
        assert re.fullmatch(r" [\d.–, ]+ ", row[1]), row
        assert "`test_" in row[3], row


def test_every_file_that_the_page_names_is_there() -> None:
    for name in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        assert (ROOT / name).exists(), name
