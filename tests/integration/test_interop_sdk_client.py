"""The official SDK's client (a2a-sdk 1.3.0) drives our agent over 1.0 and, with its compat transport, over 0.3."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory, create_client
from a2a.helpers import get_artifact_text, get_data_parts, get_message_text, new_text_message
from a2a.types.a2a_pb2 import (
    AgentCard,
    AuthenticationInfo,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import (
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from google.protobuf.json_format import MessageToDict

from tests.sample_agents.hello_world import FINDINGS, TEXT, hello_world
from tests.support.events import EXTENSION
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent

pytestmark = pytest.mark.asyncio(loop_scope="module")
# The bindings and versions that the card declares.
INTERFACES = {"1.0": ("JSONRPC", "1.0"), "1.0 HTTP+JSON": ("HTTP+JSON", "1.0"), "0.3": ("JSONRPC", "0.3")}
VERSIONS = list(INTERFACES)
GATE = asyncio.Event()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Agent]:
    async with agent(hello_world(GATE), limit_s=None) as serving:
        yield serving


@pytest.fixture(autouse=True)
def _shut() -> None:
    GATE.clear()


@contextlib.asynccontextmanager
async def sdk_client(to: Agent, version: str = "1.0", **config: Any) -> AsyncIterator[Client]:
    """Yield the SDK's client for one interface of the card."""
    async with httpx.AsyncClient(timeout=60) as http:
        card = await A2ACardResolver(http, to.url).get_agent_card()
        binding, number = INTERFACES[version]
        chosen = [
            interface
            for interface in card.supported_interfaces
            if (interface.protocol_binding, interface.protocol_version) == (binding, number)
        ]
        assert len(chosen) == 1
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(chosen)
        yield ClientFactory(ClientConfig(httpx_client=http, supported_protocol_bindings=[binding], **config)).create(
            card
        )


def asking(text: str, **fields: Any) -> SendMessageRequest:
    return SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER, **fields))


async def only(events: AsyncIterator[StreamResponse]) -> Task:
    (event,) = [event async for event in events]
    assert event.HasField("task")
    return event.task


def state(event: StreamResponse) -> int:
    """Return the state in an event; 0 if it has none."""
    body = event.task if event.HasField("task") else event.status_update
    return int(body.status.state)


async def test_the_card_resolves_and_describes_the_agent(served: Agent) -> None:
    async with await create_client(served.url, ClientConfig()) as client:
        card = await client.get_extended_agent_card(GetExtendedAgentCardRequest())
    assert isinstance(card, AgentCard)
    assert (card.name, card.description, card.version) == ("hello_world", "Says hello, for tests.", "1.2.3")
    assert [(each.protocol_binding, each.protocol_version, each.url) for each in card.supported_interfaces] == [
        ("JSONRPC", "1.0", served.url + "/"),
        ("HTTP+JSON", "1.0", served.url),
        ("JSONRPC", "0.3", served.url + "/"),
    ]
    assert card.capabilities.streaming
    assert card.capabilities.push_notifications
    assert (EXTENSION, False) in [(each.uri, each.required) for each in card.capabilities.extensions]
    assert [skill.id for skill in card.skills] == ["talk"]


async def test_create_client_picks_protocol_1_0_from_the_card(served: Agent) -> None:
    async with await create_client(served.url, ClientConfig(streaming=False)) as client:
        task = await only(client.send_message(asking("hello")))
        listed = await client.list_tasks(ListTasksRequest())
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert task.id in [each.id for each in listed.tasks]  # 0.3 has no such method


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_blocking_send_returns_the_finished_task(served: Agent, version: str) -> None:
    async with sdk_client(served, version, streaming=False) as client:
        task = await only(client.send_message(asking("hello")))
        again = await client.get_task(GetTaskRequest(id=task.id))
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert {each.name: each for each in task.artifacts}.keys() == {"response", "findings"}
    texts, data = task.artifacts
    assert get_artifact_text(texts) == TEXT
    assert get_data_parts(data.parts) == [FINDINGS]
    assert [get_message_text(each) for each in task.history] == ["hello"]
    assert task.history[0].role == Role.ROLE_USER
    assert again == task


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_polling_send_returns_at_once_and_get_returns_the_result(served: Agent, version: str) -> None:
    async with sdk_client(served, version, streaming=False, polling=True) as client:
        task = await only(client.send_message(asking("slow")))
        assert task.status.state in (TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING)
        GATE.set()
        await served.finished(task.id)
        done = await client.get_task(GetTaskRequest(id=task.id))
    assert done.status.state == TaskState.TASK_STATE_COMPLETED


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_stream_yields_the_task_and_every_event(served: Agent, version: str) -> None:
    async with sdk_client(served, version) as client:
        events = [event async for event in client.send_message(asking("hello"))]
        logged = await served.events(events[0].task.id)
    assert events[0].HasField("task")
    assert state(events[0]) == TaskState.TASK_STATE_SUBMITTED
    assert state(events[-1]) == TaskState.TASK_STATE_COMPLETED
    assert len(events) == len(logged)
    bodies = [getattr(event, str(event.WhichOneof("payload"))) for event in events]
    seqs = [MessageToDict(body.metadata)[EXTENSION]["seq"] for body in bodies]
    assert seqs == list(range(1, len(events) + 1))
    updates = [event.artifact_update for event in events if event.HasField("artifact_update")]
    assert "".join(get_artifact_text(each.artifact) for each in updates if each.artifact.name == "response") == TEXT
    assert any(
        get_message_text(event.status_update.status.message) == "Half of it."
        for event in events
        if event.HasField("status_update")
    )


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_subscription_to_a_running_task_yields_its_state_and_then_the_rest(served: Agent, version: str) -> None:
    async with sdk_client(served, version) as client:
        task_id = (await served.begin("slow"))["id"]
        events = []
        async for event in client.subscribe(SubscribeToTaskRequest(id=task_id)):
            events.append(event)
            GATE.set()
    assert events[0].HasField("task")
    assert events[0].task.id == task_id
    assert state(events[0]) == TaskState.TASK_STATE_WORKING
    assert state(events[-1]) == TaskState.TASK_STATE_COMPLETED
    assert len(events) > 2


@pytest.mark.parametrize("version", VERSIONS)
async def test_cancel_ends_the_task_and_every_open_stream(served: Agent, version: str) -> None:
    async with sdk_client(served, version) as client:
        canceled: Task | None = None
        states = []
        async for event in client.send_message(asking("slow")):
            if state(event):
                states.append(state(event))
            if canceled is None and event.HasField("artifact_update"):
                task_id = event.artifact_update.task_id
                canceled = await client.cancel_task(CancelTaskRequest(id=task_id))
        with pytest.raises(TaskNotCancelableError):
            await client.cancel_task(CancelTaskRequest(id=task_id))
    assert canceled is not None
    assert canceled.status.state == TaskState.TASK_STATE_CANCELED
    assert states[-1] == TaskState.TASK_STATE_CANCELED
    assert states.count(TaskState.TASK_STATE_CANCELED) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_question_ends_the_stream_and_a_reply_resumes_the_task(served: Agent, version: str) -> None:
    async with sdk_client(served, version) as client:
        events = [event async for event in client.send_message(asking("ask"))]
        assert state(events[-1]) == TaskState.TASK_STATE_INPUT_REQUIRED
        assert get_message_text(events[-1].status_update.status.message) == "Which service?"
        first = events[0].task
        reply = asking("payments", task_id=first.id, context_id=first.context_id)
        events = [event async for event in client.send_message(reply)]
        task = await client.get_task(GetTaskRequest(id=first.id))
    assert events[0].task.id == first.id
    assert state(events[-1]) == TaskState.TASK_STATE_COMPLETED
    assert get_artifact_text(task.artifacts[0]) == TEXT + "\n\nIt is payments."
    assert [get_message_text(each) for each in task.history] == ["ask", "Which service?", "payments"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_reply_needs_no_context_id(served: Agent, version: str) -> None:
    async with sdk_client(served, version, streaming=False) as client:
        waiting = await only(client.send_message(asking("ask")))
        done = await only(client.send_message(asking("payments", task_id=waiting.id)))
    assert (done.id, done.context_id) == (waiting.id, waiting.context_id)
    assert done.status.state == TaskState.TASK_STATE_COMPLETED


@pytest.mark.parametrize("version", VERSIONS)
async def test_refusals_raise_the_errors_of_the_specification(served: Agent, version: str) -> None:
    async with sdk_client(served, version) as client:
        with pytest.raises(TaskNotFoundError, match="no-such-task"):
            await client.get_task(GetTaskRequest(id="no-such-task"))
        with pytest.raises(TaskNotFoundError):
            await anext(client.subscribe(SubscribeToTaskRequest(id="no-such-task")))
        events = [event async for event in client.send_message(asking("hello"))]
        task_id = events[0].task.id
        with pytest.raises(UnsupportedOperationError, match="finished"):
            await anext(client.subscribe(SubscribeToTaskRequest(id=task_id)))
        with pytest.raises(UnsupportedOperationError, match="takes no message"):
            await anext(client.send_message(asking("more", task_id=task_id)))
        with pytest.raises(TaskNotFoundError):
            await client.get_task_push_notification_config(
                GetTaskPushNotificationConfigRequest(task_id=task_id, id="none")
            )


@pytest.mark.parametrize("version", VERSIONS)
async def test_push_configs_can_be_created_read_listed_and_deleted(served: Agent, version: str) -> None:
    async with sdk_client(served, version, streaming=False) as client:
        task = await only(client.send_message(asking("ask")))
        config = TaskPushNotificationConfig(
            task_id=task.id,
            id="mine",
            url="https://example.com/",
            token="t",
            authentication=AuthenticationInfo(scheme="Bearer", credentials="c"),
        )
        assert await client.create_task_push_notification_config(config) == config
        request = GetTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
        assert await client.get_task_push_notification_config(request) == config
        listing = ListTaskPushNotificationConfigsRequest(task_id=task.id)
        assert list((await client.list_task_push_notification_configs(listing)).configs) == [config]
        deleting = DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
        await client.delete_task_push_notification_config(deleting)
        assert list((await client.list_task_push_notification_configs(listing)).configs) == []


async def test_lists_are_filtered_and_paged_over_http_json(served: Agent) -> None:
    async with sdk_client(served, "1.0 HTTP+JSON", streaming=False) as client:
        made = [await only(client.send_message(asking("hello", context_id="listed"))) for _ in range(3)]
        request = ListTasksRequest(context_id="listed", page_size=2, include_artifacts=True)
        first = await client.list_tasks(request)
        request.page_token = first.next_page_token
        second = await client.list_tasks(request)
    assert (first.total_size, len(first.tasks), len(second.tasks)) == (3, 2, 1)
    assert {each.id for each in [*first.tasks, *second.tasks]} == {each.id for each in made}
    assert get_artifact_text(first.tasks[0].artifacts[0]) == TEXT
