"""A machine's token lets it do what its scopes say, for as long as it holds, and nothing of anybody else's."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from deploy.tokens import listed, make, revoke
from gateway.app import create_app
from gateway.guesses import LIMIT
from gateway.owner import SECRET_COOKIE, SECRET_HEADER, local_owner, secret_owner
from tailrace.access import Credentials
from tailrace.access.store import MemoryCredentials
from tailrace.aws import AUTHORIZATION, VIEWER_ADDRESS, VIEWER_HOST
from tailrace.config import Settings
from tailrace.errors import TailraceError
from tailrace.log.memory import MemoryLog
from tailrace.owner import DecideOwner
from tests.contract.log_tasks import Clock, created
from tests.support.http import serve
from tests.support.processes import ROOT

SECRET = "correct-horse-battery-staple"
BOTH = ("read", "write")
DAYS = 30


@dataclass
class Door:
    http: httpx.AsyncClient
    store: Credentials
    log: MemoryLog
    clock: Clock

    async def token(self, name: str = "ci", scopes: tuple[str, ...] = BOTH) -> dict[str, str]:
        """The header with a new token."""
        return {"Authorization": f"Bearer {(await make(self.store, name, scopes, DAYS)).splitlines()[0]}"}

    async def status(self, headers: dict[str, str], path: str = "/api/tasks", method: str = "GET") -> int:
        body = {"content-type": "application/json"} if method == "POST" else {}
        return (await self.http.request(method, path, headers={**body, **headers})).status_code


def door_of(decide_owner: DecideOwner, host_header: str = "host") -> tuple[object, Credentials, MemoryLog, Clock]:
    clock, log = Clock(), MemoryLog()
    store = MemoryCredentials(clock=clock)
    app = create_app(
        Settings(log="memory", orchestrator_url="http://127.0.0.1:9/"),
        log=log,
        credentials=store,
        decide_owner=decide_owner,
        host_header=host_header,
    )
    return app, store, log, clock


@pytest_asyncio.fixture
async def door(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """A gateway behind CloudFront that also knows a shared secret."""
    app, store, log, clock = door_of(secret_owner(SECRET), VIEWER_HOST)
    monkeypatch.setattr("deploy.tokens.time.time", clock)
    async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        yield Door(http, store, log, clock)


async def test_a_token_sees_its_owners_tasks_and_no_others(door: Door) -> None:
    ci, other = await door.token("ci"), await door.token("nightly")
    (token,) = [each for each in await door.store.of("tokens") if each.name == "ci"]
    task = await created(door.log, owner=token.owner)
    assert [each["id"] for each in (await door.http.get("/api/tasks", headers=ci)).json()["tasks"]] == [task]
    assert (await door.http.get("/api/tasks", headers=other)).json()["tasks"] == []
    assert await door.status(other, f"/api/tasks/{task}") == 404
    assert await door.status({SECRET_HEADER: SECRET}, f"/api/tasks/{task}") == 404
    # A new token of the same name has the same owner.
    assert await door.status(await door.token("ci"), f"/api/tasks/{task}") == 200


async def test_a_token_that_may_only_read_changes_nothing(door: Door) -> None:
    reader, writer = await door.token(scopes=("read",)), await door.token(scopes=("write",))
    assert await door.status(reader) == 200
    refused = await door.http.post("/api/tasks", headers={**reader, "content-type": "application/json"}, content=b"{}")
    assert (refused.status_code, refused.json()["detail"]) == (
        403, "The token 'ci' has no scope 'write', which this needs.",
    )  # fmt: skip
    assert await door.status(writer) == 403
    assert await door.status(writer, method="POST") == 400  # a body is missing, but it may


async def test_a_token_is_refused_once_it_is_revoked_or_expired(door: Door) -> None:
    ci, old = await door.token("ci"), await door.token("old")
    (token_id,) = [each.id for each in await door.store.of("tokens") if each.name == "ci"]
    assert "is revoked" in await revoke(door.store, token_id)
    assert (await door.status(ci), await door.status(old)) == (401, 200)
    door.clock.now += DAYS * 86_400
    assert await door.status(old) == 401
    assert await listed(door.store) == "There are no tokens. `make token NAME=ci` makes one."
    with pytest.raises(TailraceError, match=r"There is no token '.*'\. `make tokens` lists them\."):
        await revoke(door.store, token_id)


async def test_cloudfronts_signature_does_not_hide_a_token(door: Door) -> None:
    ci = await door.token()
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=x", AUTHORIZATION: ci["Authorization"]}
    assert await door.status(signed) == 200
    assert await door.status({"Authorization": signed["Authorization"]}) == 401


async def test_the_shared_secret_still_lets_its_users_in_also_as_a_token(door: Door) -> None:
    for known in (
        {SECRET_HEADER: SECRET},
        {"Cookie": f"{SECRET_COOKIE}={SECRET}"},
        {"Authorization": f"bearer {SECRET}"},
    ):
        assert await door.status(known) == 200


async def test_a_wrong_token_is_not_made_good_by_another_credential(door: Door) -> None:
    ci = await door.token()
    wrong = {"Authorization": ci["Authorization"][:-1] + ("A" if ci["Authorization"][-1] != "A" else "B")}
    assert await door.status({**wrong, SECRET_HEADER: SECRET}) == 401


async def test_a_wrong_token_does_not_become_this_machines_user() -> None:
    app, _, _, _ = door_of(local_owner)
    async with serve(app) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.get("/api/tasks")).status_code == 200
        wrong = {"Authorization": f"Bearer trk_0123456789abcdef_{'x' * 43}"}
        assert (await http.get("/api/tasks", headers=wrong)).status_code == 401


async def test_guesses_of_the_secret_are_limited_for_each_viewer(door: Door) -> None:
    door.clock.now -= door.clock.now % 600
    guesser, neighbour = {VIEWER_ADDRESS: "203.0.113.9"}, {VIEWER_ADDRESS: "203.0.113.10"}
    for n in range(LIMIT):
        guesses = [
            {SECRET_HEADER: f"guess-{n}"}, {"Authorization": f"Bearer guess-{n}"},
            {"Cookie": f"{SECRET_COOKIE}=guess-{n}"},
        ]  # fmt: skip
        assert await door.status({**guesser, **guesses[n % 3]}) == 401
    refused = await door.http.get("/api/tasks", headers={**guesser, SECRET_HEADER: SECRET})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "600")
    assert await door.status({**neighbour, SECRET_HEADER: SECRET}) == 200
    # A token has 256 random bits: it is no guess, and its machine is not locked out by its neighbours.
    assert await door.status({**guesser, **await door.token()}) == 200
    door.clock.now += 600
    assert await door.status({**guesser, SECRET_HEADER: SECRET}) == 200


async def test_an_old_secret_that_is_sent_again_and_again_locks_nobody_out(door: Door) -> None:
    """As by a page that was open when the secret was replaced."""
    door.clock.now -= door.clock.now % 600
    office = {VIEWER_ADDRESS: "203.0.113.9"}
    assert {await door.status({**office, "Cookie": f"{SECRET_COOKIE}=old"}) for _ in range(2 * LIMIT)} == {401}
    assert await door.status({**office, SECRET_HEADER: SECRET}) == 200


async def test_guesses_of_a_tokens_secret_are_limited_for_that_token(door: Door) -> None:
    door.clock.now -= door.clock.now % 600
    ci, other = await door.token("ci"), await door.token("other")

    async def guess(n: int) -> int:
        return await door.status({"Authorization": f"{ci['Authorization'][:-43]}{n:043}"})

    assert [await guess(n) for n in range(LIMIT + 1)] == [*[401] * LIMIT, 429]
    assert (await door.status(ci), await door.status(other)) == (429, 200)


async def test_guesses_count_in_all_processes(door: Door) -> None:
    door.clock.now -= door.clock.now % 600
    app = create_app(
        Settings(log="memory"), log=door.log, credentials=door.store, decide_owner=secret_owner(SECRET),
        host_header=VIEWER_HOST,
    )  # fmt: skip
    async with serve(app) as url, httpx.AsyncClient(base_url=url) as http:
        for n in range(LIMIT):
            await door.status({SECRET_HEADER: f"guess {n}"})
        statuses = [(await http.get("/api/tasks", headers={SECRET_HEADER: f"a guess {n}"})).status_code for n in (1, 2)]
        assert statuses == [401, 429]


async def test_no_credential_is_in_a_log_line(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    ci = await door.token()
    await door.status(ci)
    await door.status({"Authorization": ci["Authorization"] + "x"})
    await door.status({SECRET_HEADER: "a guess at it"})
    said = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    assert ci["Authorization"].rpartition("_")[2] not in said
    assert "a guess at it" not in said


async def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.tokens", *arguments),
        cwd=ROOT,
        env={"TAILRACE_DATA_DIR": str(folder), "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_token_is_printed_once_and_lets_its_machine_in(tmp_path: Path) -> None:
    status, printed, _ = await run(tmp_path, "new", "ci", "--days", "7")
    token = printed.splitlines()[0]
    assert status == 0
    assert re.fullmatch(r"trk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", token)
    app = create_app(Settings(data_dir=str(tmp_path)), log=MemoryLog(), decide_owner=lambda _: None)
    async with serve(app) as url, httpx.AsyncClient(base_url=url) as http:
        answer = await http.get("/api/tasks", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    _, tokens, _ = await run(tmp_path, "list")
    secret = token.rpartition("_")[2] if token.count("_") == 2 else token.split("_", 2)[2]
    assert token.split("_")[1] in tokens
    assert secret not in tokens
    with sqlite3.connect(tmp_path / "access.sqlite3") as connection:
        assert secret not in "\n".join(connection.iterdump())
    connection.close()


@pytest.mark.parametrize(
    "wrong", [("new", ""), ("new", "ci", "--scopes", "admin"), ("new", "ci", "--days", "0"), ("revoke", "nothing")]
)
async def test_a_wrong_command_is_refused_with_a_sentence(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    status, _, said = await run(tmp_path, *wrong)
    assert status != 0
    assert "Traceback" not in said
    assert "must" in said or "There is no token" in said


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
async def test_make_gives_a_name_on_as_it_is(tmp_path: Path) -> None:
    """Neither make nor the shell takes a part of it for a command or a variable."""
    name = "it's $HOME $(shell touch m) ; touch 's' `id`"
    venv = sys.prefix  # it is there: nothing is installed
    process = await asyncio.create_subprocess_exec(
        *(
            "make",
            "--silent",
            f"--directory={ROOT}",
            f"--old-file={venv}/run",
            "token",
            f"venv={venv}",
            f"NAME={name}",
            "SCOPES=read",
            "DAYS=1",
        ),
        cwd=ROOT,
        env={**os.environ, "TAILRACE_DATA_DIR": str(tmp_path / "data")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert f"  {name}  read  " in out.decode()
    assert not [each for each in ("m", "s") if (ROOT / each).exists()]
