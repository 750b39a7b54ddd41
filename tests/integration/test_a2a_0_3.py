"""A2A 0.3 on the wire: requests as in section 9 of the 0.3.0 specification, responses validated by its JSON schema."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from a2a.compat.v0_3 import types as v0_3
from langgraph.graph import START, StateGraph
from pydantic import BaseModel

from tailrace import request, result
from tests.sample_agents.hello_world import FINDINGS, TEXT, hello_world
from tests.support.events import EXTENSION
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent, rpc

pytestmark = pytest.mark.asyncio(loop_scope="module")
GATE = asyncio.Event()
KINDS: dict[str, type[BaseModel]] = {
    "task": v0_3.Task,
    "status-update": v0_3.TaskStatusUpdateEvent,
    "artifact-update": v0_3.TaskArtifactUpdateEvent,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Agent]:
    async with agent(hello_world(GATE), limit_s=None) as serving:
        yield serving


def params_of(text: str, message_id: str, **fields: Any) -> dict[str, Any]:
    parts = [{"kind": "text", "text": text}]
    return {"message": {"role": "user", "parts": parts, "messageId": message_id, **fields}, "metadata": {}}


def valid(kind: type[BaseModel], value: Any) -> Any:
    """Check that `value` has all that the 0.3 schema requires and nothing that it does not know; return it."""
    parsed = kind.model_validate(value)
    kept = parsed.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert kept == value
    return value


async def refusal(served: Agent, method: str, params: Any) -> dict[str, Any]:
    """Return the error of a method. Methods that stream also report their errors in a stream."""
    if method not in ("message/stream", "tasks/resubscribe"):
        return await served.error(method, params, version="0.3")
    response = await served.post(json.dumps(rpc(method, params)).encode(), version="0.3")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.startswith("data: ")
    assert response.text.endswith("}\n\n")
    answer = json.loads(response.text[6:])
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", "q")
    return dict(answer["error"])


async def test_message_send_without_a_version_header_is_0_3(served: Agent) -> None:
    answer = await served.call("message/send", params_of("tell me", "send-1"), version=None)
    task = valid(v0_3.Task, answer["result"])
    assert task["kind"] == "task"
    assert task["status"]["state"] == "completed"
    assert [each["kind"] for each in task["history"]] == ["message"]
    assert task["history"][0]["role"] == "user"
    assert task["history"][0]["parts"] == [{"kind": "text", "text": "tell me"}]
    texts, data = task["artifacts"]
    assert texts["parts"] == [{"kind": "text", "text": TEXT}]
    assert data["parts"] == [{"kind": "data", "data": FINDINGS}]
    assert "TASK_STATE" not in json.dumps(answer)
    assert "ROLE_" not in json.dumps(answer)


async def test_message_stream_begins_with_the_task_and_ends_with_final(served: Agent) -> None:
    frames = await served.frames("message/stream", params_of("tell me", "stream-1"), version=None)
    events = [valid(KINDS[frame.result["kind"]], frame.result) for frame in frames]
    assert events[0]["kind"] == "task"
    assert events[0]["status"]["state"] == "submitted"
    assert {event["kind"] for event in events} == set(KINDS)
    finals = [event["final"] for event in events if event["kind"] == "status-update"]
    assert finals == [False] * (len(finals) - 1) + [True]
    assert events[-1]["status"]["state"] == "completed"
    assert [frame.id for frame in frames] == list(range(1, len(frames) + 1))
    assert [event["metadata"][EXTENSION]["seq"] for event in events] == [frame.id for frame in frames]


async def test_the_path_message_stream_also_streams(served: Agent) -> None:
    call = rpc("message/stream", params_of("tell me", "path-1"))
    response = await served.http.post(served.url + "/message/stream", json=call)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert '"final":true' in response.text


async def test_input_required_is_final_and_the_reply_resumes_the_task(served: Agent) -> None:
    frames = await served.frames("message/stream", params_of("ask", "ask-1"), version="0.3")
    last = valid(v0_3.TaskStatusUpdateEvent, frames[-1].result)
    assert (last["status"]["state"], last["final"]) == ("input-required", True)
    assert last["status"]["message"]["role"] == "agent"
    text, data = last["status"]["message"]["parts"]
    assert text == {"kind": "text", "text": "Which service?"}
    assert [each["value"] for each in data["data"]["interrupts"]] == ["Which service?"]
    where = {"taskId": last["taskId"], "contextId": last["contextId"]}
    reply = {**params_of("payments", "ask-2", **where), "configuration": {"blocking": True}}
    task = valid(v0_3.Task, await served.result("message/send", reply, version="0.3"))
    assert task["id"] == last["taskId"]
    assert task["status"]["state"] == "completed"
    assert [each["role"] for each in task["history"]] == ["user", "agent", "user"]


@pytest.mark.parametrize("blocking", [False, True, None])
async def test_blocking_works_as_0_3_clients_expect(served: Agent, blocking: bool | None) -> None:
    GATE.clear()
    params = params_of("slow", f"blocking-{blocking}")
    params["configuration"] = {"blocking": blocking}
    sending = asyncio.create_task(served.result("message/send", params, version="0.3"))
    if blocking is False:
        task = await sending
        assert task["status"]["state"] in ("submitted", "working")
        GATE.set()
        await served.finished(task["id"])
    else:  # An absent `blocking` is true, as in the 0.3 SDKs.
        heads = await served.log.list("local", limit=1)
        while heads.heads[0].state != "TASK_STATE_WORKING":
            heads = await served.log.list("local", limit=1)
            await asyncio.sleep(0.001)
        assert not sending.done()
        GATE.set()
        assert (await sending)["status"]["state"] == "completed"


async def test_get_cancel_and_resubscribe_a_running_task(served: Agent) -> None:
    GATE.clear()
    params = {**params_of("slow", "running-1"), "configuration": {"blocking": False}}
    task_id = (await served.result("message/send", params, version="0.3"))["id"]
    task = valid(v0_3.Task, await served.result("tasks/get", {"id": task_id, "historyLength": 1}, version="0.3"))
    assert task["id"] == task_id
    async with served.stream("tasks/resubscribe", {"id": task_id}, version="0.3") as frames:
        first = await anext(frames)
        assert valid(v0_3.Task, first.result)["status"]["state"] == "working"
        canceled = valid(v0_3.Task, await served.result("tasks/cancel", {"id": task_id}, version="0.3"))
        rest = [frame async for frame in frames]
    assert canceled["status"]["state"] == "canceled"
    assert (rest[-1].result["status"]["state"], rest[-1].result["final"]) == ("canceled", True)


async def test_a_0_3_stream_resumes_at_every_cursor(served: Agent) -> None:
    whole = await served.frames("message/stream", params_of("tell me", "resume-1"), version="0.3")
    task_id = whole[0].result["id"]
    for cursor in range(len(whole) + 1):
        rest = await served.frames("tasks/resubscribe", {"id": task_id}, version="0.3", cursor=cursor)
        assert rest == whole[cursor:]


@pytest.mark.parametrize(
    ("method", "params", "code", "word"),
    [
        ("tasks/get", {"id": "no-such-task"}, -32001, "no-such-task"),
        ("tasks/get", {"id": 5}, -32602, "$.id"),
        ("tasks/cancel", {"id": "no-such-task"}, -32001, "no-such-task"),
        ("tasks/resubscribe", {"id": "no-such-task"}, -32001, "no-such-task"),
        ("message/stream", params_of("x", "task-1", taskId="no-such-task"), -32001, "no-such-task"),
        ("message/stream", params_of("x", "kind-0", parts=[{"kind": "video"}]), -32602, "video"),
        ("message/send", {}, -32602, "message"),
        ("message/send", {"message": "hello"}, -32602, "$.message"),
        ("message/send", {"message": {"role": "user", "messageId": "x", "parts": "hello"}}, -32602, "$.message.parts"),
        ("message/send", params_of("x", ""), -32602, "messageId"),
        ("message/send", params_of("x", "agent-1", role="agent"), -32602, "$.message.role"),
        (
            "message/send",
            params_of("x", "kind-1", parts=[{"kind": "video"}]),
            -32602,
            "message.parts[0] has kind 'video'",
        ),
        ("message/send", params_of("x", "kind-2", parts=[{"text": "x"}]), -32602, "message.parts[0] has kind None"),
        ("message/send", {**params_of("x", "block-1"), "configuration": {"blocking": "no"}}, -32602, "blocking"),
        ("tasks/pushNotificationConfig/set", {"taskId": "x"}, -32602, "url"),
        (
            "tasks/pushNotificationConfig/set",
            {"taskId": "x", "pushNotificationConfig": "y"},
            -32602,
            "must be an object",
        ),
        ("tasks/pushNotificationConfig/get", {"id": "x"}, -32001, "'x'"),
        ("tasks/pushNotificationConfig/list", {"id": "x"}, -32001, "'x'"),
        ("tasks/pushNotificationConfig/delete", {"id": "x", "pushNotificationConfigId": "y"}, -32001, "'x'"),
        ("agent/getAuthenticatedExtendedCard", None, -32007, "extended card"),
        ("tasks/list", {}, -32601, "tasks/list"),
        ("SendMessage", params_of("x", "name-1"), -32601, "SendMessage"),
    ],
)
async def test_invalid_0_3_requests_are_refused(served: Agent, method: str, params: Any, code: int, word: str) -> None:
    error = await refusal(served, method, params)
    assert error["code"] == code, error
    assert word in error["message"]


async def test_a_finished_task_refuses_resubscription_and_messages(served: Agent) -> None:
    task = await served.result("message/send", params_of("tell me", "terminal-1"), version="0.3")
    assert (await refusal(served, "tasks/resubscribe", {"id": task["id"]}))["code"] == -32004
    more = params_of("more", "terminal-2", taskId=task["id"])
    assert (await refusal(served, "message/send", more))["code"] == -32004
    assert (await refusal(served, "message/stream", more))["code"] == -32004
    assert (await refusal(served, "tasks/cancel", {"id": task["id"]}))["code"] == -32002


async def test_parts_of_every_kind_reach_the_graph_and_are_returned() -> None:
    async def look(_: dict[str, Any]) -> dict[str, Any]:
        received = request()
        files = [[file.filename, file.media_type, file.text] for file in received.files]
        result("seen", [received.text, received.data, files])  # a list, because `data` of 0.3 must be an object
        return {}

    parts = [
        {"kind": "text", "text": "Look."},
        {"kind": "data", "data": {"a": [1, {"b": None}]}},
        {
            "kind": "file",
            "file": {"bytes": base64.b64encode(b"one\ntwo").decode(), "name": "app.log", "mimeType": "text/x-log"},
        },
    ]
    message = {"role": "user", "messageId": "parts-1", "parts": parts, "kind": "message", "metadata": {"mine": 1}}
    async with agent(StateGraph(dict).add_node("look", look).add_edge(START, "look")) as seen:
        task = valid(v0_3.Task, await seen.result("message/send", {"message": message}, version="0.3"))
    (artifact,) = task["artifacts"]
    expected = ["Look.", [{"a": [1, {"b": None}]}], [["app.log", "text/x-log", "one\ntwo"]]]
    assert artifact["parts"] == [{"kind": "data", "data": {"value": expected}}]
    assert task["history"][0]["parts"] == parts
    assert task["history"][0]["metadata"] == {"mine": 1}
