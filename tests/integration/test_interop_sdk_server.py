"""Our client drives an agent on the official SDK's server (a2a-sdk 1.3.0)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailrace.a2a import remote_task
from tailrace.a2a.client import AgentClient, new_http
from tailrace.a2a.discovery import discover, interface_of
from tailrace.a2a.remote_task import RemoteTask
from tailrace.a2a.types import to_json
from tailrace.config import Settings
from tailrace.errors import AgentError
from tests.sample_agents.sdk_hello_world import HelloWorldExecutor, sdk_hello_world
from tests.support.conditions import eventually
from tests.support.cutting_proxy import Proxy, cutting
from tests.support.events import message, state_of
from tests.support.http import serve


class Served:
    """The SDK's agent, our client for it, and the proxy between them."""

    def __init__(self, client: AgentClient, executor: HelloWorldExecutor, gate: asyncio.Event, proxy: Proxy) -> None:
        self.client = client
        self.executor = executor
        self.gate = gate
        self.proxy = proxy

    def remote_task(self, text: str, **fields: Any) -> RemoteTask:
        return RemoteTask(self.client, message(text, **fields))


@contextlib.asynccontextmanager
async def sdk_agent(wrap: Any = lambda app: app) -> AsyncIterator[Served]:
    gate = asyncio.Event()
    executor = HelloWorldExecutor(gate)
    app = wrap(sdk_hello_world(executor))
    async with asyncio.timeout(60), serve(app) as url, cutting(url) as proxy, new_http() as http:
        yield Served(
            AgentClient(http, proxy.url + "/", owner="me", settings=Settings(specialist_urls=proxy.url)),
            executor,
            gate,
            proxy,
        )


@pytest.fixture(autouse=True)
def _come_back_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_task, "PAUSE_S", 0.01)
    monkeypatch.setattr(remote_task, "LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr(remote_task, "POLL_S", 0.01)


def text_of(task: dict[str, Any], name: str) -> str:
    (artifact,) = [each for each in task["artifacts"] if each["name"] == name]
    return "".join(part["text"] for part in artifact["parts"])


async def test_the_card_is_discovered_and_names_its_interface() -> None:
    gate = asyncio.Event()
    async with serve(sdk_hello_world(HelloWorldExecutor(gate), "http://127.0.0.1:1/rpc")) as url, new_http() as http:
        settings = Settings(specialist_urls=url, peer_origins="http://127.0.0.1:1")
        agent = await discover(http, url, settings)
        assert (await discover(http, url + "/.well-known/agent-card.json", settings)).card == agent.card
    assert agent.card.name == "sdk-hello-world"
    assert [skill.id for skill in agent.card.skills] == ["talk"]
    assert interface_of(agent, settings) == "http://127.0.0.1:1/rpc"


async def test_a_stream_yields_every_event_and_the_complete_task() -> None:
    async with sdk_agent() as served:
        remote_task = served.remote_task("hello")
        events = [to_json(item.event) async for item in remote_task.events()]
    assert [next(iter(event)) for event in events] == [
        "task",
        "statusUpdate",
        "artifactUpdate",
        "artifactUpdate",
        "artifactUpdate",
        "statusUpdate",
    ]
    assert to_json(remote_task.task)["status"]["state"] == "TASK_STATE_COMPLETED"
    assert to_json(remote_task.task)["id"] == remote_task.task_id
    assert text_of(to_json(remote_task.task), "response") == "Hello, world."
    assert served.executor.executions == 1


async def test_calls_get_and_cancel_a_running_task() -> None:
    async with sdk_agent() as served:
        remote_task = served.remote_task("slow")
        states = []
        async for item in remote_task.events():
            event = to_json(item.event)
            states.append(state_of(event))
            if "artifactUpdate" in event:
                running = await served.client.call("GetTask", {"id": remote_task.task_id})
                assert running["status"]["state"] == "TASK_STATE_WORKING"
                await served.client.call("CancelTask", {"id": remote_task.task_id})
    assert states[-1] == "TASK_STATE_CANCELED"
    assert to_json(remote_task.task)["status"]["state"] == "TASK_STATE_CANCELED"


async def test_a_question_ends_the_events_and_a_reply_continues_the_task() -> None:
    async with sdk_agent() as served:
        question = served.remote_task("ask")
        assert [state_of(to_json(item.event)) async for item in question.events()][-1] == "TASK_STATE_INPUT_REQUIRED"
        assert to_json(question.task)["status"]["message"]["parts"][0] == {"text": "Which service?"}
        reply = served.remote_task("payments", taskId=question.task_id, contextId=to_json(question.task)["contextId"])
        async for _ in reply.events():
            pass
    assert reply.task_id == question.task_id
    assert to_json(reply.task)["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_failed_task_is_an_answer_not_an_error() -> None:
    async with sdk_agent() as served:
        remote_task = served.remote_task("fail")
        assert [state_of(to_json(item.event)) async for item in remote_task.events()][-1] == "TASK_STATE_FAILED"
    assert to_json(remote_task.task)["status"]["message"]["parts"] == [{"text": "It broke."}]


async def test_an_agent_may_answer_with_only_a_message() -> None:
    async with sdk_agent() as served:
        remote_task = served.remote_task("message")
        events = [to_json(item.event) async for item in remote_task.events()]
    assert [list(event) for event in events] == [["message"]]
    assert remote_task.task_id is None
    assert to_json(remote_task.task)["status"]["state"] == "TASK_STATE_COMPLETED"
    assert to_json(remote_task.task)["status"]["message"]["parts"] == [{"text": "Just this."}]


async def test_a_refusal_is_raised_at_once_with_its_code_and_message() -> None:
    async with sdk_agent() as served:
        remote_task = served.remote_task("refuse")
        with pytest.raises(AgentError, match="This agent does not do that") as refused:
            await anext(remote_task.events())
        assert refused.value.code == -32004
        with pytest.raises(AgentError) as unknown:
            await served.client.call("GetTask", {"id": "no-such-task"})
        assert unknown.value.code == -32001
        with pytest.raises(AgentError) as finished:
            await anext(served.client.stream("SubscribeToTask", {"id": "no-such-task"}))
        assert finished.value.code == -32001
    assert served.executor.executions == 1


async def test_after_a_cut_the_client_resumes_the_running_task() -> None:
    async with sdk_agent() as served:
        remote_task = served.remote_task("slow")
        events = []
        async for item in remote_task.events():
            event = to_json(item.event)
            events.append(event)
            if "artifactUpdate" in event and served.proxy.connections == 1:
                served.proxy.cut()
            if served.proxy.connections == 2:
                served.gate.set()
    kinds = [next(iter(event)) for event in events]
    assert kinds.count("task") == 2  # SubscribeToTask begins with the second one
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED"
    assert text_of(to_json(remote_task.task), "response") == "Hello, world."
    assert served.executor.executions == 1


async def test_a_task_that_finishes_during_a_cut_is_returned_complete() -> None:
    async with sdk_agent() as served:
        remote_task = served.remote_task("slow")
        events = remote_task.events()
        async for item in events:
            if item.event.artifact_update is not None:
                break
        served.proxy.cut()
        served.gate.set()

        async def is_over() -> bool:
            task = await served.client.call("GetTask", {"id": remote_task.task_id})
            return bool(task["status"]["state"] != "TASK_STATE_WORKING")

        await eventually(is_over)
        assert [item async for item in events] == []  # the SDK has no cursor: the missed events are in the task
    assert to_json(remote_task.task)["status"]["state"] == "TASK_STATE_COMPLETED"
    assert text_of(to_json(remote_task.task), "response") == "Hello, world."
    assert served.executor.executions == 1


def counting(app: ASGIApp) -> ASGIApp:
    """Number the frames of every stream from 1, as some agents do."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        number = 0

        async def sending(event: Message) -> None:
            nonlocal number
            body = event.get("body", b"")
            if body.startswith(b"data: "):
                number += 1
                event = {**event, "body": b"id: %d\r\n" % number + body}
            await send(event)

        await app(scope, receive, sending)

    return counted


async def test_event_ids_that_are_not_seqs_hide_nothing_after_a_cut() -> None:
    async with sdk_agent(counting) as served:
        remote_task = served.remote_task("slow")
        events = []
        async for item in remote_task.events():
            event = to_json(item.event)
            events.append(event)
            if "artifactUpdate" in event and served.proxy.connections == 1:
                served.proxy.cut()
            if served.proxy.connections == 2:
                served.gate.set()
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED"
    after = json.dumps(events[4:])
    assert "world." in after
    assert "findings" in after
