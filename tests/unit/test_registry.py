"""Our own agents on AWS are found by the SSM parameters that they have, also while these cannot be read."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest
from moto import mock_aws

from tailrace import registry
from tailrace.a2a.bundle import Agents
from tailrace.a2a.trust import is_own_agent
from tailrace.agent.dispatch import Dispatch
from tailrace.config import Settings
from tailrace.errors import AgentError, ConfigError, RequestError
from tailrace.registry import Registry, all_agent_urls, default_agent_url, dispatch_place, specialist_urls

PATH = "/tailrace/stack/agents"


def register(ssm: Any, name: str, value: str = "") -> None:
    value = value or f'{{"url": "https://{name.lower()}.example/", "function": "arn:{name}:live"}}'
    ssm.put_parameter(Name=f"{PATH}/{name}", Value=value, Type="String")


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An emulated SSM, which has the sample's agents."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("ssm")
        monkeypatch.setattr(registry, "ssm", lambda: client)
        for name in ("Orchestrator", "LogAnalyst", "MetricAnalyst"):
            register(client, name)
        register(client, "../elsewhere/Other")
        registry.registry_at.cache_clear()
        yield client
        registry.registry_at.cache_clear()


def test_agents_are_found_by_their_names_whatever_their_case_and_their_underscores(ssm: Any) -> None:
    settings = Settings(registry=PATH)
    assert default_agent_url(settings) == "https://orchestrator.example/"
    assert dispatch_place("log_analyst", settings) == "arn:LogAnalyst:live"
    assert dispatch_place("greeter", settings) == ""
    # The default agent does not consult itself.
    assert specialist_urls(settings) == ["https://loganalyst.example/", "https://metricanalyst.example/"]
    assert {*all_agent_urls(settings)} == {*specialist_urls(settings), default_agent_url(settings)}
    assert is_own_agent("https://loganalyst.example/", settings)
    assert not is_own_agent("https://other.example/", settings)


def test_more_agents_than_a_page_of_the_registry_are_all_found(ssm: Any) -> None:
    for number in range(25):
        register(ssm, f"Agent{number}")
    assert len(Registry(PATH).agents()) == 28


def test_what_the_settings_name_comes_first_and_agents_of_others_are_added(ssm: Any) -> None:
    settings = Settings(
        registry=PATH,
        orchestrator_url="https://front.example/",
        specialist_urls="https://foreign.example/",
        dispatch="log_analyst=mine:live",
    )
    assert default_agent_url(settings) == "https://front.example/"
    assert dispatch_place("log_analyst", settings) == "mine:live"
    assert dispatch_place("metric_analyst", settings) == "arn:MetricAnalyst:live"
    assert specialist_urls(settings)[0] == "https://foreign.example/"
    assert not is_own_agent("https://foreign.example/", settings)


def test_a_failure_keeps_what_is_known_and_later_agents_are_found(
    ssm: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known, asked = Registry(PATH), threading.Event()
    first = known.agents()
    with monkeypatch.context() as patch:
        patch.setattr(registry, "ssm", lambda: asked.wait() and 1 / 0)
        expire(known)
        assert known.agents() == first, "nobody waits"
        asked.set()
        until(lambda: "the registry /tailrace/stack/agents could not be read: division by zero" in caplog.text)
        assert known.agents() == first
    register(ssm, "Greeter")
    expire(known)
    until(lambda: "greeter" in known.agents())


def expire(known: Registry) -> None:
    """Make what was read too old, as soon as it is not being read."""
    vars(known)["_due"] = 0.0


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


async def test_a_tasks_agent_is_found_without_asking_any_for_its_card(ssm: Any) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was asked")

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        client = await Agents(http, Settings(registry=PATH)).client("log_analyst", "alice")
    assert client.url == "https://loganalyst.example/"


def test_a_parameter_that_is_no_agent_is_skipped(ssm: Any, caplog: pytest.LogCaptureFixture) -> None:
    register(ssm, "Broken", '{"url": "http://insecure.example/", "function": "f"}')
    register(ssm, "Text", "hello")
    with caplog.at_level(logging.WARNING, "tailrace.registry"):
        assert Registry(PATH).agents().keys() == {"orchestrator", "loganalyst", "metricanalyst"}
    assert "agents/Broken is no agent: Expected `url` with https" in caplog.text


def test_an_agent_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ssm", lambda: 1 / 0)
    with pytest.raises(AgentError, match=r"'orchestrator' is not in the registry /tailrace/none/agents"):
        default_agent_url(Settings(registry="/tailrace/none/agents"))
    with pytest.raises(ConfigError, match="TAILRACE_REGISTRY"):
        Settings(registry="agents")


def test_without_a_registry_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ssm", lambda: 1 / 0)
    settings = Settings(orchestrator_url="http://127.0.0.1:1/", agent_urls="http://127.0.0.1:2/")
    assert (default_agent_url(settings), all_agent_urls(settings)) == ("http://127.0.0.1:1/", ["http://127.0.0.1:2/"])


async def test_a_registry_that_does_not_answer_stops_no_event_loop(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow() -> Any:
        asked.set()
        assert answer.wait(60)
        return ssm

    monkeypatch.setattr(registry, "ssm", slow)
    settings = Settings(registry=PATH)
    assert registry.registered(settings) == {}, "the loop goes on"
    waiting = [asyncio.create_task(registry.read_registry(settings)) for _ in range(3)]
    await asyncio.to_thread(asked.wait)
    assert registry.registered(settings) == {}
    assert not any(task.done() for task in waiting)
    answer.set()
    await asyncio.gather(*waiting)
    assert default_agent_url(settings) == "https://orchestrator.example/"


async def test_the_first_request_of_a_process_waits_for_the_registry(ssm: Any) -> None:
    async with httpx.AsyncClient() as http:
        settings = Settings(registry=PATH)
        assert (await Agents(http, settings).client("orchestrator", "alice")).url == "https://orchestrator.example/"
        assert await Dispatch(settings, http).invokes("metric_analyst")


def test_a_dead_registry_is_given_up_before_a_lease_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = registry.ssm.__wrapped__().meta.config
    attempt_s = config.connect_timeout + config.read_timeout
    assert attempt_s * config.retries["total_max_attempts"] < Settings().lease_s


async def test_an_agent_that_lambda_has_no_execution_for_is_not_called_unknown(ssm: Any) -> None:
    full = httpx.MockTransport(lambda _: httpx.Response(429, stream=httpx.ByteStream(b'{"Message": ""}')))
    async with httpx.AsyncClient(transport=full) as http:
        agents = Agents(http, Settings(registry=PATH))
        with pytest.raises(RequestError, match="'nobody', but must be one of"):
            await agents.check("nobody")
        with pytest.raises(AgentError, match=r"takes no requests now \(HTTP 429\). Try again in 5 s.") as told:
            await agents.check("log_analyst")
        assert told.value.retry_after_s == 5
