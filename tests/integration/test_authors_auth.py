"""An author's own way decides who a caller is and what it may do, in the shape that LangGraph's users know."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.tokens import make
from gateway.app import create_app
from gateway.owner import local_owner
from tailrace.access.store import MemoryCredentials
from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.log.memory import MemoryLog
from tests.contract.log_tasks import created
from tests.support.events import message
from tests.support.http import serve
from tests.support.jsonrpc import rpc

AUTH = """
from langgraph_sdk import Auth

auth = Auth()
USERS = {"ada": ["run"], "bob": []}

@auth.authenticate
async def authenticate(authorization: str | None, headers: dict[bytes, bytes], path: str, method: str = "") -> dict:
    name = (authorization or "").removeprefix("Custom ")
    if name == "text":
        return "text"
    if name not in USERS:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Say who you are.")
    assert headers[b"authorization"].decode() == authorization and path.startswith("/") and method
    return {"identity": name, "display_name": name.title(), "permissions": USERS[name]}

@auth.on
async def anything(ctx, value):
    return True

@auth.on.threads
async def threads(ctx, value):
    value["metadata"]["owner"] = ctx.user.identity
    return {"owner": ctx.user["identity"]}

@auth.on.threads.create_run
async def may_begin(ctx, value):
    return ctx.user.display_name == "Ada" and "run" in ctx.permissions

@auth.on.threads.delete
async def nobody_deletes(ctx, value):
    return {"team": "blue"}

@auth.on.threads.update
async def nobody_updates(ctx, value):
    raise Auth.exceptions.HTTPException(status_code=409, detail=f"{value['thread_id']} stays as it is.")
"""


@dataclass
class Site:
    http: httpx.AsyncClient
    log: MemoryLog
    store: MemoryCredentials
    file: Path

    async def ask(self, name: str, path: str, method: str = "GET", body: object = None) -> httpx.Response:
        headers = {"authorization": f"Custom {name}", "content-type": "application/json"}
        return await self.http.request(method, path, headers=headers, json=body)


@asynccontextmanager
async def site(folder: Path, code: str = AUTH, **settings: float) -> AsyncIterator[Site]:
    (folder / "auth.py").write_text(code)
    log, store = MemoryLog(), MemoryCredentials()
    chosen = Settings(log="memory", orchestrator_url="http://127.0.0.1:9/", auth=f"{folder}/auth.py:auth", **settings)  # type: ignore[arg-type]
    app = create_app(chosen, log=log, credentials=store, decide_owner=local_owner)
    async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        yield Site(http, log, store, folder / "auth.py")


TASK = {"message": {"parts": [{"text": "hello"}]}}


async def test_each_identity_is_an_owner_and_who_has_none_is_refused_in_the_authors_words(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        made = await at.ask("ada", "/api/tasks", "POST", TASK)
        assert made.status_code == 201
        ada, bob = [(await at.ask(name, "/api/auth/me")).json() for name in ("ada", "bob")]
        assert (ada["name"], ada["left"]["tasksAnHour"]) == ("Ada", 599)
        assert ada["id"] != bob["id"]
        path = f"/api/tasks/{made.json()['id']}"
        assert [(await at.ask(name, path)).status_code for name in ("ada", "bob", "eve")] == [200, 404, 401]
        assert (await at.ask("text", "/api/auth/me")).json()["name"] == "text"
        refused = await at.http.get("/api/tasks")  # from this machine, which counts for nothing here
        assert (refused.status_code, refused.json()["detail"]) == (401, "Say who you are.")
        # The page cannot ask for a sign-in, and does not try to.
        assert (refused.json()["custom"], refused.headers["www-authenticate"]) == (True, 'Bearer realm="tailrace"')


async def test_what_a_user_may_do_is_up_to_the_author(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        refused = await at.ask("bob", "/api/tasks", "POST", TASK)
        assert (refused.status_code, refused.json()["detail"]) == (403, "You may not do this: create_run of threads.")
        assert (await at.ask("bob", "/api/tasks")).status_code == 200
        assert (await at.ask("bob", "/api/agents")).status_code == 200
        task = await created(at.log, owner=(await at.ask("bob", "/api/auth/me")).json()["id"])
        stopped = await at.ask("bob", f"/api/tasks/{task}/cancel", "POST", {})
        assert (stopped.status_code, stopped.json()["detail"]) == (409, f"{task} stays as it is.")
        assert (await at.ask("bob", f"/api/tasks/{task}")).status_code == 200
        for method, params in (("SendMessage", {"message": message("hello")}), ("SendMessage", {})):
            sent = await at.ask("bob", "/agents/orchestrator/", "POST", rpc(method, params))
            assert sent.status_code == 403


async def test_a_filter_that_cannot_be_kept_refuses_the_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site(tmp_path) as at:
        assert (await at.ask("ada", "/api/conversations/c?agent=a", "DELETE")).status_code == 403
    assert "cannot be kept here: {'team': 'blue'}" in caplog.text


WITHOUT_THE_SDK = """
from types import SimpleNamespace

async def authenticate(headers):
    return headers.get(b"x-team-key", b"").decode() or None

async def may_begin(ctx, value):
    return ctx.user.identity == "ada"

auth = SimpleNamespace(_authenticate_handler=authenticate, _handlers={("threads", "create_run"): [may_begin]})
"""


async def test_the_shape_is_enough_without_the_package_and_a_credential_may_be_in_any_header(tmp_path: Path) -> None:
    async with site(tmp_path, WITHOUT_THE_SDK) as at:
        assert (await at.ask("ada", "/api/tasks", "POST", TASK)).status_code == 401
        for name, status in (("ada", 201), ("bob", 403)):
            answer = await at.http.post("/api/tasks", headers={"x-team-key": name}, json=TASK)
            assert answer.status_code == status


async def test_our_own_tokens_still_count(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        token = (await make(at.store, "ci", ("read",), 1)).splitlines()[0]
        bearer = {"authorization": f"Bearer {token}"}
        assert (await at.http.get("/api/tasks", headers=bearer)).status_code == 200
        assert (
            await at.http.get("/api/tasks", headers={"authorization": bearer["authorization"] + "x"})
        ).status_code == 401


async def test_an_open_stream_ends_when_the_author_does_not_know_its_reader_any_more(tmp_path: Path) -> None:
    async with site(tmp_path, session_check_s=0.05, heartbeat_s=0.05) as at:
        task = (await at.ask("ada", "/api/tasks", "POST", TASK)).json()["id"]
        headers = {"authorization": "Custom ada"}
        async with asyncio.timeout(60), at.http.stream("GET", f"/api/stream/{task}", headers=headers) as answer:
            got = b""
            async for chunk in answer.aiter_bytes():
                got += chunk
                if b"event: sync" in got:
                    sys.modules["tailrace_authors_auth"].USERS.clear()
        assert b"event: end" not in got
        assert (await at.ask("ada", f"/api/stream/{task}")).status_code == 401


@pytest.mark.parametrize(
    ("setting", "code", "right"),
    [
        ("auth.py", AUTH, "a Python file and the name"),
        ("none.py:auth", AUTH, "a Python file and the name"),
        ("auth.py:nothing", AUTH, "the file has no 'nothing'"),
        ("auth.py:auth", "auth = 1", "with a function under @auth.authenticate"),
        ("auth.py:auth", AUTH.replace("path: str", "user: str"), "takes no 'user', but some of request, path"),
        ("auth.py:auth", "import not_there", "functions/gateway/requirements.txt has to name: No module.*'not_there'"),
    ],
)
def test_what_cannot_be_used_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, code: str, right: str
) -> None:
    (tmp_path / "auth.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"TAILRACE_AUTH has value '{setting}', but must be .*{right}"):
        create_app(Settings(log="memory", auth=setting))


async def test_an_author_whose_function_fails_costs_a_500_and_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = AUTH.replace('if name == "text":', 'if name == "text":\n        raise KeyError("the database")')
    async with site(tmp_path, code) as at:
        failed = await at.ask("text", "/api/tasks")
        assert (failed.status_code, "database" in failed.text) == (500, False)
        assert (await at.ask("ada", "/api/tasks")).status_code == 200
    assert "the database" in caplog.text


async def test_an_author_whose_function_fails_cuts_a_stream_whose_reader_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with site(tmp_path, session_check_s=0.05, heartbeat_s=0.05) as at:
        task = (await at.ask("ada", "/api/tasks", "POST", TASK)).json()["id"]
        headers, users = {"authorization": "Custom ada"}, None
        async with asyncio.timeout(60), at.http.stream("GET", f"/api/stream/{task}", headers=headers) as answer:
            with suppress(httpx.RemoteProtocolError):
                async for _ in answer.aiter_bytes():
                    users = users or sys.modules["tailrace_authors_auth"].__dict__.pop("USERS")  # a NameError
        assert (await at.ask("ada", f"/api/tasks/{task}")).status_code == 500
        sys.modules["tailrace_authors_auth"].USERS = users  # type: ignore[attr-defined]
        assert (await at.ask("ada", f"/api/tasks/{task}")).status_code == 200
    failed = next(each.getMessage() for each in caplog.records if "stream_failed" in each.getMessage())
    assert "TAILRACE_AUTH failed, so nobody knows whether its reader may read on" in failed


LANGGRAPHS = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def get_current_user(authorization: str | None) -> Auth.types.MinimalUserDict:
    assert authorization
    assert authorization.startswith("Custom "), "Another scheme, please."
    return {"identity": authorization.removeprefix("Custom "), "team": "blue"}

@auth.on
async def add_owner(ctx: Auth.types.AuthContext, value: dict):
    assert "team" in ctx.user and ctx.user.get("role") is None and dict(ctx.user)["team"] == "blue"
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}

@auth.on.threads.create_run
async def not_today(ctx, value):
    assert ctx.user.identity == "ada", "Not today."
"""


async def test_a_failed_assertion_refuses_and_a_user_is_a_mapping_as_in_langgraph(tmp_path: Path) -> None:
    async with site(tmp_path, LANGGRAPHS) as at:
        for headers, detail in (
            ({}, "The request is refused."),
            ({"authorization": "Basic x"}, "Another scheme, please."),
        ):
            refused = await at.http.get("/api/tasks", headers=headers)
            assert (refused.status_code, refused.json()["detail"]) == (401, detail)
            assert (refused.headers["www-authenticate"], refused.json()["custom"]) == ('Bearer realm="tailrace"', True)
        assert (await at.ask("bob", "/api/tasks")).status_code == 200
        refused = await at.ask("bob", "/api/tasks", "POST", TASK)
        assert (refused.status_code, refused.json()["detail"]) == (403, "Not today.")
        assert (await at.ask("ada", "/api/tasks", "POST", TASK)).status_code == 201


async def test_a_status_that_is_not_registered_is_passed_on(tmp_path: Path) -> None:
    code = AUTH.replace(
        "raise Auth.exceptions.HTTPException(status_code=401,",
        "raise Auth.exceptions.HTTPException(status_code=int(name),",
    )
    async with site(tmp_path, code) as at:
        for status, title in ((440, "Bad Request"), (599, "Internal Server Error")):
            refused = await at.ask(str(status), "/api/tasks")
            assert (refused.status_code, refused.json()["title"]) == (status, title)
            assert refused.json()["detail"] == "Say who you are."


@pytest.mark.parametrize(
    ("given", "kind"), [('{"id": 1}', "dict"), ('(["run"], "me")', "tuple"), ("7", "int"), ('""', "str")]
)
async def test_a_user_without_an_identity_is_told_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, given: str, kind: str
) -> None:
    async with site(tmp_path, AUTH.replace('return "text"', f"return {given}")) as at:
        assert (await at.ask("text", "/api/tasks")).status_code == 500
    assert f"gave a {kind}, but must give a text that is an identity" in caplog.text
