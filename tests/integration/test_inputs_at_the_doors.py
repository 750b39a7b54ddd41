"""Files, nulls and odd text in requests: what the gateway and an agent accept and refuse."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from a2a.compat.v0_3 import types as v0_3
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict

from tests.sample_agents import one_question
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message as said
from tests.support.gateway import System
from tests.support.in_process import agent, system
from tests.support.jsonrpc import Agent


@pytest.fixture
async def sut(tmp_path: Path) -> AsyncIterator[System]:
    async with system(one_question.builder, tmp_path) as running:
        yield running


@pytest.fixture
async def served() -> AsyncIterator[Agent]:
    async with agent(hello_world()) as running:
        yield running


def packed(size: int) -> dict[str, Any]:
    content = gzip.compress(b"x" * size)
    return {"raw": base64.b64encode(content).decode(), "filename": "app.log.gz", "mediaType": "application/gzip"}


async def test_a_reply_that_exceeds_the_tasks_file_limit_is_refused(
    sut: System,
) -> None:
    task = await sut.post({"text": "hi"}, packed(40_000_000))
    waiting = await sut.read(task)
    assert waiting.state == "TASK_STATE_INPUT_REQUIRED"
    refused = await sut.http.post(f"/api/tasks/{task}/messages", json={"message": {"parts": [packed(40_000_000)]}})
    assert (refused.status_code, "64,000,000" in refused.json()["detail"]) == (400, True), refused.text
    taken = await sut.http.post(f"/api/tasks/{task}/messages", json={"message": {"parts": [packed(20_000_000)]}})
    assert taken.status_code == 202, taken.text
    assert (await sut.read(task, cursor=waiting.seqs[-1])).state == "TASK_STATE_COMPLETED"


# Absent fields


async def test_a_0_3_sdk_may_send_null_for_every_optional_field(served: Agent) -> None:
    parts = [
        v0_3.Part(root=v0_3.TextPart(text="hi")),
        v0_3.Part(root=v0_3.FilePart(file=v0_3.FileWithBytes(bytes="eA=="))),
    ]
    message = v0_3.Message(message_id="m", role=v0_3.Role.user, parts=parts)
    params = v0_3.MessageSendParams(message=message, configuration=v0_3.MessageSendConfiguration())
    sent = params.model_dump(mode="json", by_alias=True)
    assert sent["configuration"]["historyLength"] is sent["message"]["taskId"] is sent["metadata"] is None
    task = await served.result("message/send", sent, version="0.3")
    assert task["status"]["state"] == "completed"
    query = v0_3.TaskQueryParams(id=task["id"]).model_dump(mode="json", by_alias=True)
    assert (await served.result("tasks/get", query, version="0.3"))["id"] == task["id"]
    about = v0_3.GetTaskPushNotificationConfigParams(id=task["id"]).model_dump(mode="json", by_alias=True)
    error = await served.error("tasks/pushNotificationConfig/get", about, version="0.3")
    assert (error["code"], "'default'" in error["message"]) == (-32001, True), error


async def test_a_protobuf_client_may_send_every_default(served: Agent) -> None:
    parts = [pb.Part(text="hi"), pb.Part(raw=b"a line?>\n", filename="a.log")]
    request = pb.SendMessageRequest(message=pb.Message(message_id="m", role="ROLE_USER", parts=parts))
    request.configuration.SetInParent()
    sent = MessageToDict(request, always_print_fields_with_no_presence=True)
    assert sent["message"]["taskId"] == sent["message"]["parts"][0]["filename"] == ""
    assert (await served.result("SendMessage", sent))["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    listed = MessageToDict(pb.ListTasksRequest(), always_print_fields_with_no_presence=True)
    assert len((await served.result("ListTasks", listed))["tasks"]) == 1


async def test_over_http_json_null_fields_and_empty_parameters_count_as_absent(served: Agent) -> None:
    headers = {"A2A-Version": "1.0"}
    task = (await served.result("SendMessage", {"message": said("hi")}))["task"]["id"]
    for query in ("historyLength=", "historyLength=&tenant="):
        got = await served.http.get(f"{served.url}/tasks/{task}?{query}", headers=headers)
        assert (got.status_code, got.json()["id"]) == (200, task), got.text
    listed = await served.http.get(f"{served.url}/tasks?pageSize=&pageToken=&includeArtifacts=", headers=headers)
    assert len(listed.json()["tasks"]) == 1
    body = {"id": None, "metadata": None}
    refused = await served.http.post(f"{served.url}/tasks/{task}:cancel", json=body, headers=headers)
    assert "TASK_NOT_CANCELABLE" in refused.text


async def test_the_gateway_accepts_null_fields(sut: System) -> None:
    part = {"text": "hi", "raw": None, "url": None, "data": None, "filename": None, "mediaType": None, "metadata": None}
    message = {"parts": [part], "messageId": None, "role": None, "contextId": None, "metadata": None, "taskId": None}
    created = await sut.http.post("/api/tasks", json={"message": message})
    assert created.status_code == 201, created.text
    body = {"filename": "x.log", "size": 1, "sha256": "ab" * 32, "mediaType": None}
    uploaded = await sut.http.post("/api/uploads", json=body)
    assert (uploaded.status_code, uploaded.json()["part"]["mediaType"]) == (201, "text/plain"), uploaded.text
    assert (await sut.http.get("/api/tasks?pageSize=&pageToken=")).status_code == 200


# Invalid text


LONE = r'"\ud800 alone"'


@pytest.mark.parametrize(
    "part",
    [
        f'{{"text": {LONE}}}',
        f'{{"data": {{"a": [{LONE}]}}}}',
        f'{{"data": {{{LONE}: 1}}}}',
        f'{{"text": "x", "filename": {LONE}}}',
        f'{{"text": "x", "mediaType": {LONE}}}',
        f'{{"text": "x", "metadata": {{"a": {LONE}}}}}',
        f'{{"raw": {LONE}}}',
        f'{{"url": {LONE}}}',
    ],
)
async def test_a_lone_surrogate_is_refused_by_every_endpoint(sut: System, served: Agent, part: str) -> None:
    json_type = {"Content-Type": "application/json"}
    body = f'{{"message": {{"parts": [{part}]}}}}'
    refused = await sut.http.post("/api/tasks", content=body, headers=json_type)
    assert (refused.status_code, "not JSON" in refused.json()["detail"]) == (400, True), refused.text
    message = f'{{"messageId": "m", "role": "ROLE_USER", "parts": [{part}]}}'
    call = f'{{"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {{"message": {message}}}}}'
    assert (await served.post(call.encode())).json()["error"]["code"] == -32700
    rest = f"{served.url}/message:send"
    answer = await served.http.post(
        rest, content=f'{{"message": {message}}}', headers={**json_type, "A2A-Version": "1.0"}
    )
    assert answer.status_code == 400, answer.text
    assert (await served.log.list("local")).heads == []


async def test_a_lone_surrogate_in_an_upload_or_query_is_a_client_error(sut: System) -> None:
    body = f'{{"filename": {LONE}, "size": 1, "sha256": "{"ab" * 32}"}}'
    refused = await sut.http.post("/api/uploads", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 400, refused.text
    for path in ("/api/tasks/%ED%A0%80", "/api/tasks?pageToken=%ED%A0%80", "/api/stream/%ED%A0%80?cursor=%ED%A0%80"):
        answer = await sut.http.get(path)
        assert 400 <= answer.status_code < 500, (path, answer.text)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["=", ""])
async def test_raw_may_be_standard_or_urlsafe_base64_with_or_without_padding(
    served: Agent, encode: Any, padding: str
) -> None:
    raw = encode("grüße ??>>\n".encode()).decode().replace("=", padding)
    sent = {"message": said("", parts=[{"raw": raw, "filename": "a.log"}])}
    assert (await served.result("SendMessage", sent))["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_null_members_of_a_part_are_dropped_unless_data_is_null(served: Agent) -> None:
    parts = [{"text": "hi", "data": None, "raw": None, "url": None}, {"data": None}]
    task = (await served.result("SendMessage", {"message": said("", parts=parts)}))["task"]
    assert json.dumps(task["history"][0]["parts"]) == '[{"text": "hi"}, {"data": null}]'
