"""People sign in at a real issuer, are nobody else afterwards, and are signed out when they say so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.app import create_app
from gateway.owner import secret_owner
from tailrace.access.store import MemoryCredentials
from tailrace.log import Batch
from tailrace.log.memory import MemoryLog
from tailrace.owner import Owner
from tests.contract.log_tasks import Clock, created, events
from tests.support.gateway import Seen, read_stream
from tests.support.http import serve
from tests.support.issuer import HTTPS, Issuing, answer_of, issuing, sign_in

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuing]:
    with issuing(str(tmp_path_factory.mktemp("issuer"))) as started:
        yield started


@dataclass
class Site:
    url: str
    log: MemoryLog
    store: MemoryCredentials
    clock: Clock

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            yield http

    async def task_of(self, http: httpx.AsyncClient) -> str:
        return await created(self.log, owner=(await http.get("/api/auth/me")).json()["id"])

    async def post(self, http: httpx.AsyncClient, path: str, body: str, **headers: str) -> httpx.Response:
        return await http.post(path, content=body, headers={**JSON, "origin": self.url, **headers})


@asynccontextmanager
async def site(issuer: Issuing, **settings: Any) -> AsyncIterator[Site]:
    log, clock = MemoryLog(), Clock()
    store = MemoryCredentials(clock=clock)
    app = create_app(issuer.settings(**settings), log=log, credentials=store, decide_owner=secret_owner(""))
    async with serve(app) as url:
        yield Site(url, log, store, clock)


async def test_a_person_signs_in_and_comes_back_to_the_same_view(issuer: Issuing) -> None:
    async with site(issuer) as gateway, gateway.browser() as http:
        refused = await http.get("/api/auth/me")
        assert (refused.status_code, refused.json()["signIn"]) == (401, "api/auth/login")
        answer = await sign_in(http, "ada@example.com", to="/?task=1&agent=a%20b")
        assert (answer.status_code, answer.headers["location"]) == (303, "/?task=1&agent=a%20b")
        me = (await http.get("/api/auth/me")).json()
        owner = Owner.of_subject(issuer.url, "ada@example.com", "ada@example.com")
        assert (me["id"], me["name"], me["kind"]) == (owner.id, owner.name, "session")
        task = await gateway.task_of(http)
        assert [each["id"] for each in (await http.get("/api/tasks")).json()["tasks"]] == [task]


async def test_the_cookies_are_for_this_host_only_and_for_no_script(issuer: Issuing) -> None:
    app = create_app(issuer.settings(), log=MemoryLog(), credentials=MemoryCredentials(), decide_owner=secret_owner(""))
    over_https = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HTTPS)
    async with app.router.lifespan_context(app), over_https as http:
        begun = (await http.get("/api/auth/login")).headers["set-cookie"]
        assert re.match("__Host-tailrace-login-[A-Za-z0-9_-]{12}=", begun)
        assert begun.endswith("; HttpOnly; Max-Age=600; Path=/; SameSite=lax; Secure")
        given, taken = (await sign_in(http, "ada")).headers.get_list("set-cookie")
        assert re.match('__Host-tailrace-login-[A-Za-z0-9_-]{12}=""; HttpOnly; Max-Age=0;', taken)
        assert given.startswith("__Host-tailrace=u-")
        assert given.endswith("; HttpOnly; Max-Age=604800; Path=/; SameSite=strict; Secure")


async def test_two_people_see_nothing_of_each_other(issuer: Issuing) -> None:
    async with site(issuer) as gateway, gateway.browser() as ada, gateway.browser() as bob:
        await sign_in(ada, "ada")
        await sign_in(bob, "bob")
        task = await gateway.task_of(ada)
        assert (await ada.get(f"/api/tasks/{task}")).status_code == 200
        assert (await bob.get("/api/tasks")).json()["tasks"] == []
        for path in (f"/api/tasks/{task}", f"/api/stream/{task}", f"/api/stream/{task}?cursor=1"):
            assert (await bob.get(path)).status_code == 404
        for path in (f"/api/tasks/{task}/cancel", f"/api/tasks/{task}/messages"):
            assert (await gateway.post(bob, path, "{}")).status_code == 404


async def test_a_person_sees_and_ends_the_sessions_of_the_own_devices_only(issuer: Issuing) -> None:
    async with (
        site(issuer) as gateway,
        gateway.browser() as laptop,
        gateway.browser() as phone,
        gateway.browser() as bob,
    ):
        await sign_in(laptop, "ada")
        await sign_in(phone, "ada")
        await sign_in(bob, "bob")
        sessions = (await laptop.get("/api/auth/sessions")).json()["sessions"]
        assert [each["current"] for each in sessions].count(True) == 1
        assert len(sessions) == 2
        assert (await bob.get("/api/auth/tokens")).json() == {"tokens": []}
        (other,) = [each["id"] for each in sessions if not each["current"]]
        path, own = f"/api/auth/sessions/{other}", {"origin": gateway.url}
        assert (await bob.delete(path, headers=own)).status_code == 404
        assert (await phone.get("/api/auth/me")).status_code == 200
        assert (await laptop.delete(path, headers=own)).status_code == 204
        assert (await phone.get("/api/auth/me")).status_code == 401
        assert (await laptop.get("/api/auth/me")).status_code == 200
        assert (await laptop.delete(path, headers=own)).status_code == 404


async def test_nobody_ends_a_sign_in_that_another_browser_began(issuer: Issuing) -> None:
    async with site(issuer) as gateway, gateway.browser() as eve, gateway.browser() as ada:
        planted = await answer_of(eve, "eve")
        assert (await ada.get(planted)).status_code == 403, "without a sign-in of its own"
        answer = await answer_of(ada, "ada")
        refused = await ada.get(planted)
        assert (refused.status_code, refused.headers["content-security-policy"]) == (403, "default-src 'none'")
        assert (await ada.get("/api/auth/me")).status_code == 401
        assert (await ada.get(answer)).status_code == 303, "her own goes on"


async def test_sign_ins_in_two_windows_do_not_end_each_other(issuer: Issuing) -> None:
    async with site(issuer) as gateway, gateway.browser() as http:
        first, second = await answer_of(http, "ada"), await answer_of(http, "ada", to="/?task=2")
        answers = [await http.get(each) for each in (second, first)]
        assert [each.headers["location"] for each in answers] == ["/?task=2", "/"]
        # Other pages can make a browser begin many, whose cookies would be sent with every request.
        for _ in range(9):
            await http.get("/api/auth/login")
        assert len([each for each in http.cookies.jar if "login" in each.name]) == 4


async def test_a_failed_answer_is_of_no_further_use(issuer: Issuing) -> None:
    async with site(issuer) as gateway, gateway.browser() as http:
        answer = await answer_of(http, "ada")
        assert (await http.get(f"{answer}&iss=https://evil.example")).status_code == 403
        assert (await http.get(answer)).status_code == 403


async def test_an_answer_of_the_issuer_is_of_use_once(issuer: Issuing) -> None:
    async with site(issuer) as gateway, gateway.browser() as http:
        answer = await answer_of(http, "ada")
        begun = httpx.Cookies(http.cookies)
        assert (await http.get(answer)).status_code == 303
        http.cookies = begun
        assert (await http.get(answer)).status_code == 403
        assert (await http.get("/api/auth/me")).status_code == 401


@pytest.mark.parametrize("change", [{"iss": "https://evil.example"}, {"code": "x"}, {"state": "x"}, {"state": ""}])
async def test_a_changed_answer_is_refused_and_not_shown(
    issuer: Issuing, change: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with site(issuer) as gateway, gateway.browser() as http:
        answer = await answer_of(http, "ada")
        query = {name: values[0] for name, values in parse_qs(urlsplit(answer).query).items()}
        caplog.clear()
        refused = await http.get(
            "/api/auth/callback", params={**query, **change, "error_description": "<b>forged</b>\nline"}
        )
        assert refused.status_code == 403
        assert (await http.get("/api/auth/me")).status_code == 401
        said = refused.text + "\n".join(
            each.getMessage() for each in caplog.records if each.name.startswith("tailrace")
        )
        assert "forged" not in said
        assert query["code"] not in said


async def test_who_is_known_but_not_allowed_is_not_let_in(issuer: Issuing) -> None:
    async with site(issuer, oidc_claims="groups=ops,email=@example.com") as gateway, gateway.browser() as http:
        for name in ("ada", "ops@evil.example"):
            refused = await sign_in(http, name)
            assert (refused.status_code, "does not let you in" in refused.text) == (403, True)
            assert (await http.get("/api/auth/me")).status_code == 401
        assert (await sign_in(http, "ops@example.com")).status_code == 303


async def test_a_sign_in_never_takes_over_a_session_that_was_there(issuer: Issuing) -> None:
    """An attacker who has planted a cookie, even of a session of their own, knows nothing of the one that begins."""
    async with site(issuer) as gateway, gateway.browser() as http:
        await sign_in(http, "eve")
        planted = httpx.Cookies(http.cookies)
        answer = await answer_of(http, "ada")
        # A browser keeps a Strict cookie back on the way from the issuer's site.
        (session,) = [each.name for each in http.cookies.jar if "login" not in each.name]
        http.cookies.delete(session)
        assert (await http.get(answer)).status_code == 303
        assert (await http.get("/api/auth/me")).json()["name"] == "ada@example.com"
        assert dict(http.cookies) != dict(planted)
        async with gateway.browser() as eve:
            eve.cookies = planted
            assert (await eve.get("/api/auth/me")).status_code == 401


async def test_signing_out_ends_every_copy_of_the_session(issuer: Issuing) -> None:
    async with (
        site(issuer) as gateway,
        gateway.browser() as http,
        gateway.browser() as elsewhere,
        gateway.browser() as copy,
    ):
        await sign_in(http, "ada")
        await sign_in(elsewhere, "ada")
        copy.cookies = httpx.Cookies(http.cookies)
        foreign = await http.post("/api/auth/logout", content="{}", headers={**JSON, "origin": "https://evil.example"})
        assert foreign.status_code == 403
        out = await gateway.post(http, "/api/auth/logout", "{}")
        assert (out.status_code, "Max-Age=0" in out.headers["set-cookie"]) == (204, True)
        statuses = [(await each.get("/api/auth/me")).status_code for each in (http, copy, elsewhere)]
        assert statuses == [401, 401, 200]
        await sign_in(http, "ada")
        assert (await gateway.post(http, "/api/auth/logout", '{"everywhere": true}')).status_code == 204
        assert (await elsewhere.get("/api/auth/me")).status_code == 401


async def test_a_session_ends_by_itself(issuer: Issuing) -> None:
    async with site(issuer, session_idle_s=600, session_s=1500) as gateway, gateway.browser() as http:
        await sign_in(http, "ada")
        for _ in range(2):
            gateway.clock.now += 599
            assert (await http.get("/api/tasks")).status_code == 200
        gateway.clock.now += 302
        assert (await http.get("/api/tasks")).status_code == 401


async def test_a_stream_whose_session_is_over_closes_without_end_and_goes_on_at_its_cursor(issuer: Issuing) -> None:
    async with (
        site(issuer, session_check_s=0.05, heartbeat_s=0.05) as gateway,
        gateway.browser() as http,
        gateway.browser() as other,
    ):
        await sign_in(http, "ada")
        await sign_in(other, "ada")
        task = await gateway.task_of(http)
        first = asyncio.Event()

        def watching(seen: Seen) -> bool:
            first.set()
            return False

        closed = asyncio.create_task(read_stream(http, task, until=watching))
        kept = asyncio.create_task(read_stream(other, task, until=lambda seen: 2 in seen.seqs))
        await first.wait()
        await gateway.post(http, "/api/auth/logout", "{}")
        seen = await closed
        assert (seen.seqs, seen.ended) == ([1], False)
        assert (await http.get(f"/api/stream/{task}?cursor=1")).status_code == 401
        await gateway.log.append(task, Batch(2, 1, events(2, 1)))
        assert (await kept).seqs == [1, 2]
        await sign_in(http, "ada")
        assert (await read_stream(http, task, cursor=1, until=lambda seen: bool(seen.seqs))).seqs == [2]


async def test_an_issuer_that_does_not_answer_is_told_in_words(tmp_path: Any) -> None:
    (tmp_path / "secret").write_text("x")
    async with site(Issuing("http://127.0.0.1:9", f"{tmp_path}/secret")) as gateway, gateway.browser() as http:
        failed = await http.get("/api/auth/login")
        assert (failed.status_code, "The sign-in did not work." in failed.text) == (502, True)


async def test_wrong_codes_are_guesses_and_are_limited(issuer: Issuing) -> None:
    async with site(issuer) as gateway, gateway.browser() as http:
        gateway.clock.now -= gateway.clock.now % 600

        async def guess() -> int:
            state = parse_qs(urlsplit((await http.get("/api/auth/login")).headers["location"]).query)["state"][0]
            return (await http.get("/api/auth/callback", params={"state": state, "code": "x"})).status_code

        assert [await guess() for _ in range(21)] == [*[403] * 20, 429]
        state = parse_qs(urlsplit((await http.get("/api/auth/login")).headers["location"]).query)["state"][0]
        page = await http.get("/api/auth/callback", params={"state": state, "code": "x"})
        assert (page.headers["content-type"], page.headers["retry-after"]) == ("text/html; charset=utf-8", "600")
        assert "Wait for ten minutes" in page.text
        gateway.clock.now += 600
        assert (await sign_in(http, "ada")).status_code == 303
