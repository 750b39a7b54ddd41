"""On every route of the gateway one owner gets for what is another's the answer for what is not there."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import httpx

from gateway.app import create_app
from tailrace.config import Settings
from tailrace.log.sqlite import SQLiteLog
from tailrace.push import Webhook, open_webhooks
from tests.contract.log_tasks import created
from tests.sample_agents.hello_world import hello_world
from tests.support.anothers import BODIES, attempts, is_refusal, lists, made_up, without
from tests.support.events import message
from tests.support.front_door import FrontDoor, front_door
from tests.support.http import serve
from tests.support.jsonrpc import rpc

AGUI_HELLO = {"id": "m", "role": "user", "content": "hello"}
V1 = {"A2A-Version": "1.0", "Content-Type": "application/json"}


async def everything_of(door: FrontDoor, name: str) -> dict[str, str]:
    """Make one of all that an owner can have; return their ids by the names that they have in routes."""
    mine = {**V1, **await door.bearer(name)}
    made = (await door.http.post("/api/tasks", json={"message": BODIES["message"]}, headers=mine)).json()
    file = {"filename": "secret.log", "size": 5, "sha256": "0" * 64}
    granted = (await door.http.post("/api/uploads", json=file, headers=mine)).json()["upload"]["url"]
    (token,) = (await door.http.get("/api/auth/tokens", headers=mine)).json()["tokens"]
    ids = {"task_id": made["id"], "context_id": made["contextId"], "token": granted.rpartition("/")[2]}
    return {**ids, "credential_id": token["id"], "webhook_id": str(uuid.uuid4())}


async def ask(door: FrontDoor, name: str, method: str, path: str, body: Any = None) -> httpx.Response:
    return await door.http.request(method, path, json=body, headers={**V1, **await door.bearer(name)})


async def test_what_is_anothers_is_as_unknown_as_what_is_not_there(tmp_path: Path) -> None:
    routes = create_app(Settings(log="memory", data_dir=str(tmp_path))).routes
    async with front_door(hello_world(), data_dir=str(tmp_path)) as door:
        adas = await everything_of(door, "ada")
        unknown = made_up(adas)
        tried = attempts(routes, adas, unknown)
        for method, of_ada, of_nobody, body in tried:
            theirs, nothing = [await ask(door, "bob", method, path, body) for path in (of_ada, of_nobody)]
            anothers = without(theirs.status_code, theirs.text, adas.values())
            assert anothers == without(nothing.status_code, nothing.text, unknown.values()), (method, of_ada)
            assert is_refusal(of_ada, anothers[0]), of_ada
        assert len(tried) >= 14
        for path in lists(routes):
            listed = await ask(door, "bob", "GET", path)
            assert (listed.status_code, [each for each in adas.values() if each in listed.text]) == (200, []), path
        # Nothing of it has changed anything.
        for path in (f"/api/tasks/{adas['task_id']}", f"/api/conversations/{adas['context_id']}"):
            assert (await ask(door, "ada", "GET", path)).status_code == 200
        assert "mine now" not in (await ask(door, "ada", "GET", "/api/conversations")).text


async def test_the_same_at_an_agents_own_routes(tmp_path: Path) -> None:
    async with front_door(hello_world(), data_dir=str(tmp_path)) as door:
        task, nothing = (await everything_of(door, "ada"))["task_id"], str(uuid.uuid4())
        calls = [("GetTask", {}), ("CancelTask", {}), ("SubscribeToTask", {}), ("ListTasks", {})]
        hooks = [("CreateTaskPushNotificationConfig", {"taskId": "ID", "id": "h", "url": "https://example.com/"}),
                 ("GetTaskPushNotificationConfig", {"taskId": "ID", "id": "h"}),
                 ("ListTaskPushNotificationConfigs", {"taskId": "ID"}),
                 ("DeleteTaskPushNotificationConfig", {"taskId": "ID", "id": "h"}),
                 ("SendMessage", {"message": message("hello", taskId="ID")})]  # fmt: skip
        for method, params in [*calls, *hooks]:
            answers = []
            for each in (task, nothing):
                body = json.dumps(rpc(method, params or {"id": "ID"})).replace('"ID"', f'"{each}"')
                headers = {**V1, **await door.bearer("bob")}
                got = await door.http.post(f"{door.url}/", content=body, headers=headers)
                answers.append(without(got.status_code, got.text, [each]))
            assert answers[0] == answers[1], method
        for verb, path in (
            ("GET", ""),
            ("POST", ":cancel"),
            ("GET", ":subscribe"),
            ("GET", "/pushNotificationConfigs"),
        ):
            sent = [await ask(door, "bob", verb, f"{door.url}/tasks/{each}{path}") for each in (task, nothing)]
            answers = [
                without(answer.status_code, answer.text, [each])
                for answer, each in zip(sent, (task, nothing), strict=True)
            ]
            assert answers[0] == answers[1], (verb, path)
            assert answers[0][0] == 404


async def test_an_owner_lists_and_revokes_its_own_tokens_and_no_others(tmp_path: Path) -> None:
    async with front_door(hello_world(), data_dir=str(tmp_path)) as door:
        ci, other = await door.bearer("ci"), await door.bearer("other")
        (mine,) = (await door.http.get("/api/auth/tokens", headers=ci)).json()["tokens"]
        assert (mine["name"], mine["current"], mine["scopes"]) == ("ci", True, ["read", "write"])
        assert (await door.http.get("/api/auth/sessions", headers=ci)).json() == {"sessions": []}
        assert (await door.http.delete(f"/api/auth/tokens/{mine['id']}", headers=other)).status_code == 404
        assert (await door.http.delete(f"/api/auth/sessions/{mine['id']}", headers=ci)).status_code == 404
        reader = await door.bearer("reader", "read")
        (its,) = (await door.http.get("/api/auth/tokens", headers=reader)).json()["tokens"]
        assert (await door.http.delete(f"/api/auth/tokens/{its['id']}", headers=reader)).status_code == 403
        assert (await door.http.delete(f"/api/auth/tokens/{mine['id']}", headers=ci)).status_code == 204
        assert (await door.http.get("/api/auth/me", headers=ci)).status_code == 401
        assert (await door.http.get("/api/auth/me", headers=other)).status_code == 200


async def test_an_owner_lists_and_deletes_its_own_webhooks_of_all_tasks(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), orchestrator_url="http://127.0.0.1:9/")
    log, hooks = SQLiteLog(tmp_path / "log.sqlite3"), open_webhooks(settings)
    app = create_app(settings, log=log, decide_owner=lambda request: request.headers.get("x-test-owner"))
    first, second, others = [await created(log, owner=owner) for owner in ("ada", "ada", "bob")]
    for task, name in ((first, "a"), (first, "b/c"), (second, "a"), (others, "a")):
        await hooks.put(Webhook(task_id=task, id=name, url="https://example.com/hook", token="its-secret"))
    ada = {"x-test-owner": "ada"}
    async with serve(app) as url, httpx.AsyncClient(base_url=url, headers=ada, timeout=60) as http:
        pages = [await http.get("/api/webhooks?pageSize=1")]
        pages.append(await http.get("/api/webhooks", params={"pageToken": pages[0].json()["nextPageToken"]}))
        listed = [(each["taskId"], each["id"]) for page in pages for each in page.json()["webhooks"]]
        assert sorted(listed) == sorted([(second, "a"), (first, "a"), (first, "b/c")])
        assert "its-secret" not in pages[0].text + pages[1].text
        for path in (f"{others}/a", f"{uuid.uuid4()}/a", f"{first}/x"):
            assert (await http.delete(f"/api/webhooks/{path}")).status_code == 404
        assert [(await http.delete(f"/api/webhooks/{first}/b/c")).status_code for _ in range(2)] == [204, 404]
        (rest,) = (await http.get("/api/webhooks?pageSize=1")).json()["webhooks"]
    assert len(await hooks.list(others)) == 1
    assert (rest["taskId"], [each.id for each in await hooks.list(first)]) == (second, ["a"])
    await hooks.close()
    await log.close()


async def test_an_owner_lists_and_deletes_its_own_uploads(tmp_path: Path) -> None:
    async with front_door(hello_world(), data_dir=str(tmp_path)) as door:
        ci, content = {**V1, **await door.bearer("ci")}, b"a line"
        file = {"filename": "a", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        granted = (await door.http.post("/api/uploads", json=file, headers=ci)).json()
        assert (await door.http.get("/api/uploads", headers=ci)).json() == {"uploads": []}
        await door.http.put(granted["upload"]["url"], content=content, headers=ci)
        (mine,) = (await door.http.get("/api/uploads", headers=ci)).json()["uploads"]
        assert (mine["url"], mine["size"], mine["sha256"]) == (granted["part"]["url"], 6, file["sha256"])
        other = await door.bearer("other")
        assert (await door.http.get("/api/uploads", headers=other)).json() == {"uploads": []}
        assert (await door.http.delete(f"/api/uploads/{mine['id']}", headers=other)).status_code == 404
        statuses = [(await door.http.delete(f"/api/uploads/{mine['id']}", headers=ci)).status_code for _ in range(2)]
        assert statuses == [204, 404]


async def test_a_thread_of_ag_ui_is_anothers_by_none_of_its_ids(tmp_path: Path) -> None:
    async with front_door(hello_world(), data_dir=str(tmp_path)) as door:
        ada = {**V1, **await door.bearer("ada")}
        agent, body = "/api/agui/hello_world", {"threadId": "t", "runId": "r", "messages": [AGUI_HELLO]}
        run = await door.http.post(agent, json=body, headers=ada)
        cursor = next(line[4:] for line in run.text.splitlines() if line.startswith("id: "))
        bob = {**V1, **await door.bearer("bob")}
        for path, headers in ((agent, {"Last-Event-ID": cursor}), (f"{agent}/connect", {})):
            theirs = await door.http.post(path, json=body, headers={**bob, **headers})
            nothing = await door.http.post(path, json={**body, "threadId": "x"}, headers={**bob, **headers})
            assert theirs.status_code == nothing.status_code == 404
        # A token that may only read joins what is its owner's, and begins nothing.
        reader = {**V1, **await door.bearer("reader", "read")}
        assert (await door.http.post(agent, json=body, headers=reader)).status_code == 403
        assert (await door.http.post(f"{agent}/connect", json=body, headers=reader)).status_code == 404
        own = await door.http.post(agent, json=body, headers=bob)
        task = next(line for line in own.text.splitlines() if line.startswith("id: "))
        assert cursor.partition(":")[0] not in task
        assert len((await door.http.get("/api/tasks", headers=bob)).json()["tasks"]) == 1
