"""The SDK of OpenTelemetry is set up as the environment says, and nothing about it can stop or hold up an agent."""

from __future__ import annotations

import asyncio
import builtins
import logging
import threading
from typing import Any

import opentelemetry.metrics
import opentelemetry.trace
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util._once import Once

from tailrace.log import Head
from tailrace.tracing import setup
from tailrace.tracing.context import is_on
from tailrace.tracing.metrics import meters
from tailrace.tracing.setup import flush, set_up
from tailrace.tracing.spans import attempt


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "_tried", [])
    metrics_api = opentelemetry.metrics._internal  # noqa: SLF001
    for module, kind in ((opentelemetry.trace, "TRACER"), (metrics_api, "METER")):
        monkeypatch.setattr(module, f"_{kind}_PROVIDER", None)
        monkeypatch.setattr(module, f"_{kind}_PROVIDER_SET_ONCE", Once())
    for name in ("OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"):
        monkeypatch.setenv(name, "")  # so that what is set here is taken back


def test_without_anything_in_the_environment_there_is_no_sdk() -> None:
    set_up("greeter")
    assert not is_on()
    assert meters() is None


def test_the_sdk_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_SDK_DISABLED", " TRUE ")
    set_up("greeter")
    assert not is_on()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "typo"}, "OTEL_TRACES_EXPORTER is set, but nothing is sent: RuntimeError: "),
        ({"OTEL_PYTHON_CONFIGURATOR": "typo", "OTEL_TRACES_EXPORTER": "typo"}, "but nothing is sent"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"}, "smoke"),
    ],
)
def test_a_wrong_value_is_said_and_stops_nothing(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING):
        set_up("greeter")
        set_up("another")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "tailrace.tracing"]
    assert said in line
    assert not is_on()


def test_a_provider_that_there_is_not_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry raises whenever it is asked for a provider."""
    for kind in ("TRACER", "METER"):
        monkeypatch.setenv(f"OTEL_PYTHON_{kind}_PROVIDER", "typo")
    assert not is_on()
    assert meters() is None
    head = Head(task_id="t", owner="me", context_id="c", agent="a", trace=f"00-{'a' * 32}-{'b' * 16}-01")
    with attempt(head, None) as span:
        assert not span.is_recording


def test_who_has_no_sdk_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    really = builtins.__import__

    def without_sdk(name: str, *rest: Any, **others: Any) -> Any:
        if name.startswith("opentelemetry.sdk"):
            raise ModuleNotFoundError("No module named 'opentelemetry.sdk'")
        return really(name, *rest, **others)

    monkeypatch.setattr(builtins, "__import__", without_sdk)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING):
        set_up("greeter")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set" in caplog.text
    assert "Install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http." in caplog.text


async def test_a_collector_that_does_not_answer_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    released = threading.Event()

    class Stuck(TracerProvider):
        def force_flush(self, timeout_millis: int = 0) -> bool:
            return released.wait()

    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", Stuck(shutdown_on_exit=False))
    monkeypatch.setattr(setup, "_FLUSH_S", 0.001)
    try:
        async with asyncio.timeout(60):
            await flush()
    finally:
        released.set()
    assert "traces were not sent: TimeoutError" in caplog.text


async def test_what_fails_while_it_is_sent_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(TracerProvider):
        def force_flush(self, timeout_millis: int = 0) -> bool:
            raise OSError("no route")

    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", Failing(shutdown_on_exit=False))
    await flush()
    assert "traces were not sent: OSError: no route" in caplog.text
