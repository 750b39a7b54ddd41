"""A run waits for one of our own agents that Lambda has no execution for, as in a new account with ten of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tailrace.a2a.client import AgentClient
from tailrace.a2a.directory import Directory
from tailrace.a2a.remote_task import RemoteTask
from tailrace.a2a.room import ROOM_S
from tailrace.config import Settings
from tailrace.errors import AgentError
from tests.support.events import message
from tests.support.virtual_time import run_in_virtual_time

URL = "http://analyst.example/"
OURS, THEIRS = Settings(agent_urls=URL), Settings(specialist_urls=URL, peer_origins="http://analyst.example")
CARD = {
    "name": "analyst",
    "supportedInterfaces": [{"url": URL, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
}
DONE = {"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}}


class Full:
    """Lambda in the place of an agent: it refuses requests for the first seconds. `refused` counts them."""

    def __init__(self, seconds: float, answer: Any) -> None:
        self.refused = 0
        self._seconds = seconds
        self._answer = answer

    def __call__(self, _: httpx.Request) -> httpx.Response:
        if asyncio.get_running_loop().time() < self._seconds:
            self.refused += 1
            return httpx.Response(429, stream=httpx.ByteStream(b'{"Reason":"ConcurrentInvocationLimitExceeded"}'))
        content = json.dumps(self._answer).encode()
        return httpx.Response(200, headers={"content-type": "application/json"}, stream=httpx.ByteStream(content))


def over(full: Full, ask: Callable[[httpx.AsyncClient], Awaitable[None]]) -> float:
    """How long it takes to ask, in virtual seconds."""

    async def asked() -> float:
        async with httpx.AsyncClient(transport=httpx.MockTransport(full)) as http:
            await ask(http)
        return asyncio.get_running_loop().time()

    return run_in_virtual_time(asked())


def test_a_patient_directory_gets_the_card_when_there_is_room() -> None:
    async def ask(http: httpx.AsyncClient) -> None:
        assert (await Directory(http, OURS, patient=True).at(URL)).card.name == "analyst"

    full = Full(42, CARD)
    assert 42 <= over(full, ask) < ROOM_S
    assert full.refused == 9  # every five seconds, as Lambda does not say when


@pytest.mark.parametrize(("settings", "patient"), [(OURS, False), (THEIRS, True)], ids=["the gateway", "another make"])
def test_nobody_else_waits_for_a_card(settings: Settings, patient: bool) -> None:
    async def ask(http: httpx.AsyncClient) -> None:
        with pytest.raises(AgentError, match="takes no requests now"):
            await Directory(http, settings, patient=patient).at(URL)

    full = Full(42, CARD)
    assert over(full, ask) == 0
    assert full.refused == 1


def test_a_message_arrives_when_there_is_room() -> None:
    async def ask(http: httpx.AsyncClient) -> None:
        client = AgentClient(http, URL, owner="me", settings=OURS)
        task = RemoteTask(client, message("hello"), streaming=False)
        assert [event async for event in task.events()]
        assert task.task is not None

    full = Full(42, {"jsonrpc": "2.0", "id": 1, "result": DONE})
    assert 42 <= over(full, ask) < ROOM_S


def test_an_agent_without_room_is_given_up_after_a_minute() -> None:
    async def ask(http: httpx.AsyncClient) -> None:
        with pytest.raises(AgentError, match="takes no requests now"):
            await Directory(http, OURS, patient=True).at(URL)

    assert over(Full(3600, CARD), ask) <= ROOM_S
