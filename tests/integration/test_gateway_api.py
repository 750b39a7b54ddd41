"""The tasks API: its responses and its refusals (docs/PROTOCOL.md, section 6)."""

from __future__ import annotations

import asyncio
import base64
import gzip
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from tailrace.config import Settings
from tailrace.events import EXTENSION
from tests.sample_agents import event_burst, one_question
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.gateway import ALICE, System, header_owner
from tests.support.http import serve
from tests.support.in_process import system
from tests.support.jsonrpc import nested

UNKNOWN = "03661ad7-728c-4d6d-82ba-d0940b69fe69"


@pytest.fixture
async def sut(tmp_path: Path) -> AsyncIterator[System]:
    async with system(event_burst.builder, tmp_path) as running:
        yield running


def message(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"message": {"parts": list(parts), **more}}


def _deep(levels: int, key: str = "data") -> bytes:
    """Return a message with so many nested arrays under the `key` of a part."""
    arrays = b"[" * levels + b"]" * levels
    part = b'"data": ' + arrays if key == "data" else b'"text": "a", "metadata": {"a": ' + arrays + b"}"
    return b'{"message": {"parts": [{' + part + b"}]}}"


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


# Responses


async def test_a_new_task_names_its_stream_url(sut: System) -> None:
    answer = await sut.http.post("/api/tasks", json=message({"data": {"events": 1}}))
    body = answer.json()
    assert (answer.status_code, body["streamUrl"]) == (201, f"/api/stream/{body['id']}")
    assert (await sut.read(body["id"])).state == "TASK_STATE_COMPLETED"
    task = (await sut.http.get(f"/api/tasks/{body['id']}")).json()
    assert (task["id"], task["contextId"]) == (body["id"], body["contextId"])
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_the_same_idempotency_key_returns_the_same_task(sut: System) -> None:
    request, key = message({"data": {"events": 1}}), {"Idempotency-Key": "k-1"}
    first, second = [await sut.http.post("/api/tasks", json=request, headers=key) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    conflict = await sut.http.post("/api/tasks", json=message({"data": {"events": 2}}), headers=key)
    assert conflict.status_code == 422
    bob = await sut.http.post("/api/tasks", json=request, headers={**key, "x-test-owner": "bob"})
    assert bob.json()["id"] != first.json()["id"]


async def test_twenty_concurrent_copies_of_a_request_create_one_task(sut: System) -> None:
    request, key = message({"data": {"events": 1}}), {"Idempotency-Key": "k-2"}
    answers = await asyncio.gather(*(sut.http.post("/api/tasks", json=request, headers=key) for _ in range(20)))
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    assert (await sut.read(answers[0].json()["id"])).seqs == list(range(1, 7))


async def test_tasks_are_listed_newest_first_page_by_page(sut: System) -> None:
    made = [await sut.post({"data": {"events": 1}}) for _ in range(5)]
    await sut.post({"data": {"events": 1}}, **{"x-test-owner": "bob"})
    seen, token = [], ""
    while True:
        page = (await sut.http.get("/api/tasks", params={"pageSize": 2, "pageToken": token})).json()
        seen += [task["id"] for task in page["tasks"]]
        token = page["nextPageToken"]
        if not token:
            break
    assert seen == made[::-1]


async def test_the_agents_endpoint_lists_their_cards(sut: System) -> None:
    (card,) = (await sut.http.get("/api/agents")).json()["agents"]
    assert card["name"] == "orchestrator"
    assert card["capabilities"]["extensions"][0]["uri"] == EXTENSION


async def test_the_agents_endpoint_lists_an_agent_once_that_is_also_a_specialist(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/"  # nobody is there
    settings = Settings(data_dir=str(tmp_path), orchestrator_url=url, specialist_urls=f"{url},{url}other")
    app = create_app(settings, decide_owner=header_owner)
    async with serve(app) as gateway, httpx.AsyncClient(base_url=gateway, headers=ALICE, timeout=60) as http:
        agents = (await http.get("/api/agents")).json()["agents"]
    assert [list(agent) for agent in agents] == [["error"], ["error"]]


async def test_the_gateway_is_healthy(sut: System) -> None:
    assert (await sut.http.get("/api/health")).json() == {"status": "ok"}


async def test_a_question_is_answered_in_the_same_task(tmp_path: Path) -> None:
    async with system(one_question.builder, tmp_path) as sut:
        task_id = await sut.post({"text": "it is slow"})
        waiting = await sut.read(task_id)
        assert waiting.state == "TASK_STATE_INPUT_REQUIRED"
        question = waiting.events[-1]["statusUpdate"]["status"]["message"]["parts"]
        assert question[0] == {"text": "Which region?"}
        cursor = waiting.seqs[-1]
        nothing_more = await sut.http.get(f"/api/stream/{task_id}", params={"cursor": cursor})
        assert nothing_more.status_code == 204
        reply = await sut.http.post(f"/api/tasks/{task_id}/messages", json=message({"text": "eu-west-1"}))
        assert reply.status_code == 202
        rest = await sut.read(task_id, cursor=cursor)
        assert rest.seqs == list(range(cursor + 1, rest.seqs[-1] + 1))
        assert rest.state == "TASK_STATE_COMPLETED"
        (report,) = (await sut.http.get(f"/api/tasks/{task_id}")).json()["artifacts"]
        assert report["parts"] == [{"text": "You said eu-west-1, after 'it is slow\\neu-west-1'."}]


async def test_a_reply_that_does_not_answer_is_refused_and_the_task_still_waits(tmp_path: Path) -> None:
    async with system(one_question.builder, tmp_path) as sut:
        task_id = await sut.post({"text": "it is slow"})
        waiting = await sut.read(task_id)
        path = f"/api/tasks/{task_id}/messages"
        wrong = message({"data": {"answers": {"unknown": "eu-west-1"}}})
        refused = await sut.http.post(path, json=wrong, headers={"idempotency-key": "k"})
        assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
        assert "`answers` names 'unknown', which is no open question" in refused.json()["detail"]
        assert await sut.log.last(task_id) == waiting.seqs[-1]
        right = await sut.http.post(path, json=message({"text": "eu-west-1"}), headers={"idempotency-key": "k"})
        assert right.status_code == 202
        assert (await sut.read(task_id, cursor=waiting.seqs[-1])).state == "TASK_STATE_COMPLETED"


async def test_only_one_of_several_concurrent_replies_is_accepted(tmp_path: Path) -> None:
    async with system(one_question.builder, tmp_path) as sut:
        task_id = await sut.post({"text": "it is slow"})
        await sut.read(task_id)
        path = f"/api/tasks/{task_id}/messages"
        answers = await asyncio.gather(*(sut.http.post(path, json=message({"text": f"r{n}"})) for n in range(4)))
        assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
        assert (await sut.read(task_id)).state == "TASK_STATE_COMPLETED"


async def test_a_cancel_stops_the_graph_and_is_the_last_event(tmp_path: Path) -> None:
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path) as sut:
        task_id = await sut.post({"text": "hello"})
        await gate.reached.wait()
        assert (await sut.http.post(f"/api/tasks/{task_id}/cancel")).status_code == 202
        assert gate.cancelled
        seen = await sut.read(task_id)
        assert seen.state == "TASK_STATE_CANCELED"
        again = await sut.http.post(f"/api/tasks/{task_id}/cancel")
        assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
        assert await sut.log.last(task_id) == seen.seqs[-1]


async def test_a_waiting_task_can_be_cancelled(tmp_path: Path) -> None:
    async with system(one_question.builder, tmp_path) as sut:
        task_id = await sut.post({"text": "it is slow"})
        cursor = (await sut.read(task_id)).seqs[-1]
        assert (await sut.http.post(f"/api/tasks/{task_id}/cancel")).status_code == 202
        rest = await sut.read(task_id, cursor=cursor)
        assert (rest.seqs, rest.state) == ([cursor + 1], "TASK_STATE_CANCELED")


# Refusals


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"not json", "not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `message`"),
        (b'{"message": {}}', "missing required field `parts`"),
        (b'{"message": {"parts": []}}', "at least one part"),
        (b'{"message": {"parts": [{}]}}', "exactly one of"),
        (b'{"message": {"parts": [{"text": "a", "data": 1}]}}', "`text` and `data`"),
        (b'{"message": {"parts": [{"text": 5}]}}', "$.message.parts[0].text"),
        (b'{"message": {"parts": [{"text": "a", "colour": "red"}]}}', "unknown field `colour`"),
        (b'{"message": {"parts": [{"text": "a"}]}, "extra": 1}', "unknown field `extra`"),
        (b'{"message": {"parts": [{"text": "a"}], "role": "ROLE_AGENT"}}', "ROLE_AGENT"),
        (_deep(65), "Expected `data` nested at most 64 levels deep"),
        (_deep(960), "The body is nested deeper than 80 levels; a value of `data` or `metadata` may have 64."),
        (_deep(5_000), "The body is nested deeper than 80 levels"),
        (_deep(64, "metadata"), "Expected `metadata` nested at most 64 levels deep"),
        (b'{"message": {"parts": [{"raw": "%%%", "filename": "x.log"}]}}', "not base64"),
        (b'{"message": {"parts": [{"url": "http://10.0.0.1/x", "filename": "x.log"}]}}', "does not fetch"),
    ],
)
async def test_an_invalid_message_is_a_400_with_a_reason(sut: System, body: bytes, words: str) -> None:
    answer = await sut.http.post("/api/tasks", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert words in answer.json()["detail"]
    assert (await sut.http.get("/api/tasks")).json()["tasks"] == []


async def test_a_message_at_the_depth_limit_is_accepted(sut: System) -> None:
    created = await sut.http.post("/api/tasks", json=message({"data": {"events": 1, "deep": nested(63)}}))
    assert created.status_code == 201, created.text
    assert (await sut.read(created.json()["id"])).state == "TASK_STATE_COMPLETED"


async def test_a_binary_file_is_refused_by_name(sut: System) -> None:
    part = {"raw": b64(bytes(range(256))), "filename": "core.dump"}
    answer = await sut.http.post("/api/tasks", json=message(part))
    assert answer.status_code == 400
    assert "'core.dump' is binary" in answer.json()["detail"]


async def test_a_request_over_the_limit_is_a_413_that_names_the_limit(sut: System) -> None:
    part = {"text": "x" * 1_048_577, "filename": "big.log"}
    answer = await sut.http.post("/api/tasks", json=message(part))
    assert answer.status_code == 413
    assert "1,048,576 bytes" in answer.json()["detail"]


async def test_a_message_too_large_for_the_log_is_a_413_and_creates_no_task(sut: System) -> None:
    noise = random.Random(1).randbytes(600_000).replace(b"\0", b"\1")
    incompressible = b64(gzip.compress(noise, mtime=0))
    answer = await sut.http.post("/api/tasks", json=message({"raw": incompressible, "filename": "n.gz"}))
    assert answer.status_code == 413
    assert "390,000 bytes" in answer.json()["detail"]
    assert (await sut.http.get("/api/tasks")).json()["tasks"] == []


@pytest.mark.parametrize("cursor", ["-1", "1.5", "seven", "1e3", "٣", "99999999999999999999", "999"])
async def test_an_invalid_cursor_is_a_400(sut: System, cursor: str) -> None:
    task_id = await sut.post({"data": {"events": 1}})
    await sut.read(task_id)
    by_query = await sut.http.get(f"/api/stream/{task_id}", params={"cursor": cursor})
    assert by_query.status_code == 400
    assert cursor[:10] in by_query.json()["detail"]
    by_header = await sut.http.get(f"/api/stream/{task_id}", headers={"Last-Event-ID": cursor.encode()})
    assert by_header.status_code == 400


@pytest.mark.parametrize(
    "task_id", [UNKNOWN, "x", "..%2f..%2fetc%2fpasswd", "%00", "a" * 5000, "' OR 1=1 --", "<script>", "%F0%9F%8C%8A"]
)
async def test_an_unknown_or_malformed_task_id_is_a_404(sut: System, task_id: str) -> None:
    for method, path in (
        ("GET", f"/api/tasks/{task_id}"),
        ("GET", f"/api/stream/{task_id}"),
        ("POST", f"/api/tasks/{task_id}/cancel"),
    ):
        answer = await sut.http.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_another_owners_task_is_a_404(sut: System) -> None:
    task_id = await sut.post({"data": {"events": 1}})
    await sut.read(task_id)
    for method, path in (
        ("GET", "/api/tasks/{}"),
        ("GET", "/api/stream/{}"),
        ("POST", "/api/tasks/{}/cancel"),
        ("POST", "/api/tasks/{}/messages"),
    ):
        body = {"json": message({"text": "hi"})} if path.endswith("messages") else {}
        theirs, none = [
            await sut.http.request(method, path.format(wanted), headers={"x-test-owner": "mallory"}, **body)
            for wanted in (task_id, UNKNOWN)
        ]
        assert theirs.status_code == none.status_code == 404
        assert theirs.text.replace(task_id, UNKNOWN) == none.text


async def test_every_request_without_credentials_is_a_401(sut: System) -> None:
    for method, path in (
        ("POST", "/api/tasks"),
        ("GET", "/api/tasks"),
        ("GET", f"/api/tasks/{UNKNOWN}"),
        ("GET", f"/api/stream/{UNKNOWN}"),
        ("POST", f"/api/tasks/{UNKNOWN}/messages"),
        ("POST", f"/api/tasks/{UNKNOWN}/cancel"),
        ("GET", "/api/agents"),
        ("GET", "/api/streams"),
    ):
        answer = await sut.http.request(method, path, headers={"x-test-owner": ""})
        assert answer.status_code == 401, path


@pytest.mark.parametrize("query", ["pageSize=0", "pageSize=101", "pageSize=x", "pageToken=rubbish"])
async def test_an_invalid_page_size_or_token_is_a_400(sut: System, query: str) -> None:
    answer = await sut.http.get(f"/api/tasks?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[2] in answer.json()["detail"]


async def test_unknown_methods_and_routes_are_problem_responses(sut: System) -> None:
    assert (await sut.http.delete("/api/tasks")).status_code == 405
    missing = await sut.http.get("/api/nothing")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")


async def test_a_message_to_a_task_that_is_not_waiting_is_a_409(sut: System) -> None:
    task_id = await sut.post({"data": {"events": 1}})
    await sut.read(task_id)
    answer = await sut.http.post(f"/api/tasks/{task_id}/messages", json=message({"text": "more"}))
    assert answer.status_code == 409
    assert "TASK_STATE_COMPLETED" in answer.json()["detail"]


async def test_a_failing_graph_names_node_and_error_without_a_traceback(sut: System) -> None:
    task_id = await sut.post({"text": "no data part"})
    seen = await sut.read(task_id)
    assert seen.state == "TASK_STATE_FAILED"
    (part,) = seen.events[-1]["statusUpdate"]["status"]["message"]["parts"]
    assert part["text"].startswith("The agent failed in burst: IndexError")
    assert "Traceback" not in str(seen.events)


async def test_a_client_that_disconnects_during_a_request_logs_no_error(
    sut: System, caplog: pytest.LogCaptureFixture
) -> None:
    host = sut.url.removeprefix("http://")
    _, writer = await asyncio.open_connection(*host.split(":"))
    head = f"POST /api/tasks HTTP/1.1\r\nHost: {host}\r\nX-Test-Owner: alice\r\nContent-Length: 99\r\n"
    head += "Content-Type: application/json\r\n\r\n"
    writer.write(head.encode() + b'{"message":')
    await writer.drain()
    writer.transport.abort()
    assert (await sut.http.get("/api/tasks")).json()["tasks"] == []
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_head_request_for_a_stream_opens_no_stream(tmp_path: Path) -> None:
    gate = Gate()
    async with system(waits_at_gate(gate), tmp_path) as sut:
        task_id = await sut.post({"text": "hello"})
        answer = await sut.http.head(f"/api/stream/{task_id}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert (await sut.http.get("/api/streams")).json()["streams"] == []
        gate.open.set()


async def test_refusals_name_the_remedy_and_are_never_cached(sut: System) -> None:
    refused = await sut.http.get("/api/tasks", headers={"x-test-owner": ""})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="tailrace"')
    method = await sut.http.delete("/api/tasks")
    assert (method.status_code, set(method.headers["allow"].split(", "))) == (405, {"GET", "HEAD", "POST"})
    unknown = await sut.http.get(f"/api/tasks/{UNKNOWN}")
    assert {answer.headers["cache-control"] for answer in (refused, method, unknown)} == {"no-store"}
