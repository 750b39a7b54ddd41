"""A task is dispatched to its agent, even if only the addresses of the agents are known."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import msgspec
import pytest

from tailrace import events
from tailrace.a2a.client import new_http
from tailrace.a2a.identity import task_id_of
from tailrace.agent.dispatch import Dispatch
from tailrace.config import Settings
from tailrace.log import Head
from tailrace.log.memory import MemoryLog
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message_of
from tests.support.in_process import CARD, agent

SECRET = "correct-horse-battery-staple"


async def test_dispatch_finds_an_agent_whose_name_differs_from_its_folder(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryLog()
    task_id = task_id_of("alice", "My Talker", "m")
    head = Head(task_id=task_id, owner="alice", context_id="c", agent="My Talker", fingerprint="f")
    message = message_of({"text": "hello"})
    message.task_id, message.context_id = task_id, "c"
    head = await log.create(head, events.submitted(head.source, message))
    named = msgspec.structs.replace(CARD, name="My Talker")
    async with (
        agent(hello_world(), log=log, run_secret=SECRET) as other,
        agent(hello_world(), log=log, card=named, run_secret=SECRET) as its_own,
        new_http() as http,
        contextlib.AsyncExitStack() as stack,
    ):
        urls = f"{other.url}/,{its_own.url}/"
        known_by_folder = f"hello_world={other.url}/,my_talker={its_own.url}/"
        dispatch = Dispatch(Settings(agent_urls=urls, dispatch=known_by_folder, run_secret=SECRET), http)
        stack.push_async_callback(dispatch.close)
        with caplog.at_level(logging.WARNING, "tailrace.dispatch"):
            assert await dispatch(head)
            await dispatch.close()
        assert caplog.records == []
        async with asyncio.timeout(60):
            while (await log.head(task_id)).state != "TASK_STATE_COMPLETED":
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("function", ["gateway", "sweeper", "another agent"])
async def test_a_function_is_never_asked_to_run_the_task_of_an_agent_that_it_is_not(
    function: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", function)
    head = Head(task_id="t", owner="alice", context_id="c", agent="My Talker", fingerprint="f")
    async with new_http() as http:
        agent = function if "agent" in function else None
        assert not await Dispatch(Settings(agent_urls="https://other.example/"), http, agent)(head)
    assert "task t was not dispatched: no place for the agent My Talker in TAILRACE_DISPATCH" in caplog.text


async def test_dispatch_reports_an_agent_without_an_address(caplog: pytest.LogCaptureFixture) -> None:
    head = Head(task_id="t", owner="alice", context_id="c", agent="My Talker", fingerprint="f")
    async with new_http() as http:
        assert not await Dispatch(Settings(), http)(head)
    assert "no place for the agent My Talker in TAILRACE_DISPATCH" in caplog.text
