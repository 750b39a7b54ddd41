"""ARCHITECTURE.md tells of files and names that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
_PATH = r"(?:tailrace|functions|layers|local|frontend|tests|docs)/[\w./]*"
# A file, and the name in it that is told of behind it.
NAMED = re.findall(rf"`({_PATH}\.py)`\s+`(\w+)`", PAGE)
PATHS = sorted(set(re.findall(rf"`({_PATH})`", PAGE)))


def there(path: str) -> Path:
    return ROOT / (f"layers/tailrace/{path}" if path.startswith("tailrace/") else path)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_on_the_page_is_there(path: str) -> None:
    assert there(path).exists()


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_name_on_the_page_is_defined_in_its_file(path: str, name: str) -> None:
    assert re.search(rf"^\s*(?:async )?(?:def|class) {name}\b", there(path).read_text(), re.MULTILINE)


def test_the_page_tells_of_every_package_of_the_library() -> None:
    packages = {path.parent.name for path in (ROOT / "layers" / "tailrace" / "tailrace").glob("*/__init__.py")}
    assert packages == {path.removeprefix("tailrace/") for path in PATHS if re.fullmatch(r"tailrace/\w+", path)}


def test_the_page_names_every_module_of_an_agent() -> None:
    modules = {path.name for path in (ROOT / "layers" / "tailrace" / "tailrace" / "agent").glob("*.py")}
    section = PAGE.partition("### The modules of an agent")[2].partition("\n## ")[0]
    assert modules - {"__init__.py"} == set(re.findall(r"`(\w+\.py)`", section))


def test_the_journeys_are_read_as_such() -> None:
    assert len(NAMED) > 20
    assert len(PATHS) > 40
