"""Only our own agents are told for whom we ask, and a URL that merely looks like theirs is not theirs."""

from __future__ import annotations

import os
from unittest import mock

import httpx
import pytest

from local.functions import Function, environment, listen, specialists
from tailrace.a2a.client import AgentClient
from tailrace.a2a.trust import check_interface, is_own_agent
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.owner import OWNER_HEADER

SETTINGS = Settings(
    orchestrator_url="https://agents.example/orchestrator/",
    agent_urls="http://127.0.0.1:9001/, https://One.example",
    dispatch="sweeper=http://127.0.0.1:9003,log_analyst=log_analyst:live",
)


@pytest.mark.parametrize(
    "url",
    [
        "https://agents.example/orchestrator/",
        "https://agents.example/orchestrator",
        "https://agents.example:443/orchestrator/rpc",
        "http://127.0.0.1:9001",
        "http://127.0.0.1:9001/rpc/",
        "https://one.example:443/any?x=1",
        "http://127.0.0.1:9003/",
    ],
)
def test_what_is_at_or_below_one_of_our_agents_is_our_own(url: str) -> None:
    assert is_own_agent(url, SETTINGS)


@pytest.mark.parametrize(
    "url",
    [
        "https://agents.example/",
        "https://agents.example/orchestrator-2/",
        "https://agents.example/orchestrator/../other/",
        "https://agents.example/orchestrator/%2e%2e/other/",
        "https://agents.example/orchestrator/..%5Cother",
        "http://agents.example/orchestrator/",
        "https://agents.example:444/orchestrator/",
        "https://agents.example.evil.example/orchestrator/",
        "https://agents.example:443@evil.example/orchestrator/",
        "http://127.0.0.1:9002/",
        "http://localhost:9001/",
        "log_analyst:live",
        "/orchestrator/",
        "http://[::1",
        "",
    ],
)
async def test_what_only_looks_like_ours_is_foreign_and_is_not_told_the_owner(url: str) -> None:
    assert not is_own_agent(url, SETTINGS)
    told: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        told.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b'{"jsonrpc":"2.0","id":1,"result":{}}'))

    if url.startswith("http") and not {"[", "@"} & set(url):  # Those are never asked.
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            await AgentClient(http, url, owner="alice", settings=SETTINGS).call("GetTask", {"id": "t"})
            await AgentClient(http, "https://one.example/", owner="alice", settings=SETTINGS).call("GetTask", {})
        assert [request.headers.get(OWNER_HEADER) for request in told] == [None, "alice"]


def test_our_agents_stay_our_own_on_this_machine_when_the_user_names_other_specialists() -> None:
    functions = [Function(name, listen(0)) for name in (*specialists(), "orchestrator")]
    users = {"TAILRACE_SPECIALIST_URLS": "https://other.example", "TAILRACE_AGENT_URLS": "https://mine.example"}
    with mock.patch.dict(os.environ, users):
        settings = Settings.load(environment(functions, "0123456789abcdef"))
    assert settings.specialists == ["https://other.example"]
    assert not is_own_agent("https://other.example", settings)
    for url in ("https://mine.example", *(function.url for function in functions)):
        assert is_own_agent(url, settings)
    for function in functions:
        assert function.listener is not None
        function.listener.close()


def test_a_card_that_leads_to_no_url_is_said_to_do_so() -> None:
    with pytest.raises(AgentError, match="which is not a URL"):
        check_interface("http://one.example/" + "y" * 70_000, "http://one.example/", SETTINGS)


def test_a_host_that_cannot_be_decoded_is_refused_like_any_other() -> None:
    assert not is_own_agent("http://xn--/", SETTINGS)
    with pytest.raises(AgentError):
        check_interface("http://xn--/", "https://peer.example/", SETTINGS)
