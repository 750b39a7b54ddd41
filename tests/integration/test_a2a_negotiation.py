"""Extensions, media types, versions, authentication and the extended card (specification, 3.3, 4.6, 7, 13)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from langgraph.graph import START, StateGraph
from starlette.requests import Request

import tailrace
from tailrace import AgentApp, AgentCard, Extension
from tailrace.errors import ConfigError
from tailrace.inputs.request import Request as Asked
from tests.sample_agents.hello_world import hello_world
from tests.support.events import EXTENSION, message
from tests.support.in_process import CARD, agent
from tests.support.jsonrpc import Agent

MINE = Extension(uri="urn:example:mine", description="Mine.")
NEEDED = Extension(uri="urn:example:needed", description="Needed.", required=True, params={"level": 3})


def with_extensions(*extensions: Extension) -> AgentCard:
    return msgspec.structs.replace(CARD, extensions=list(extensions))


async def activated(served: Agent, wanted: str, **options: Any) -> str:
    response = await served.post(b'{"jsonrpc":"2.0","id":1,"method":"ListTasks"}', a2a_extensions=wanted, **options)
    assert "result" in response.json()
    return response.headers.get("a2a-extensions", "")


# 4.6


async def test_4_6_1_the_card_declares_the_authors_extensions_after_ours() -> None:
    async with agent(hello_world(), card=with_extensions(MINE, NEEDED)) as served:
        card = (await served.http.get(served.url + "/.well-known/agent-card.json")).json()
    ours, *others = card["capabilities"]["extensions"]
    assert (ours["uri"], ours["required"]) == (EXTENSION, False)
    assert {"uri": MINE.uri, "description": "Mine."} in others
    assert {"uri": NEEDED.uri, "description": "Needed.", "required": True, "params": {"level": 3}} in others


async def test_4_6_3_only_requested_extensions_of_the_card_are_activated() -> None:
    async with agent(hello_world(), card=with_extensions(MINE)) as served:
        assert await activated(served, "urn:example:unknown") == ""
        assert await activated(served, f"urn:example:unknown , {MINE.uri}") == MINE.uri
        assert await activated(served, f"{MINE.uri},{EXTENSION}") == f"{EXTENSION}, {MINE.uri}"


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask"])
async def test_3_3_4_a_request_without_a_required_extension_is_refused(method: str) -> None:
    async with agent(hello_world(), card=with_extensions(NEEDED)) as served:
        params = {"message": message("hello"), "id": "x"}
        error = await served.error(method, params)
        assert (error["code"], error["data"][0]["reason"]) == (-32008, "EXTENSION_SUPPORT_REQUIRED")
        assert NEEDED.uri in error["message"]
        rest = await served.http.post(f"{served.url}/message:send", json=params, headers={"A2A-Version": "1.0"})
        assert (rest.status_code, rest.json()["error"]["details"][0]["reason"]) == (400, "EXTENSION_SUPPORT_REQUIRED")
        assert (await served.log.list("local")).heads == []
        sent = await served.call("SendMessage", {"message": message("hello")}, a2a_extensions=NEEDED.uri)
        assert sent["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_the_extensions_header_of_0_3_is_accepted() -> None:
    async with agent(hello_world(), card=with_extensions(NEEDED)) as served:
        params = {"id": "x"}
        assert (await served.error("tasks/get", params, version="0.3"))["code"] == -32008
        error = await served.error("tasks/get", params, version="0.3", x_a2a_extensions=NEEDED.uri)
        assert error["code"] == -32001


# 3.1.1: media types


@pytest.mark.parametrize("kind", ["image/png", "audio/wav", "application/pdf", "application/x-made-up", "IMAGE/PNG"])
async def test_3_1_1_a_part_of_an_undeclared_media_type_is_refused(kind: str) -> None:
    async with agent(hello_world()) as served:
        parts = [{"text": "Look."}, {"raw": "eA==", "mediaType": kind}]
        for method in ("SendMessage", "SendStreamingMessage"):
            error = await served.error(method, {"message": message("", parts=parts)})
            assert (error["code"], error["data"][0]["reason"]) == (-32005, "CONTENT_TYPE_NOT_SUPPORTED")
        body, headers = {"message": message("", parts=parts)}, {"A2A-Version": "1.0"}
        rest = await served.http.post(f"{served.url}/message:send", json=body, headers=headers)
        assert rest.status_code == 400  # section 5.4
        assert (await served.log.list("local")).heads == []


@pytest.mark.parametrize(
    "kind",
    [
        *(
            "text/csv",
            "text/x-log; charset=utf-8",
            "application/json",
            "application/gzip",
            "",
            "TEXT/CSV; charset=utf-8",
        ),
        *(
            "application/vnd.ms-excel",
            "application/csv",
            "application/x-log",
            "application/x-ndjson",
            "application/yaml",
        ),
        *("application/octet-stream", "binary/octet-stream", "application/problem+json", "application/xml"),
    ],
)
async def test_3_1_1_every_text_media_type_is_accepted(kind: str) -> None:
    async with agent(hello_world()) as served:
        parts = [{"text": "Look.", "filename": "app.log", "mediaType": kind}]
        await served.result("SendMessage", {"message": message("", parts=parts)})


# 3.1.11, 7.4, 13.3


def by_token(request: Request) -> str | None:
    """Return the owner of a token."""
    return {"Bearer a": "ann", "Bearer b": "bob"}.get(request.headers.get("authorization", ""))


def more(owner: str) -> AgentCard | None:
    return msgspec.structs.replace(CARD, description=f"For {owner}.") if owner == "ann" else None


SECURED = msgspec.structs.replace(
    CARD,
    security_schemes={"bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}},
    security_requirements=[{"schemes": {"bearer": {"list": []}}}],
)
OPTIONS = {"decide_owner": by_token, "extended_card": more}


async def test_13_3_only_authenticated_callers_get_the_extended_card() -> None:
    async with agent(hello_world(), card=SECURED, options=OPTIONS) as served:
        public = (await served.http.get(served.url + "/.well-known/agent-card.json")).json()
        assert public["capabilities"]["extendedAgentCard"] is True
        assert public["securitySchemes"] == SECURED.security_schemes
        assert public["securityRequirements"] == SECURED.security_requirements
        card = await served.result("GetExtendedAgentCard", authorization="Bearer a")
        assert (card["description"], card["supportedInterfaces"]) == ("For ann.", public["supportedInterfaces"])
        headers = {"A2A-Version": "1.0", "Authorization": "Bearer a"}
        assert (await served.http.get(f"{served.url}/extendedAgentCard", headers=headers)).json() == card
        card_v0_3 = await served.result("agent/getAuthenticatedExtendedCard", version="0.3", authorization="Bearer a")
        assert (card_v0_3["description"], card_v0_3["protocolVersion"], card_v0_3["url"]) == (
            "For ann.",
            "0.3.0",
            served.url + "/",
        )
        error = await served.error("GetExtendedAgentCard", authorization="Bearer b")
        assert (error["code"], error["data"][0]["reason"]) == (-32007, "EXTENDED_AGENT_CARD_NOT_CONFIGURED")


@pytest.mark.parametrize("token", ["", "Bearer x", "Basic a"])
async def test_7_4_an_unauthenticated_request_is_refused(token: str) -> None:
    async with agent(hello_world(), card=SECURED, options=OPTIONS) as served:
        for body in (b'{"jsonrpc":"2.0","id":7,"method":"ListTasks"}', b'{"jsonrpc":"2.0","id":7,"method":"GetTask"}'):
            response = await served.post(body, authorization=token)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert (response.json()["id"], response.json()["error"]["code"]) == (7, -32000)
        headers = {"A2A-Version": "1.0", "Authorization": token}
        for verb, path in (("GET", "/tasks"), ("POST", "/message:send"), ("GET", "/extendedAgentCard")):
            rest = await served.http.request(verb, served.url + path, headers=headers)
            assert (rest.status_code, rest.headers["www-authenticate"]) == (401, "Bearer")
            assert rest.json()["error"]["status"] == "UNAUTHENTICATED"


async def test_13_1_the_agent_decides_the_owner_not_the_caller() -> None:
    async with agent(hello_world(), card=SECURED, options=OPTIONS) as served:
        sent = await served.result("SendMessage", {"message": message("hello")}, authorization="Bearer a")
        other = {"authorization": "Bearer b", "x_tailrace_owner": "ann"}
        assert (await served.error("GetTask", {"id": sent["task"]["id"]}, **other))["code"] == -32001


def test_13_3_an_extended_card_requires_decide_owner() -> None:
    with pytest.raises(ConfigError, match="decide_owner"):
        AgentApp(hello_world(), CARD, extended_card=more)


# 5.7: versions


async def test_5_7_a_1_0_client_gets_a_card_without_0_3_fields() -> None:
    async with agent(hello_world()) as served:
        place = served.url + "/.well-known/agent-card.json"
        for_any_version = (await served.http.get(place)).json()
        for_1_0 = (await served.http.get(place, headers={"A2A-Version": "1.0"})).json()
    fields_v0_3 = {"url", "preferredTransport", "protocolVersion", "supportsAuthenticatedExtendedCard"}
    assert for_any_version.keys() - for_1_0.keys() == fields_v0_3
    assert {key: value for key, value in for_any_version.items() if key not in fields_v0_3} == for_1_0


# 3.1.1: messages, 4.1.3: rejection


async def polite(request: Asked) -> str | None:
    return "Hello to you." if request.text == "hello" else None


async def test_3_1_1_an_agent_may_answer_without_a_task() -> None:
    async with agent(hello_world(), options={"answer": polite}) as served:
        answer = await served.result("SendMessage", {"message": message("hello", contextId="mine")})
        assert answer["message"]["parts"] == [{"text": "Hello to you."}]
        assert (answer["message"]["role"], answer["message"]["contextId"]) == ("ROLE_AGENT", "mine")
        (frame,) = await served.frames("SendStreamingMessage", {"message": message("hello")})
        assert (frame.id, frame.result.keys()) == (None, {"message"})
        sent = {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "hello"}]}
        answer_v0_3 = await served.result("message/send", {"message": sent}, version="0.3")
        assert (answer_v0_3["kind"], answer_v0_3["role"], answer_v0_3["parts"]) == (
            "message",
            "agent",
            [{"kind": "text", "text": "Hello to you."}],
        )
        assert (await served.log.list("local")).heads == []
        assert "task" in await served.result("SendMessage", {"message": message("else")})


async def test_a_message_that_already_has_a_task_gets_that_task() -> None:
    async with agent(hello_world()) as served:
        sent = message("hello")
        task = (await served.result("SendMessage", {"message": sent}))["task"]
        async with agent(hello_world(), log=served.log, options={"answer": polite}) as polite_one:
            assert (await polite_one.result("SendMessage", {"message": sent}))["task"]["id"] == task["id"]


async def test_4_1_3_a_node_may_reject_the_task() -> None:
    async def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise tailrace.Rejected("Not my job.")

    async with agent(StateGraph(dict).add_node("refuse", refuse).add_edge(START, "refuse")) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
    assert task["status"]["state"] == "TASK_STATE_REJECTED"
    assert task["status"]["message"]["parts"] == [{"text": "Not my job."}]


async def test_4_1_6_a_node_may_attach_files() -> None:
    async def give(_: dict[str, Any]) -> dict[str, Any]:
        tailrace.file("notes.txt", "Hi.")
        tailrace.file("chart", b"\x00\x01", filename="chart.png", media_type="image/png")
        tailrace.file("far", url="https://example.com/far.csv", filename="far.csv", media_type="text/csv")
        return {}

    async with agent(StateGraph(dict).add_node("give", give).add_edge(START, "give")) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
    assert {each["name"]: each["parts"] for each in task["artifacts"]} == {
        "notes.txt": [{"raw": "SGku", "filename": "notes.txt", "mediaType": "text/plain"}],
        "chart": [{"raw": "AAE=", "filename": "chart.png", "mediaType": "image/png"}],
        "far": [{"url": "https://example.com/far.csv", "filename": "far.csv", "mediaType": "text/csv"}],
    }


# ProtoJSON


async def test_5_5_field_names_of_the_proto_are_accepted() -> None:
    async with agent(hello_world()) as served:
        sent = {"message_id": "m-1", "role": "ROLE_USER", "parts": [{"text": "ask", "media_type": "text/plain"}]}
        params = {"message": sent, "configuration": {"history_length": 0, "return_immediately": False}}
        task = (await served.result("SendMessage", params))["task"]
        assert "history" not in task
        (kept,) = (await served.result("GetTask", {"id": task["id"], "history_length": 2}))["history"][:1]
        assert (kept["messageId"], kept["parts"][0]["mediaType"]) == ("m-1", "text/plain")
        listed = await served.result("ListTasks", {"context_id": task["contextId"], "page_size": 1})
        assert (listed["totalSize"], listed["pageSize"]) == (1, 1)


async def test_a_message_that_is_not_idempotent_starts_a_new_task() -> None:
    async with agent(hello_world(), options={"idempotent": lambda message_id: message_id != "again"}) as served:
        for message_id, different in (("again", True), ("once", False)):
            params = {"message": message("hello", messageId=message_id)}
            tasks = [(await served.result("SendMessage", params))["task"]["id"] for _ in range(2)]
            assert (tasks[0] != tasks[1]) is different
