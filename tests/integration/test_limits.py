"""Each owner has limits of its own, which all processes count together, and nobody takes what is another's."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from gateway.asked import Asked, asked
from gateway.callers import Caller, Callers
from gateway.limits import Limits
from tailrace.access.credential import READ, new_token
from tailrace.access.store import MemoryCredentials
from tailrace.config import Settings
from tailrace.events import encode
from tailrace.log.memory import MemoryLog
from tailrace.owner import Owner
from tests.contract.log_tasks import created
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message
from tests.support.front_door import FrontDoor, front_door
from tests.support.http import serve
from tests.support.jsonrpc import rpc

V1 = {"A2A-Version": "1.0", "Content-Type": "application/json"}
TASK = {"message": {"parts": [{"text": "hello"}]}}
STREAM = rpc("SendStreamingMessage", {"message": message("slow")})


async def post(door: FrontDoor, name: str, path: str = "/api/tasks", body: Any = None, **more: str) -> httpx.Response:
    return await door.http.post(path, json=body or TASK, headers={**V1, **await door.bearer(name), **more})


async def left(door: FrontDoor, name: str) -> dict[str, int]:
    me = await door.http.get("/api/auth/me", headers=await door.bearer(name))
    return dict(me.json()["left"])


def assert_refused(answer: httpx.Response, most_s: int) -> None:
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= most_s
    assert answer.headers["content-type"] == "application/problem+json"


# What other front ends send, which begins a task and is answered with a stream.
FRONT_ENDS: list[tuple[str, dict[str, Any]]] = [
    (
        "/api/agui/hello_world",
        {"threadId": "t", "runId": "r", "messages": [{"id": "m", "role": "user", "content": "hi"}]},
    ),
    ("/api/chat", {"id": "c", "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "hi"}]}]}),
]


async def test_tasks_of_an_hour_are_counted_at_every_door_and_in_every_process() -> None:
    async with front_door(hello_world(), owner_tasks=2) as door:
        first = await post(door, "ci", **{"Idempotency-Key": "one"})
        assert (await left(door, "ci"))["tasksAnHour"] == 1
        rpc_path, sent = f"{door.url}/", rpc("SendMessage", {"message": message("hello")})
        known = rpc("SendMessage", {"message": message("hello")})
        answered = await post(door, "ci", rpc_path, known)
        assert answered.status_code == 200
        other_process = create_app(
            Settings(log="memory", owner_tasks=2, orchestrator="hello_world", orchestrator_url=f"{door.agent.url}/"),
            log=door.log, credentials=door.credentials, decide_owner=lambda _: None,
        )  # fmt: skip
        async with serve(other_process) as url:
            assert_refused(await post(door, "ci", f"{url}/api/tasks"), 3600)
        for path, body in (("/api/tasks", TASK), (rpc_path, sent), (rpc_path, STREAM), *FRONT_ENDS):
            assert_refused(await post(door, "ci", path, body), 3600)
        rest = await post(door, "ci", f"{door.url}/message:send", {"message": message("hello")})
        assert_refused(rest, 3600)
        # The same request again begins nothing; it is answered as before.
        again = await post(door, "ci", **{"Idempotency-Key": "one"})
        assert (again.status_code, again.json()) == (201, first.json())
        assert (await post(door, "ci", rpc_path, known)).json() == answered.json()
        assert (await left(door, "ci"))["tasksAnHour"] == 0
        assert (await post(door, "other")).status_code == 201
        assert len((await door.http.get("/api/tasks", headers=await door.bearer("ci"))).json()["tasks"]) == 2


async def test_only_so_many_tasks_of_an_owner_run_at_once() -> None:
    async with front_door(hello_world(), owner_running=2) as door:
        await door.token("ci")
        (token,) = await door.credentials.of("tokens")
        for _ in range(2):
            await created(door.log, owner=token.owner)
        assert (await left(door, "ci"))["runningTasks"] == 0
        assert_refused(await post(door, "ci"), 5)
        assert (await post(door, "other")).status_code == 201


async def test_only_so_many_streams_of_an_owner_are_open_and_a_closed_one_makes_room() -> None:
    gate = asyncio.Event()
    async with front_door(hello_world(gate), owner_streams=1) as door:
        ci = {**V1, **await door.bearer("ci")}
        task = (await post(door, "ci", body={"message": {"parts": [{"text": "slow"}]}})).json()["id"]
        async with door.http.stream("GET", f"/api/stream/{task}", headers=ci) as first:
            pieces = first.aiter_bytes()  # without it the response would be closed
            await anext(pieces)
            assert (await left(door, "ci"))["streams"] == 0
            assert_refused(await door.http.get(f"/api/stream/{task}", headers=ci), 5)
            assert_refused(await post(door, "ci", f"{door.url}/", STREAM), 5)
            for path, body in FRONT_ENDS:
                assert_refused(await post(door, "ci", path, body), 5)
            # It has begun nothing.
            assert len((await door.http.get("/api/tasks", headers=ci)).json()["tasks"]) == 1
            # A HEAD has the status of the GET.
            assert_refused(await door.http.head(f"/api/stream/{task}", headers=ci), 5)
        async with asyncio.timeout(60):
            while (await left(door, "ci"))["streams"] == 0:
                await asyncio.sleep(0.01)
        gate.set()
        assert (await door.http.get(f"/api/stream/{task}", headers=ci)).status_code == 200
        for path in (f"/api/stream/{task}", f"/api/stream/{uuid.uuid4()}"):
            await door.http.head(path, headers=ci)
            assert (await left(door, "ci"))["streams"] == 1, "only an open stream keeps a place"


async def test_an_owner_never_takes_the_last_stream_of_another() -> None:
    gate = asyncio.Event()
    async with front_door(hello_world(gate), max_streams=2) as door:
        ci = {**V1, **await door.bearer("ci")}
        async with door.http.stream("POST", f"{door.url}/", content=encode(STREAM), headers=ci) as first:
            pieces = first.aiter_bytes()  # without it the response would be closed
            await anext(pieces)
            refused = await post(door, "ci", f"{door.url}/", STREAM)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            gate.set()
            assert (await post(door, "other", f"{door.url}/", STREAM)).status_code == 200


async def test_streams_that_open_at_the_same_moment_are_no_more_than_the_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, gate = asyncio.Event(), asyncio.Event()
    async with front_door(hello_world(gate), max_streams=2) as door:
        names = ("ci", "other", "third")
        tasks = [(await post(door, name, body={"message": {"parts": [{"text": "slow"}]}})).json() for name in names]
        take = door.credentials.take

        async def slowly(*of: Any) -> bool:
            await answers.wait()
            return await take(*of)

        monkeypatch.setattr(door.credentials, "take", slowly)
        opening = [
            asyncio.create_task(door.http.get(task["streamUrl"], headers=await door.bearer(name)))
            for name, task in zip(names, tasks, strict=True)
        ]
        (first,), _ = await asyncio.wait(opening, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert first.result().status_code == 503
        answers.set()
        gate.set()
        assert sorted(each.status_code for each in await asyncio.gather(*opening)) == [200, 200, 503]


async def test_bytes_of_uploads_are_counted_for_a_day(tmp_path: Any) -> None:
    async with front_door(hello_world(), owner_upload_bytes=100, data_dir=str(tmp_path)) as door:
        file = {"filename": "a", "size": 60, "sha256": "0" * 64}
        assert (await post(door, "ci", "/api/uploads", file)).status_code == 201
        assert (await left(door, "ci"))["uploadBytesADay"] == 40
        assert_refused(await post(door, "ci", "/api/uploads", file), 86_400)
        assert (await post(door, "ci", "/api/uploads", {**file, "size": 40})).status_code == 201
        assert (await post(door, "other", "/api/uploads", file)).status_code == 201


async def test_webhooks_are_counted_for_a_day() -> None:
    async with front_door(hello_world(), owner_webhooks=1) as door:
        sent = {
            "message": message("hello"),
            "configuration": {"taskPushNotificationConfig": {"url": "https://example.com/"}},
        }
        assert (await post(door, "ci", f"{door.url}/", rpc("SendMessage", sent))).status_code == 200
        assert (await left(door, "ci"))["webhooksADay"] == 0
        assert_refused(await post(door, "ci", f"{door.url}/", rpc("SendMessage", sent)), 86_400)
        assert_refused(await post(door, "ci", f"{door.url}/tasks/x/pushNotificationConfigs", {}), 86_400)


async def test_a_task_that_is_refused_does_not_count() -> None:
    gate = asyncio.Event()
    async with front_door(hello_world(gate), owner_tasks=9) as door:
        made = (await post(door, "ci", body={"message": {"parts": [{"text": "slow"}]}})).json()
        again = {"message": {"parts": [{"text": "hello"}], "contextId": made["contextId"]}}
        assert (await post(door, "ci", body=again)).status_code == 409
        sent = rpc("SendMessage", {"message": message("hello", contextId=made["contextId"])})
        assert "error" in (await post(door, "ci", f"{door.url}/", sent)).json()
        rest = await post(door, "ci", f"{door.url}/message:send", sent["params"])
        assert rest.status_code >= 400
        assert (await left(door, "ci"))["tasksAnHour"] == 8
        gate.set()


async def test_without_a_limit_nothing_is_read_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, log = Settings(log="memory", owner_tasks=0, owner_running=0), MemoryLog()
    monkeypatch.setattr(log, "head", None)
    monkeypatch.setattr(log, "list", None)
    store = MemoryCredentials()
    monkeypatch.setattr(store, "spend", None)
    token, _ = new_token("ci", ("read", "write"), now=0, lasts_s=1)
    limits = Limits(settings, Callers(settings, lambda _: None, credentials=store), log)
    async with limits.task(Caller(Owner(token.owner, "ci"), token), str(uuid.uuid4())):
        pass


async def test_who_has_no_credential_of_its_own_has_no_limits() -> None:
    async with front_door(hello_world(), owner_tasks=1) as door:
        app = create_app(Settings(log="memory", owner_tasks=1, orchestrator_url="http://127.0.0.1:9/"), log=door.log)
        async with serve(app) as url, httpx.AsyncClient(base_url=url) as http:
            for _ in range(2):
                assert (await http.post("/api/tasks", json=TASK)).status_code == 201
            assert "left" not in (await http.get("/api/auth/me")).json()


@pytest.mark.parametrize(
    ("request_", "does"),
    [
        (("GET", "tasks", b""), Asked(READ)),
        (("POST", "tasks/x:subscribe", b""), Asked(READ, streams=True)),
        (("POST", "tasks/x:cancel", b""), Asked()),
        (("DELETE", "tasks/x/pushNotificationConfigs/y", b""), Asked()),
        (("POST", "message:send", b'{"message":{"taskId":"x"}}'), Asked(sends=True)),
        (("POST", "message:stream", b'{"message":{"taskId":""}}'), Asked(begins_task=True, sends=True, streams=True)),
        (("POST", "message:send", b"[]"), Asked(begins_task=True, sends=True)),
        (("POST", "", b'{"method":"GetTask"}'), Asked(READ)),
        (("POST", "", b'{"method":"tasks/resubscribe"}'), Asked(READ, streams=True)),
        (("POST", "", b'{"method":"GetTask","method":"SendMessage"}'), Asked(begins_task=True, sends=True)),
        (("POST", "", b'{"method":"message/send","params":{"message":{"taskId":"x"}}}'), Asked(sends=True)),
        (("POST", "", b'{"method":"tasks/pushNotificationConfig/set"}'), Asked(makes_webhook=True)),
        (("POST", "", b'{"method":1}'), Asked(begins_task=True, sends=True)),
        (("POST", "", b""), Asked(begins_task=True, sends=True)),
        (("POST", "", b'{"method":"new"}'), Asked(begins_task=True, sends=True)),
        (("POST", "message/stream", b'{"params":{"message":{}}}'), Asked(begins_task=True, sends=True)),
        (("POST", "message:send", b'{"message":{"taskId":"x"},"configuration":{"pushNotificationConfig":1}}'),
         Asked(sends=True, makes_webhook=True)),
        (("POST", "message:send", b'{"message":{"task_id":"x"},"configuration":{"task_push_notification_config":{}}}'),
         Asked(sends=True, makes_webhook=True)),
        (("POST", "message:send", b'{"message":{"taskId":null,"task_id":"x","messageId":"m"}}'), Asked(sends=True)),
        (("POST", "message:send", b'{"message":1,"message":{"messageId":"m"}}'),
         Asked(begins_task=True, sends=True, message_id="m")),
        (("POST", "", b'{"method":null,"method":"SendStreamingMessage","params":1,"params":{"message":{}}}'),
         Asked(begins_task=True, sends=True, streams=True)),
        (("POST", "", b'{"method":{}}'), Asked(begins_task=True, sends=True)),
        (("POST", "", b'{"method":"DeleteThread"}'), Asked(internal=True)),
    ],
)  # fmt: skip
def test_what_a_request_to_an_agent_is_about_to_do(request_: tuple[str, str, bytes], does: Asked) -> None:
    assert asked(*request_) == does
