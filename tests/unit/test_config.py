"""Every setting in one table; a wrong one is refused by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.config import Settings, settings_table
from tailrace.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs" / "SETTINGS.md"


def test_defaults_are_within_their_own_bounds() -> None:
    assert Settings.load({}) == Settings()


def test_a_setting_is_read_from_its_variable() -> None:
    assert Settings.load({"TAILRACE_EMIT_INTERVAL_MS": "40"}).emit_interval_ms == 40


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TAILRACE_EMIT_INTERVAL_MS", "soon"),
        ("TAILRACE_EMIT_INTERVAL_MS", "9"),
        ("TAILRACE_EMIT_INTERVAL_MS", "101"),
        ("TAILRACE_LOG", "paper"),
        ("TAILRACE_TTL_DAYS", "-1"),
        ("TAILRACE_TTL_DAYS", "nan"),
        ("TAILRACE_RENEW_S", "9"),
        ("TAILRACE_PORT", "65536"),
        ("TAILRACE_ORCHESTRATOR_URL", "agent.example"),
        ("TAILRACE_SPECIALIST_URLS", "https://"),
        ("TAILRACE_AGENT_URLS", "ftp://agent.example/"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_value(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable) as refused:
        Settings.load({variable: value})
    assert value in str(refused.value)


def test_the_documentation_has_every_setting_as_it_is() -> None:
    text = PAGE.read_text()
    for variable, default, unit, meaning in settings_table():
        assert f"| `{variable}` | {default or '(none)'} | {unit} | {meaning} |" in text
