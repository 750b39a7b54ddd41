"""The JSON-RPC binding of A2A 1.0, with requests written by hand: the card, and every request that must be refused."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.sample_agents.hello_world import hello_world
from tests.support.events import EXTENSION, message
from tests.support.in_process import CARD, agent
from tests.support.jsonrpc import Agent, nested

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSON = {"Content-Type": "application/json"}
LIMIT = 20_000
UNKNOWN = "00000000-0000-0000-0000-000000000000"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Agent]:
    async with agent(hello_world(asyncio.Event()), max_request_bytes=LIMIT, limit_s=None) as serving:
        yield serving


def rpc(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": UNKNOWN}, **fields}).encode()


def sending(**fields: Any) -> dict[str, Any]:
    """Return the params of a message with these fields; a field that is None is left out."""
    values = {**message("hello"), **fields}
    return {"message": {key: value for key, value in values.items() if value is not None}}


# The card


async def test_the_card_has_every_required_field_and_is_cacheable(served: Agent) -> None:
    response = await served.http.get(served.url + "/.well-known/agent-card.json")
    assert response.headers["content-type"] == "application/json"
    assert "max-age" in response.headers["cache-control"]
    assert response.headers["last-modified"].endswith("GMT")
    card = response.json()
    needed = "name description version supportedInterfaces capabilities defaultInputModes defaultOutputModes skills"
    assert set(needed.split()) <= card.keys()
    assert card["capabilities"]["streaming"] is True
    assert card["capabilities"]["pushNotifications"] is True
    assert EXTENSION in [each["uri"] for each in card["capabilities"]["extensions"]]
    keys = ("protocolBinding", "protocolVersion", "url")
    interfaces = [tuple(each[key] for key in keys) for each in card["supportedInterfaces"]]
    assert interfaces == [
        ("JSONRPC", "1.0", served.url + "/"),
        ("HTTP+JSON", "1.0", served.url),
        ("JSONRPC", "0.3", served.url + "/"),
    ]
    (skill,) = card["skills"]
    about = CARD.skills[0].description
    assert skill == {"id": "talk", "name": "Talk", "description": about, "tags": ["test"], "examples": ["hello"]}
    again = await served.http.get(response.url, headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


# The envelope


@pytest.mark.parametrize(
    ("body", "code", "rpc_id", "word"),
    [
        (b"", -32700, None, "not JSON"),
        (b"hello", -32700, None, "not JSON"),
        (b'{"jsonrpc":"2.0",', -32700, None, "not JSON"),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700, None, "not JSON"),
        (b"[" * 9_000, -32700, None, "not JSON"),
        (b"[" * 9_000 + b"]" * 9_000, -32602, None, "nested deeper than 80 levels"),
        (rpc(params={"a": nested(90)}), -32602, 1, "nested deeper than 80 levels; a value of `data` or `metadata` may"),
        (b"[" + rpc() + b"]", -32600, None, "batch"),
        (b"[]", -32600, None, "batch"),
        (b'"hello"', -32600, None, "string"),
        (b"null", -32600, None, "null"),
        (b"{}", -32600, None, "jsonrpc"),
        (rpc(jsonrpc="1.0"), -32600, 1, "1.0"),
        (rpc(jsonrpc=2.0), -32600, 1, "2.0"),
        (rpc(id=True), -32600, None, "id is a boolean"),
        (rpc(id=1.5), -32600, None, "id is a number"),
        (rpc(id=[1]), -32600, None, "id is a array"),
        (rpc(id={}), -32600, None, "id is a object"),
        (rpc(method=5), -32600, 1, "method has value 5"),
        (rpc(method=""), -32600, 1, "method"),
        (rpc(method=None), -32600, 1, "method"),
        (rpc(params=[1]), -32602, 1, "params is a array"),
        (rpc(params="x", id="seven"), -32602, "seven", "params is a string"),
        (rpc(method="Sing"), -32601, 1, "'Sing'"),
        (rpc(method="M" * 5_000), -32601, 1, "…"),
        (rpc(method="message/send"), -32601, 1, "'message/send'"),
        (rpc(id="a\u2028\n\"b'"), -32001, "a\u2028\n\"b'", UNKNOWN),
        (rpc(id=2**70), -32001, 2**70, UNKNOWN),
        (rpc(id=None), -32001, None, UNKNOWN),
    ],
)
async def test_an_invalid_request_gets_a_json_rpc_error(
    served: Agent, body: bytes, code: int, rpc_id: Any, word: str
) -> None:
    response = await served.post(body)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert answer.keys() == {"jsonrpc", "id", "error"}
    assert (answer["jsonrpc"], answer["id"], answer["error"]["code"]) == ("2.0", rpc_id, code)
    assert word in answer["error"]["message"]
    assert len(answer["error"]["message"]) < 300


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_only_post_is_served(served: Agent, verb: str) -> None:
    assert (await served.http.request(verb, served.url + "/")).status_code == 405


# Versions


@pytest.mark.parametrize("version", ["0.2", "2.0", "1", "1.1", "1.0beta", "one", "1..0"])
async def test_an_unknown_version_is_refused(served: Agent, version: str) -> None:
    for answer in (
        await served.call("GetTask", {"id": UNKNOWN}, version=version),
        (await served.http.post(f"{served.url}/?A2A-Version={version}", content=rpc(), headers=JSON)).json(),
    ):
        assert answer["error"]["code"] == -32009
        assert repr(version) in answer["error"]["message"]
        assert answer["error"]["data"][0]["reason"] == "VERSION_NOT_SUPPORTED"


@pytest.mark.parametrize("version", ["1.0", "1.0.0", "1.0.7"])
async def test_a_patch_number_changes_nothing(served: Agent, version: str) -> None:
    response = await served.post(rpc(), version=version)
    assert response.json()["error"]["code"] == -32001
    assert response.headers["a2a-version"] == "1.0"


async def test_the_version_may_be_a_query_parameter(served: Agent) -> None:
    url = served.url + "/?A2A-Version=1.0"
    response = await served.http.post(url, content=rpc(method="message/send"), headers=JSON)
    assert response.json()["error"]["code"] == -32601  # 1.0 has no such method


# Params


@pytest.mark.parametrize(
    ("method", "params", "where"),
    [
        ("GetTask", {}, "`id`"),
        ("GetTask", {"id": 5}, "$.id"),
        ("GetTask", {"id": ""}, "`id`"),
        ("GetTask", {"id": "x", "historyLength": "3"}, "$.historyLength"),
        ("CancelTask", {"id": None}, "`id`"),
        ("SubscribeToTask", {"id": ["x"]}, "$.id"),
        ("SubscribeToTask", {"id": ""}, "`id`"),
        ("ListTasks", {"pageSize": 0}, "pageSize"),
        ("ListTasks", {"pageSize": 101}, "pageSize"),
        ("ListTasks", {"status": "TASK_STATE_HAPPY"}, "$.status"),
        ("SendMessage", {}, "`message`"),
        ("SendMessage", {"message": "hello"}, "$.message"),
        ("SendMessage", sending(messageId=None), "`messageId`"),
        ("SendMessage", sending(messageId=""), "`messageId`"),
        ("SendMessage", sending(messageId=7), "$.message.messageId"),
        ("SendMessage", sending(role=None), "`role`"),
        ("SendMessage", sending(role="ROLE_AGENT"), "$.message.role"),
        ("SendMessage", sending(role="user"), "$.message.role"),
        ("SendMessage", sending(parts=None), "`parts`"),
        ("SendMessage", sending(parts=[]), "`parts`"),
        ("SendMessage", sending(parts="hello"), "$.message.parts"),
        ("SendMessage", sending(parts=["hello"]), "$.message.parts[0]"),
        ("SendMessage", sending(parts=[{"text": "a"}, {"text": 5}]), "$.message.parts[1].text"),
        ("SendMessage", sending(parts=[{}]), "none of them - at `$.message.parts[0]`"),
        ("SendMessage", sending(parts=[{"kind": "text"}]), "none of them - at `$.message.parts[0]`"),
        ("SendMessage", sending(parts=[{"text": "a", "data": {}}]), "`text` and `data` - at `$.message.parts[0]`"),
        ("SendMessage", sending(parts=[{"text": "a", "raw": "YQ=="}]), "`text` and `raw` - at `$.message.parts[0]`"),
        ("SendMessage", sending(parts=[{"raw": "YQ==", "url": "http://x/"}]), "`raw` and `url`"),
        ("SendMessage", sending(parts=[{"raw": "not base64!", "filename": "x.bin"}]), "'x.bin' is not base64"),
        ("SendMessage", sending(parts=[{"raw": "AAEC", "filename": "x.bin"}]), "'x.bin' is binary"),
        ("SendMessage", sending(parts=[{"raw": "H4sIAAAA", "filename": "x.gz"}]), "'x.gz'"),
        (
            "SendMessage",
            sending(parts=[{"url": "http://x/", "filename": "x.log"}]),
            "'x.log' has url 'http://x/', which",
        ),
        ("SendMessage", sending(metadata="x"), "$.message.metadata"),
        ("SendMessage", {**sending(), "configuration": {"returnImmediately": "no"}}, "returnImmediately"),
        ("SendStreamingMessage", sending(parts=[]), "`parts`"),
    ],
)
async def test_invalid_params_are_refused_with_their_path(
    served: Agent, method: str, params: dict[str, Any], where: str
) -> None:
    error = await served.error(method, params)
    assert error["code"] == -32602
    assert where in error["message"]
    assert (await served.log.list("local")).heads == []  # no task was created


async def test_unknown_fields_are_ignored(served: Agent) -> None:
    assert (await served.error("GetTask", {"id": UNKNOWN, "generation": 4}))["code"] == -32001


# Unknown tasks


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("GetTask", {"id": UNKNOWN}),
        ("GetTask", {"id": "\u0000/../'\";é" * 20}),
        ("CancelTask", {"id": UNKNOWN}),
        ("SubscribeToTask", {"id": UNKNOWN}),
        ("SendMessage", sending(taskId=UNKNOWN)),
        ("SendStreamingMessage", sending(taskId=UNKNOWN)),
    ],
)
async def test_an_unknown_task_is_not_found(served: Agent, method: str, params: dict[str, Any]) -> None:
    error = await served.error(method, params)
    assert error["code"] == -32001
    assert error["data"] == [{"@type": ERROR_INFO, "reason": "TASK_NOT_FOUND", "domain": "a2a-protocol.org"}]
    assert len(error["message"]) < 200


async def test_an_undeclared_extended_card_is_unsupported(served: Agent) -> None:
    error = await served.error("GetExtendedAgentCard")  # 3.3.4; -32007 is for a card that declares it
    assert (error["code"], error["data"][0]["reason"]) == (-32004, "UNSUPPORTED_OPERATION")


# Bodies


@pytest.mark.parametrize("size", [LIMIT + 1, 50 * LIMIT, 500 * LIMIT])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_a_413_with_a_json_rpc_error(served: Agent, size: int, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, size, 10_000):
            yield b" " * min(10_000, size - at)

    response = await served.http.post(served.url + "/", content=chunks() if chunked else b" " * size, headers=JSON)
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert (answer["jsonrpc"], answer["id"], answer["error"]["code"]) == ("2.0", None, -32602)
    assert f"limit is {LIMIT:,} bytes" in answer["error"]["message"]


async def test_a_body_at_the_limit_is_accepted(served: Agent) -> None:
    assert (await served.post(rpc().ljust(LIMIT))).json()["error"]["code"] == -32001


async def test_a_caller_that_disconnects_during_its_request_logs_no_error(
    served: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    place = urlsplit(served.url)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            writer.write(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
            writer.write(b"Content-Length: 500\r\n\r\n" + rpc()[:20])
            writer.write_eof()
            assert await reader.read() == b""  # the server has noticed
            writer.close()
        assert (await served.post(rpc())).status_code == 200
    assert caplog.records == []
