"""Who may call an agent: any program and web page on this machine can reach its port."""

from __future__ import annotations

import pytest

from tailrace.a2a.client import AgentClient
from tailrace.config import Settings
from tailrace.errors import AgentError
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message
from tests.support.in_process import CARD, agent
from tests.support.jsonrpc import Agent

SECRET = "correct-horse-battery-staple"
BEARER = {"authorization": f"Bearer {SECRET}"}
LIST = b'{"jsonrpc":"2.0","id":7,"method":"ListTasks"}'
CARD_PATH = "/.well-known/agent-card.json"
# Every verb and kind of path that an agent serves.
DOORS = [("POST", "/"), ("POST", "/message/stream"), ("POST", "/message:send"), ("POST", "/message:stream"),
         ("GET", "/tasks"), ("GET", "/tasks/x"), ("POST", "/tasks/x:cancel"), ("GET", "/tasks/x:subscribe"),
         ("POST", "/tasks/x:subscribe"), ("GET", "/tasks/x/pushNotificationConfigs"),
         ("DELETE", "/tasks/x/pushNotificationConfigs/y"), ("GET", "/extendedAgentCard"),
         ("POST", f"/agents/{CARD.name}/")]  # fmt: skip
HEADERS = {"A2A-Version": "1.0", "Content-Type": "application/json"}


async def nothing_happened(served: Agent) -> bool:
    return (await served.log.list("local")).heads == []


@pytest.mark.parametrize("kind", [None, "", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"])
async def test_a_post_without_a_json_content_type_is_refused(kind: str | None) -> None:
    """Any web page may send these content types without a preflight: `no-cors`, `sendBeacon`, a form."""
    async with agent(hello_world()) as served:
        headers = {"A2A-Version": "1.0"} | ({} if kind is None else {"Content-Type": kind})
        for path in ("/", "/message/stream", "/message:send", "/message:stream"):
            body = b'{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":%b}}'
            sent = b'{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hello"}]}'
            content = body % sent if ":" not in path else b'{"message":%b}' % sent
            refused = await served.http.post(served.url + path, content=content, headers=headers)
            assert refused.status_code == 415
            assert "must be application/json or application/a2a+json" in refused.json()["error"]["message"]
        assert await nothing_happened(served)


async def test_a_request_with_a_foreign_host_header_is_refused() -> None:
    async with agent(hello_world()) as served:
        for verb, path in [*DOORS, ("GET", CARD_PATH), ("HEAD", CARD_PATH)]:
            request = served.http.build_request(verb, served.url + path, headers=HEADERS | {"Host": "evil.example"})
            refused = await served.http.send(request)
            assert refused.status_code == 421, (verb, path)
            if verb != "HEAD":
                text = refused.json()["error"]["message"]
                assert text.startswith("Host has value 'evil.example', but must be a name or an address of loopback")
        assert await nothing_happened(served)


async def test_the_card_names_the_host_of_the_request() -> None:
    async with agent(hello_world(), hosts="agents.example") as served:
        for host in ("localhost:1234", "agents.example"):
            card = await served.http.get(served.url + CARD_PATH, headers={"Host": host})
            assert card.json()["url"] == f"http://{host}/"
            # A shared cache must not store it.
            assert card.headers["cache-control"] == "private, max-age=300"
            assert "access-control-allow-origin" not in card.headers


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:1", "null", ""])
async def test_a_request_from_a_page_of_another_origin_is_refused(origin: str) -> None:
    """A request without a body, which needs no content type, is refused too."""
    async with agent(hello_world()) as served:
        for verb, path in DOORS:
            if verb != "GET":
                headers = {"A2A-Version": "1.0", "Origin": origin}
                for kind in ({}, {"Content-Type": "application/json"}):
                    body = LIST if kind else b""
                    refused = await served.http.request(verb, served.url + path, content=body, headers=headers | kind)
                    assert refused.status_code == 403, (verb, path)
                    assert f"Origin has value '{origin}'" in refused.json()["error"]["message"]


async def test_a_preflight_request_from_another_origin_is_not_allowed() -> None:
    async with agent(hello_world()) as served:
        preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        for path in ("/", "/message:send", CARD_PATH):
            answer = await served.http.request("OPTIONS", served.url + path, headers=preflight)
            assert answer.status_code == 405
            assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_without_the_run_secret_only_the_card_is_served() -> None:
    async with agent(hello_world(), run_secret=SECRET) as served:
        card = await served.http.get(served.url + CARD_PATH)
        assert card.status_code == 200
        (scheme,) = card.json()["securitySchemes"].values()
        assert scheme["httpAuthSecurityScheme"]["scheme"] == "Bearer"
        for wrong in (
            {},
            {"Authorization": "Bearer x"},
            {"Authorization": f"Basic {SECRET}"},
            {"x-tailrace-owner": "a"},
        ):
            for verb, path in DOORS:
                body = LIST if verb == "POST" else b""
                refused = await served.http.request(verb, served.url + path, content=body, headers=HEADERS | wrong)
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer"), (verb, path)
        assert await nothing_happened(served)


async def test_requests_with_the_run_secret_are_served() -> None:
    async with agent(hello_world(), run_secret=SECRET) as served:
        sent = await served.result("SendMessage", {"message": message("hello")}, **BEARER)
        assert sent["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
        rest = await served.http.get(served.url + "/tasks", headers=HEADERS | BEARER)
        assert [task["id"] for task in rest.json()["tasks"]] == [sent["task"]["id"]]


async def test_our_client_sends_the_secret_only_to_our_own_agents() -> None:
    async with agent(hello_world(), run_secret=SECRET) as served:
        own = Settings(agent_urls=served.url, run_secret=SECRET)
        listed = await AgentClient(served.http, served.url + "/", owner="alice", settings=own).call("ListTasks", {})
        assert listed["totalSize"] == 0
        foreign = Settings(run_secret=SECRET)
        with pytest.raises(AgentError, match="does not know the caller"):
            await AgentClient(served.http, served.url + "/", owner="alice", settings=foreign).call("ListTasks", {})


async def test_an_agent_with_decide_owner_needs_no_run_secret() -> None:
    """Its callers send their own credentials in the same header."""
    options = {"decide_owner": lambda request: "ann" if request.headers.get("authorization") == "Bearer a" else None}
    async with agent(hello_world(), run_secret=SECRET, options=options) as served:
        assert (await served.post(LIST, authorization="Bearer a")).status_code == 200
        assert (await served.post(LIST, **BEARER)).status_code == 401


@pytest.mark.parametrize("name", [f"iss/{'0' * 8}-0000-0000-0000-{'0' * 12}", "jürgen", "a\0b", "x" * 5000, "o-1"])
async def test_an_owner_of_any_name_sees_only_its_own_tasks(name: str) -> None:
    options = {"decide_owner": lambda request: name if "authorization" in request.headers else "somebody else"}
    async with agent(hello_world(), options=options) as served:
        sent = await served.result("SendMessage", {"message": message("hello")}, authorization="Bearer a")
        listed = await served.result("ListTasks", authorization="Bearer a")
        assert [task["id"] for task in listed["tasks"]] == [sent["task"]["id"]]
        assert (await served.error("GetTask", {"id": sent["task"]["id"]}))["code"] == -32001


@pytest.mark.parametrize("owner", ["jürgen", "iss/me", "x" * 20_000, "a, b", "/" + "0" * 36])
async def test_any_owner_header_is_accepted(owner: str) -> None:
    async with agent(hello_world()) as served:
        headers = [
            (b"x-tailrace-owner", owner.encode()),
            (b"content-type", b"application/json"),
            (b"a2a-version", b"1.0"),
        ]
        answer = await served.http.post(served.url + "/", content=LIST, headers=headers)
        assert (answer.status_code, answer.json()["result"]["totalSize"]) == (200, 0)
