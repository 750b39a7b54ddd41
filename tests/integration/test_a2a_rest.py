"""The HTTP+JSON binding, compared with the JSON-RPC binding (specification, sections 5 and 11)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.sample_agents.hello_world import TEXT, hello_world
from tests.support.events import TERMINAL, message, state_of
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent, nested

pytestmark = pytest.mark.asyncio(loop_scope="module")
GATE = asyncio.Event()
UNKNOWN = "00000000-0000-0000-0000-000000000000"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
LIMIT = 20_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Agent]:
    async with agent(hello_world(GATE), limit_s=None, max_request_bytes=LIMIT, push_internal=1) as serving:
        yield serving


async def ask(
    served: Agent, verb: str, path: str, body: Any = None, *, version: str = "1.0", **headers: str
) -> httpx.Response:
    all_headers = {"A2A-Version": version, **{name.replace("_", "-"): value for name, value in headers.items()}}
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    if body is not None:
        all_headers.setdefault("Content-Type", "application/a2a+json")
    return await served.http.request(verb, served.url + path, content=content, headers=all_headers)


async def result(served: Agent, verb: str, path: str, body: Any = None, **headers: str) -> Any:
    response = await ask(served, verb, path, body, **headers)
    assert response.status_code == 200, response.text
    return response.json()


async def error(served: Agent, verb: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
    """Return the status object of an error, whose code must be the HTTP status (section 11.6)."""
    response = await ask(served, verb, path, body, **headers)
    assert response.status_code >= 400, response.text
    (status,) = response.json().values()
    assert status["code"] == response.status_code
    assert status["message"]
    for detail in status.get("details", []):
        assert (detail["@type"], detail["domain"]) == (ERROR_INFO, "a2a-protocol.org")
    return dict(status)


def reason(status: dict[str, Any]) -> str:
    return str(status["details"][0]["reason"])


def events_of(body: str) -> list[tuple[int, Any]]:
    """Return the ids and events of a stream."""
    frames = [frame for frame in body.split("\n\n") if frame and not frame.startswith(":")]
    parts = [frame.split("\n") for frame in frames]
    return [(int(each[0].removeprefix("id: ")), json.loads(each[1].removeprefix("data: "))) for each in parts]


async def test_11_3_1_send_returns_the_task(served: Agent) -> None:
    sent = {"message": message("hello"), "configuration": {"historyLength": 0}}
    response = await result(served, "POST", "/message:send", sent)
    assert response.keys() == {"task"}
    assert response["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert response["task"]["artifacts"][0]["parts"] == [{"text": TEXT}]
    assert "history" not in response["task"]


async def test_5_1_both_bindings_show_the_same_task(served: Agent) -> None:
    task = (await result(served, "POST", "/message:send", {"message": message("hello")}))["task"]
    assert await result(served, "GET", f"/tasks/{task['id']}") == task
    assert await served.result("GetTask", {"id": task["id"]}) == task
    for length in (0, 1):
        query = f"/tasks/{task['id']}?historyLength={length}&A2A-Version=1.0"
        assert await result(served, "GET", query) == await served.result(
            "GetTask", {"id": task["id"], "historyLength": length}
        )
    listed = await result(served, "GET", "/tasks?pageSize=100&includeArtifacts=true&historyLength=3")
    assert listed == await served.result("ListTasks", {"pageSize": 100, "includeArtifacts": True, "historyLength": 3})


async def test_11_7_a_stream_sends_bare_events_and_ends_with_the_task(served: Agent) -> None:
    response = await ask(served, "POST", "/message:stream", {"message": message("hello")})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_of(response.text)
    assert events[0][1].keys() == {"task"}
    assert [seq for seq, _ in events] == list(range(1, len(events) + 1))
    assert state_of(events[-1][1]) == "TASK_STATE_COMPLETED"
    assert [event for _, event in events] == await served.events(events[0][1]["task"]["id"])


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_11_3_2_subscribe_with_get_or_post_lasts_from_the_task_to_its_end(served: Agent, verb: str) -> None:
    task = (await result(served, "POST", "/message:send", {"message": message("ask")}))["task"]
    url, headers = f"{served.url}/tasks/{task['id']}:subscribe", {"A2A-Version": "1.0"}
    async with served.http.stream(verb, url, headers=headers) as response:
        lines = response.aiter_lines()
        assert (await anext(lines)).startswith("id: ")
        first = json.loads((await anext(lines)).removeprefix("data: "))
        assert first["task"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        await result(served, "POST", "/message:send", {"message": message("payments", taskId=task["id"])})
        rest = events_of("\n".join([line async for line in lines]).lstrip("\n"))
    assert state_of(rest[-1][1]) in TERMINAL
    assert reason(await error(served, verb, f"/tasks/{task['id']}:subscribe")) == "UNSUPPORTED_OPERATION"
    again = await ask(served, verb, f"/tasks/{task['id']}:subscribe", last_event_id="0")
    assert [event for _, event in events_of(again.text)] == await served.events(task["id"])


async def test_11_3_2_cancel(served: Agent) -> None:
    task = (await result(served, "POST", "/message:send", {"message": message("ask")}))["task"]
    canceled = await result(served, "POST", f"/tasks/{task['id']}:cancel")
    assert (canceled["id"], canceled["status"]["state"]) == (task["id"], "TASK_STATE_CANCELED")
    refused = await error(served, "POST", f"/tasks/{task['id']}:cancel", {})
    assert (refused["code"], refused["status"], reason(refused)) == (400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE")


async def test_11_3_3_push_configs(served: Agent) -> None:
    task = (await result(served, "POST", "/message:send", {"message": message("hello")}))["task"]
    path = f"/tasks/{task['id']}/pushNotificationConfigs"
    made = await result(served, "POST", path, {"id": "a", "url": "http://127.0.0.1:9/"})
    assert made == {"id": "a", "taskId": task["id"], "url": "http://127.0.0.1:9/"}
    assert await result(served, "GET", f"{path}/a") == made
    assert (await result(served, "GET", f"{path}?pageSize=10"))["configs"] == [made]
    for _ in range(2):
        assert await result(served, "DELETE", f"{path}/a") == {}
    assert reason(await error(served, "GET", f"{path}/a")) == "TASK_NOT_FOUND"
    other = await error(served, "POST", path, {"taskId": UNKNOWN, "url": "http://127.0.0.1:9/"})
    assert "the path names" in other["message"]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", f"/tasks/{UNKNOWN}"),
        ("GET", "/tasks/a:b"),
        ("POST", f"/tasks/{UNKNOWN}:cancel"),
        ("GET", f"/tasks/{UNKNOWN}:subscribe"),
        ("POST", f"/tasks/{UNKNOWN}:subscribe"),
        ("GET", f"/tasks/{UNKNOWN}/pushNotificationConfigs"),
        ("GET", f"/tasks/{UNKNOWN}/pushNotificationConfigs/a"),
        ("DELETE", f"/tasks/{UNKNOWN}/pushNotificationConfigs/a"),
    ],
)
async def test_5_4_an_unknown_task_is_404(served: Agent, verb: str, path: str) -> None:
    refused = await error(served, verb, path)
    assert (refused["code"], refused["status"], reason(refused)) == (404, "NOT_FOUND", "TASK_NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/message:send", b"{", "not JSON"),
        ("/message:send", b"[]", "object"),
        (
            "/message:send",
            {"message": message("x", metadata={"a": nested(64)})},
            "`metadata` nested at most 64 levels deep",
        ),
        ("/message:send", {"message": message("x", parts=[{"data": nested(300)}])}, "nested deeper than 80 levels"),
        ("/message:send", b"", "message"),
        ("/message:send", {"message": {}}, "$.message"),
        ("/message:stream", {"message": message("x", parts=[])}, "parts"),
        (f"/tasks/{UNKNOWN}/pushNotificationConfigs", {"id": "a"}, "url"),
    ],
)
async def test_11_6_an_invalid_body_is_400(served: Agent, path: str, body: Any, word: str) -> None:
    refused = await error(served, "POST", path, body)
    assert (refused["code"], refused["status"]) == (400, "INVALID_ARGUMENT")
    assert word in refused["message"]


@pytest.mark.parametrize("query", ["pageSize=0", "pageSize=x", "historyLength=-1", "status=HAPPY", "pageToken=x",
                                   "includeArtifacts=yes", "statusTimestampAfter=noon"])  # fmt: skip
async def test_11_5_an_invalid_query_is_400(served: Agent, query: str) -> None:
    assert (await error(served, "GET", f"/tasks?{query}"))["code"] == 400


@pytest.mark.parametrize("version", ["", "0.3", "0.5", "2.0"])
async def test_3_6_2_other_versions_are_refused(served: Agent, version: str) -> None:
    refused = await error(served, "GET", "/tasks", version=version)
    assert (refused["code"], reason(refused)) == (400, "VERSION_NOT_SUPPORTED")
    assert (await ask(served, "GET", "/tasks?A2A-Version=1.0", version="")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Content-Type": "application/a2a+json"}, "application/a2a+json"),
        ({"Content-Type": "application/json"}, "application/json"),
        ({"Content-Type": "application/json; charset=utf-8"}, "application/json"),
        ({"Content-Type": "application/json", "Accept": "application/a2a+json"}, "application/a2a+json"),
    ],
)
async def test_11_1_the_response_has_the_media_type_of_the_request(
    served: Agent, headers: dict[str, str], kind: str
) -> None:
    response = await ask(served, "POST", "/message:send", {"message": message("hello")}, **headers)
    assert (response.status_code, response.headers["content-type"]) == (200, kind)
    refused = await ask(served, "POST", "/message:send", {}, **headers)
    assert (refused.status_code, refused.headers["content-type"]) == (400, kind)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_a_body_of_another_type_is_415_in_both_bindings(served: Agent, kind: str) -> None:
    refused = await error(served, "POST", "/message:send", {"message": message("hello")}, **{"Content-Type": kind})
    assert (refused["code"], reason(refused)) == (415, "CONTENT_TYPE_NOT_SUPPORTED")
    headers = {"A2A-Version": "1.0", "Content-Type": kind}
    response = await served.http.post(served.url + "/", content=b"{'not': json", headers=headers)
    assert response.status_code == 415
    assert response.json()["error"]["code"] == -32005


async def test_a_body_over_the_limit_is_413(served: Agent) -> None:
    assert (await error(served, "POST", "/message:send", b" " * (LIMIT + 1)))["code"] == 413


async def test_an_unknown_path_is_404_and_a_wrong_verb_is_405(served: Agent) -> None:
    for verb, path, status in (("GET", "/message:send", 405), ("GET", "/nothing", 404), ("PUT", "/tasks", 405)):
        assert (await ask(served, verb, path)).status_code == status


async def test_3_1_11_an_undeclared_extended_card_is_unsupported(served: Agent) -> None:
    assert reason(await error(served, "GET", "/extendedAgentCard")) == "UNSUPPORTED_OPERATION"


async def test_an_internal_error_reveals_no_details(served: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    async def head(_: str) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(served.log, "head", head)
    refused = await error(served, "GET", f"/tasks/{UNKNOWN}")
    assert (refused["code"], refused["status"]) == (500, "INTERNAL")
    assert "secret" not in refused["message"]
