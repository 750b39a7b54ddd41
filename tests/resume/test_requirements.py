"""Every requirement of PROTOCOL.md has a scenario, or a reason why no black box can see it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tailrace.conformance import rules
from tailrace.conformance.scenarios import Scenario, scenarios

PROTOCOL = (Path(__file__).parents[2] / "docs" / "PROTOCOL.md").read_text()
NUMBER = re.compile(r"\((\d+(?:\.\d+)?[a-z])\)")
# Every paragraph or list item that says MUST, by its first number.
ITEMS = re.split(r"\n(?=- |\n|#|\|)", PROTOCOL.split("\n## 1. Words")[1])
MUSTS = {number[1]: item for item in ITEMS if "MUST" in item and (number := NUMBER.search(item))}
SEEN = {number for scenario in scenarios() for number in scenario.checks}
UNSEEN: dict[str, str] = tomllib.loads(Path(__file__).with_name("unseen.toml").read_text())["unseen"]


def test_every_must_has_a_number_of_its_own_section() -> None:
    section = ""
    for item in ITEMS:
        if heading := re.match(r"#+ (\d+(?:\.\d+)?)\.? ", item.lstrip("\n")):
            section = heading[1]
        if "MUST" in item:
            numbers = NUMBER.findall(item)
            assert numbers, f"no number: {item}"
            assert numbers[0][:-1] == section, f"({numbers[0]}) stands in section {section}"
    assert len(MUSTS) == sum("MUST" in item for item in ITEMS), "a number stands twice"


@pytest.mark.parametrize("scenario", list(scenarios()), ids=lambda each: each.name)
def test_a_scenario_names_requirements_that_exist(scenario: Scenario) -> None:
    named = {*scenario.checks, *(step["rule"] for step in scenario.steps if "rule" in step)}
    assert named <= MUSTS.keys()


def test_the_rules_of_every_frame_exist() -> None:
    source = "".join(Path(path).read_text() for path in (rules.__file__, Path(rules.__file__).with_name("driver.py")))
    named = set(re.findall(r'Broken\(\s*"(\d[^"]*)"', source))
    assert named
    assert named <= MUSTS.keys()


def test_what_has_no_scenario_has_a_reason() -> None:
    assert UNSEEN.keys() <= MUSTS.keys()
    assert MUSTS.keys() - SEEN - UNSEEN.keys() == set()
    assert UNSEEN.keys() & SEEN == set(), "a scenario sees it after all"
    assert all(len(reason) > 10 for reason in UNSEEN.values())
