"""Other people's A2A clients ask an agent at the gateway, with a token, and get what its own address would give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.app import create_app
from tailrace.a2a.peer import Peer
from tailrace.config import Settings
from tailrace.errors import LogUnavailable
from tailrace.owner import OWNER_HEADER
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import wait_for_end
from tests.contract.log_tasks import created
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message
from tests.support.front_door import RUN_SECRET, FrontDoor, front_door
from tests.support.http import serve
from tests.support.jsonrpc import rpc

pytestmark = pytest.mark.asyncio(loop_scope="module")
GATE = asyncio.Event()
CARD = "/.well-known/agent-card.json"
V1 = {"A2A-Version": "1.0", "Content-Type": "application/json"}
# Every verb and kind of path that an agent serves, but for its card.
DOORS = [("POST", "/"), ("POST", ""), ("POST", "/message/stream"), ("POST", "/message:send"),
         ("POST", "/message:stream"), ("GET", "/tasks"), ("GET", "/tasks/x"), ("POST", "/tasks/x:cancel"),
         ("GET", "/tasks/x:subscribe"), ("POST", "/tasks/x:subscribe"), ("HEAD", "/tasks/x:subscribe"),
         ("GET", "/tasks/x/pushNotificationConfigs"), ("DELETE", "/tasks/x/pushNotificationConfigs/y"),
         ("GET", "/extendedAgentCard"), ("GET", "/nothing")]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door() -> AsyncIterator[FrontDoor]:
    async with front_door(hello_world(GATE), limit_s=None, cors_origins="https://friend.example") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _shut() -> None:
    GATE.clear()


async def call(door: FrontDoor, method: str, params: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    return await door.http.post(f"{door.url}/", json=rpc(method, params), headers={**V1, **headers})


async def begun(door: FrontDoor, name: str = "ci", text: str = "hello") -> str:
    answer = await call(door, "SendMessage", {"message": message(text)}, await door.bearer(name))
    return str(answer.json()["result"]["task"]["id"])


async def test_without_a_credential_only_cards_are_served(door: FrontDoor) -> None:
    wrong = f"Bearer trk_0123456789abcdef_{'x' * 43}"
    for unknown in ({}, {"Authorization": wrong}, {"Authorization": f"Bearer {RUN_SECRET}"}, {OWNER_HEADER: "local"}):
        for verb, path in DOORS:
            refused = await door.http.request(verb, door.url + path, content=b"{}", headers={**V1, **unknown})
            assert refused.status_code == 401, (verb, path)
            assert refused.headers["www-authenticate"].startswith("Bearer")
    assert (await door.http.get(door.url + CARD)).status_code == 200


async def test_a_card_has_the_gateways_addresses_and_what_it_takes_to_come_in(door: FrontDoor) -> None:
    for version in ({}, {"A2A-Version": "1.0"}):
        at_root, below = [await door.http.get(path, headers=version) for path in (CARD, door.url + CARD)]
        assert at_root.json() == below.json()
        card, own = below.json(), door.agent.url
        assert own not in below.text
        assert {each["url"].rstrip("/") for each in card["supportedInterfaces"]} == {door.url}
        (scheme,) = card["securitySchemes"].values()
        assert scheme["httpAuthSecurityScheme"]["scheme"] == "Bearer"
        assert card["securityRequirements"] == [{"schemes": {name: {"list": []} for name in card["securitySchemes"]}}]
        old = {"url": f"{door.url}/", "security": [{name: [] for name in card["securitySchemes"]}]}
        assert {key: card.get(key) for key in old} == (dict.fromkeys(old) if version else old)
        assert ("type" in scheme) is not bool(version)
        assert below.headers["cache-control"] == "private, max-age=300"
        unchanged = await door.http.get(CARD, headers={**version, "If-None-Match": at_root.headers["etag"]})
        assert unchanged.status_code == 304


async def test_a_task_belongs_to_the_tokens_owner_and_is_the_same_in_the_api(door: FrontDoor) -> None:
    task, mine, other = await begun(door), await door.bearer(), await door.bearer("other")
    assert (await door.http.get("/api/tasks", headers=mine)).json()["tasks"][0]["id"] == task
    assert (await door.http.get("/api/tasks", headers=other)).json()["tasks"] == []
    for forged in ({}, {OWNER_HEADER: (await door.log.head(task)).owner}):
        assert (await call(door, "GetTask", {"id": task}, {**other, **forged})).json()["error"]["code"] == -32001
        assert (await call(door, "ListTasks", {}, {**other, **forged})).json()["result"]["tasks"] == []
    rest = await door.http.get(f"{door.url}/tasks/{task}", headers={**V1, **mine})
    assert rest.json()["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_stream_comes_as_the_agent_sends_it_and_goes_on_at_its_cursor(door: FrontDoor) -> None:
    mine = await door.bearer()
    GATE.set()
    body = rpc("SendStreamingMessage", {"message": message("hello")})
    whole = await door.http.post(f"{door.url}/", json=body, headers={**V1, **mine})
    assert whole.headers["content-type"].startswith("text/event-stream")
    task = (await door.http.get("/api/tasks", headers=mine)).json()["tasks"][0]["id"]
    ids = [int(line[4:]) for line in whole.text.splitlines() if line.startswith("id: ")]
    assert ids == list(range(1, len(ids) + 1))
    again = await door.http.get(
        f"{door.url}/tasks/{task}:subscribe", headers={**V1, **mine, "Last-Event-ID": str(ids[-3])}
    )
    assert [line for line in again.text.splitlines() if line.startswith("id: ")] == [f"id: {n}" for n in ids[-2:]]


async def test_a_token_that_may_only_read_begins_and_changes_nothing(door: FrontDoor) -> None:
    reader = await door.bearer("reader", "read")
    for method in ("ListTasks", "SubscribeToTask", "tasks/get"):
        assert (await call(door, method, {}, reader)).status_code == 200, method
    for method in ("SendMessage", "CancelTask", "message/send", "getTask", "CreateTaskPushNotificationConfig"):
        assert (await call(door, method, {}, reader)).status_code == 403, method
    for path, status in (("/message:send", 403), ("/tasks/x:cancel", 403), ("/tasks/x:subscribe", 404)):
        assert (await door.http.post(door.url + path, headers={**V1, **reader})).status_code == status, path
    assert (await door.http.get(f"{door.url}/tasks", headers={**V1, **reader})).status_code == 200


@pytest.mark.parametrize("name", ["nobody", "log_analyst", "%2e%2e", "x" * 300])
async def test_an_agent_that_is_not_public_is_as_unknown_as_none(door: FrontDoor, name: str) -> None:
    for path, status in ((CARD, 404), ("/", 404), ("/tasks", 404)):
        answer = await door.http.get(f"/agents/{name}{path}", headers={**V1, **await door.bearer()})
        assert answer.status_code == status
        assert "Traceback" not in answer.text


async def test_what_is_no_path_of_an_agent_reaches_none(door: FrontDoor) -> None:
    for path in ("/../", "/%2e%2e/x", "/tasks/..%2f..%2f", "/a%5c..%5cb", "/%252e%252e/x"):
        url = httpx.URL(door.url, raw_path=f"{httpx.URL(door.url).path}{path}".encode())
        assert (await door.http.get(url, headers=await door.bearer())).status_code == 404, path
    broken = await door.http.get(f"{door.url}/tasks/x%0D%0A", headers=await door.bearer())
    assert (broken.status_code, "There is no agent" in broken.text) == (404, False)


async def test_an_agents_own_refusals_are_passed_on(door: FrontDoor) -> None:
    mine = await door.bearer()
    plain = await door.http.post(f"{door.url}/", content=b"{}", headers={**mine, "Content-Type": "text/plain"})
    assert plain.status_code == 415
    unknown = await call(door, "GetTask", {"id": "x"}, mine)
    assert unknown.json()["error"]["code"] == -32001
    bad = await door.http.get(f"{door.url}/tasks", headers={**mine, "A2A-Version": "é".encode()})  # type: ignore[dict-item]
    assert (bad.status_code, "a2a-version" in bad.text) == (400, True)
    assert (await call(door, "DeleteThread", {"contextId": "x"}, mine)).status_code == 403
    version = await call(door, "ListTasks", {}, {**mine, "A2A-Version": "7.0"})
    assert version.json()["error"]["code"] == -32009


async def test_only_pages_of_the_origins_that_are_allowed_ask_and_never_with_a_cookie(door: FrontDoor) -> None:
    friend, stranger = {"Origin": "https://friend.example"}, {"Origin": "https://evil.example"}
    mine, site = await door.bearer(), {"Sec-Fetch-Site": "cross-site"}
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,a2a-version"}
    allowed = await door.http.options(f"{door.url}/", headers={**friend, **wanted, **site})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, friend["Origin"])
    assert "access-control-allow-credentials" not in allowed.headers
    asked = await call(door, "ListTasks", {}, {**mine, **friend, **site})
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, friend["Origin"])
    refused = await call(door, "ListTasks", {}, {**friend, **site})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, friend["Origin"])
    assert (await call(door, "ListTasks", {}, {**mine, **friend, "Cookie": "a=b"})).status_code == 403
    assert (await call(door, "ListTasks", {}, {**mine, **stranger})).status_code == 403
    for origin in (stranger, {"Origin": "null"}, {"Origin": "https://friend.example.evil.example"}):
        answer = await door.http.options(f"{door.url}/", headers={**origin, **wanted})
        assert "access-control-allow-origin" not in answer.headers
    assert (await door.http.post("/api/tasks", headers={**V1, **mine, **friend})).status_code == 403
    assert "access-control-allow-origin" not in (await door.http.get("/api/tasks", headers={**mine, **friend})).headers


async def test_without_the_setting_no_page_of_another_site_may_ask() -> None:
    async with front_door(hello_world()) as door:
        headers = {"Origin": "https://friend.example", "Access-Control-Request-Method": "POST"}
        for path in (f"{door.url}/", CARD, "/api/tasks"):
            answer = await door.http.options(path, headers=headers)
            assert answer.status_code in (401, 405)
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_streams_of_agents_count_among_the_gateways(door: FrontDoor) -> None:
    async with front_door(hello_world(GATE), max_streams=1) as small:
        mine, body = await small.bearer(), rpc("SendStreamingMessage", {"message": message("slow")})
        async with small.http.stream("POST", f"{small.url}/", json=body, headers={**V1, **mine}) as first:
            assert first.status_code == 200
            pieces = first.aiter_bytes()  # without it the response would be closed
            await anext(pieces)
            full = await small.http.post(f"{small.url}/", json=body, headers={**V1, **mine})
            assert (full.status_code, full.headers["retry-after"]) == (503, "5")
            GATE.set()


async def test_an_agent_that_cannot_be_reached_does_not_show_its_address(door: FrontDoor) -> None:
    address = "http://127.0.0.1:9/"
    settings = Settings(log="memory", orchestrator="hello_world", orchestrator_url=address, run_secret=RUN_SECRET)
    async with serve(create_app(settings, log=door.log, credentials=door.credentials)) as url:
        for path in (CARD, "/tasks"):
            answer = await door.http.get(f"{url}/agents/hello_world{path}", headers=await door.bearer())
            assert answer.status_code == 502
            assert "127.0.0.1" not in answer.text


async def test_an_error_of_the_api_does_not_show_an_agents_address(door: FrontDoor) -> None:
    address = "http://127.0.0.1:9/"
    settings = Settings(log="memory", orchestrator_url=address, specialist_urls="http://127.0.0.1:9/other")
    app = create_app(settings, log=door.log, decide_owner=lambda _: "ada")
    async with serve(app) as url:
        listed = await door.http.get(f"{url}/api/agents")
        assert listed.json()["agents"] == [{"error": "The gateway's log says why."}] * 2
        task = await created(door.log, owner="ada", agent="orchestrator")
        reply = await door.http.post(f"{url}/api/tasks/{task}/messages", json={"message": {"parts": [{"text": "x"}]}})
        gone = await created(door.log, owner="ada", agent="no_more")
        to_nobody = await door.http.post(
            f"{url}/api/tasks/{gone}/messages", json={"message": {"parts": [{"text": "x"}]}}
        )
    assert (reply.status_code, reply.json()["detail"]) == (
        502, "The agent did not answer; the gateway's log says why.",
    )  # fmt: skip
    assert to_nobody.json()["detail"] == "No agent of this bundle that can be reached has the name 'no_more'."
    for answer in (listed, reply, to_nobody):
        assert "127.0.0.1" not in answer.text


async def test_a_message_may_be_answered_as_late_as_a_stream_ends(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[tuple[float | None, float | None]] = []
    ask = Peer.ask

    def noted(self: Peer, *of: Any, silence_s: float | None, head_s: float | None) -> Any:
        waited.append((silence_s, head_s))
        return ask(self, *of, silence_s=silence_s, head_s=head_s)

    monkeypatch.setattr(Peer, "ask", noted)
    await begun(door)
    await call(door, "ListTasks", {}, await door.bearer())
    rotate_s = Settings().rotate_s
    assert waited == [(rotate_s, rotate_s), (None, None)]


async def test_a_stream_is_cut_between_two_frames_when_the_store_of_credentials_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unavailable(_: Any) -> bool:
        raise LogUnavailable("The credentials are unavailable.")

    async with front_door(hello_world(GATE), session_check_s=0.05, heartbeat_s=0.1) as door:
        monkeypatch.setattr(door.credentials, "is_valid", unavailable)
        body = rpc("SendStreamingMessage", {"message": message("slow")})
        cut = await door.http.post(f"{door.url}/", json=body, headers={**V1, **await door.bearer()})
        assert cut.text.endswith("\n\n")
        assert "TASK_STATE_COMPLETED" not in cut.text
        GATE.set()


async def test_a_stream_whose_token_is_revoked_is_closed_and_its_run_goes_on() -> None:
    async with front_door(hello_world(GATE), session_check_s=0.05, heartbeat_s=0.1) as door:
        mine, body = await door.bearer(), rpc("SendStreamingMessage", {"message": message("slow")})
        async with door.http.stream("POST", f"{door.url}/", json=body, headers={**V1, **mine}) as stream:
            pieces = stream.aiter_text()
            await anext(pieces)
            (token,) = await door.credentials.of("tokens")
            await door.credentials.end(token.holder, token.id)
            rest = "".join([piece async for piece in pieces])
        assert "TASK_STATE_COMPLETED" not in rest
        GATE.set()
        assert (await call(door, "ListTasks", {}, mine)).status_code == 401
        (head,) = (await door.log.list(token.owner)).heads
        async with asyncio.timeout(60):
            assert await wait_for_end(door.log, Feeds(door.log, Settings()), head.task_id) == "TASK_STATE_COMPLETED"
