"""Every setting in one table; a wrong one is refused by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.config import Settings, settings_table
from tailrace.errors import ConfigError
from tailrace.prices import Price

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
        ("TAILRACE_PAUSE_MAX_MS", "500"),
        ("TAILRACE_QUIET_S", "0.001"),
        ("TAILRACE_SLEEP_AFTER_S", "0.001"),
        ("TAILRACE_CORS_ORIGINS", "*"),
        ("TAILRACE_CORS_ORIGINS", "https://example.com:443"),
        ("TAILRACE_CORS_ORIGINS", "http://example.com:80"),
        ("TAILRACE_PORT", "65536"),
        ("TAILRACE_ORCHESTRATOR_URL", "agent.example"),
        ("TAILRACE_SPECIALIST_URLS", "https://"),
        ("TAILRACE_AGENT_URLS", "ftp://agent.example/"),
        ("TAILRACE_DISPATCH", "boss"),
        ("TAILRACE_DISPATCH", "boss="),
        ("TAILRACE_DISPATCH", "=boss"),
        ("TAILRACE_DISPATCH", "boss=http://"),
        ("TAILRACE_DISPATCH", "boss=https:///agents/boss"),
        ("TAILRACE_DISPATCH", "boss=a place"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_value(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable) as refused:
        Settings.load({variable: value})
    assert value in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TAILRACE_ORCHESTRATOR_URL", "https://me:hidden@agent.example"),
        ("TAILRACE_SPECIALIST_URLS", "https://one.example,https://hidden@agent.example/a2a?x=1"),
        ("TAILRACE_AGENT_URLS", "https://me:hid@hidden@agent.example/"),
        ("TAILRACE_AGENT_URLS", "https://me:hid/den@agent.example/"),
        ("TAILRACE_DISPATCH", "boss=http://me:hidden@agent.example/a2a"),
    ],
)
def test_a_password_in_an_agents_url_is_refused_and_not_shown(variable: str, value: str) -> None:
    """It would not be sent, and the URL is in events, which users see."""
    with pytest.raises(ConfigError, match=rf"{variable} has value '(boss=)?https?://…@agent\.example") as refused:
        Settings.load({variable: value})
    assert "hid" not in str(refused.value)


def test_an_at_sign_behind_the_host_is_no_user() -> None:
    assert Settings.load({"TAILRACE_AGENT_URLS": "https://agent.example/@me?at=a@b"}).agents


def test_places_are_urls_or_functions() -> None:
    function = "arn:aws:lambda:us-east-1:123456789012:function:tailrace_Boss:live"
    settings = Settings.load({"TAILRACE_DISPATCH": f"boss = {function}, My Agent=http://127.0.0.1:1/a/,c=c:$LATEST"})
    assert settings.dispatch_places == {"boss": function, "My Agent": "http://127.0.0.1:1/a/", "c": "c:$LATEST"}
    assert settings.dispatch_places is settings.dispatch_places


def test_prices_of_models_are_read() -> None:
    settings = Settings.load(
        {"TAILRACE_MODEL_PRICES": '{"a": {"input": 1.25, "output": 10}, "b": {"input": 0, "output": 0}}'}
    )
    assert settings.prices == {"a": Price(1.25, 10), "b": Price(0, 0)}
    assert Settings.load({}).prices == {}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("gpt", "malformed"),
        ("[]", "object"),
        ('{"a": 1}', "$[...]"),
        ('{"a": {"input": 1}}', "output"),
        ('{"a": {"input": 1, "output": "2"}}', "float"),
        ('{"a": {"input": 1, "output": 2, "cached": 3}}', "cached"),
        ('{"a": {"input": -1, "output": 2}}', "at least 0"),
        ('{"a": {"input": 1e999, "output": 2}}', "range"),
    ],
)
def test_prices_that_are_none_are_refused_with_key_value_and_remedy(value: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.load({"TAILRACE_MODEL_PRICES": value})
    words = str(refused.value)
    assert words.startswith(f'TAILRACE_MODEL_PRICES has value {value!r}, but must be {{"MODEL":')
    assert reason in words


def test_the_documentation_has_every_setting_as_it_is() -> None:
    text = PAGE.read_text()
    for variable, default, unit, meaning in settings_table():
        assert f"| `{variable}` | {default or '(none)'} | {unit} | {meaning} |" in text
