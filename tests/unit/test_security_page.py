"""Each defence on SECURITY.md has a test, and each of these tests exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "SECURITY.md").read_text()
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_each_attack_has_a_test() -> None:
    attacks = PAGE.partition("## Attacks and defences")[2]
    rows = [row for row in attacks.splitlines() if row.startswith("| ") and not row.startswith("| attack |")]
    assert len(rows) > 30
    assert [row for row in rows if not _TEST.search(row.rpartition(" | ")[2])] == []


def test_each_test_that_is_named_exists() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in _TEST.findall(PAGE)
        if not re.search(rf"^\s*(?:async )?def {name}\b", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert missing == []
