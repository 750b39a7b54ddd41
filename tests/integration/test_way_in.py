"""At `make run` its user comes in, by the printed address or the run's secret, and nobody else on this machine does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from gateway.guesses import LIMIT
from local.address import another_address, new_address_of
from local.run_files import ADDRESS, SECRET, run_address, run_secret
from local.serve import owner_on
from local.site import create_site
from tailrace.access import Credentials, open_credentials
from tailrace.access.credential import new_address, new_session
from tailrace.config import Settings
from tailrace.errors import TailraceError
from tailrace.owner import Owner
from tests.support.http import serve

JSON = {"content-type": "application/json"}
TASK = {"message": {"parts": [{"text": "hello"}]}}
DAY_S = 86_400


@dataclass
class Site:
    """The page of `make run`. `secret` is the run's."""

    url: str
    settings: Settings
    secret: str
    store: Credentials

    @property
    def cookie(self) -> str:
        """The name of a session's cookie."""
        return f"tailrace-{urlsplit(self.url).port}"

    def browser(self) -> httpx.AsyncClient:
        """A browser that keeps its cookies and follows redirects."""
        return httpx.AsyncClient(base_url=self.url, follow_redirects=True, timeout=60)


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    with run_secret(Settings(data_dir=str(tmp_path))) as secret:
        settings = Settings(data_dir=str(tmp_path), run_secret=secret, orchestrator_url="http://127.0.0.1:9/")
        store = open_credentials(settings)
        async with serve(create_site(settings, owner_on("127.0.0.1", settings))) as url:
            yield Site(url, settings, secret, store)
        await store.close()


async def status(http: httpx.AsyncClient, **headers: str) -> int:
    return (await http.get("/api/tasks", headers=headers)).status_code


async def test_the_printed_address_lets_a_browser_in_and_is_not_kept_there(site: Site) -> None:
    address = await new_address_of(site.settings, site.url)
    async with site.browser() as http:
        assert await status(http) == 401
        answer = await http.get(f"{address}&task=a%26b")
        assert (answer.status_code, str(answer.url)) == (200, f"{site.url}/?task=a%26b")
        (sent,) = answer.history
        assert sent.headers["cache-control"] == "no-store"
        name, _, attributes = sent.headers["set-cookie"].partition("=")
        assert name == site.cookie
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes.split("; "))
        assert "Secure" not in attributes  # loopback is plain HTTP
        assert await status(http) == 200
        me = (await http.get("/api/auth/me")).json()
    assert (me["id"], me["kind"], me["left"]) == ("local", "session", {})
    assert me["secretFile"] == f"{site.settings.data_dir}/run-secret"


async def test_an_address_lets_one_browser_in_and_no_second_one(site: Site) -> None:
    address = await new_address_of(site.settings, site.url)
    async with site.browser() as one, site.browser() as two:
        answers = await asyncio.gather(*(each.get(address) for each in (one, two) * 4))
        assert {each.status_code for each in answers} == {200}
        assert sorted([await status(one), await status(two)]) == [200, 401]
        first = one if await status(one) == 200 else two
        assert str((await first.get(address)).url) == f"{site.url}/"  # clicked again, it still leads to the page
        assert await status(first) == 200
    assert len(await site.store.of("local")) == 1


async def test_an_address_is_of_no_use_after_a_day(site: Site) -> None:
    await new_address_of(site.settings, site.url)
    (newest,) = await site.store.of("addresses")
    assert newest.expires - newest.created == DAY_S
    old, token = new_address(now=site.store.now() - DAY_S, lasts_s=DAY_S)
    await site.store.keep(old)
    async with site.browser() as http:
        await http.get("/", params={"token": token})
        assert await status(http) == 401


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "\ud800", "%00", "é" * 900])
async def test_what_is_no_token_lets_nobody_in_and_leads_to_the_page(site: Site, token: str) -> None:
    async with site.browser() as http:
        answer = await http.get("/", params={"token": token.encode(errors="surrogatepass")})
        assert (answer.status_code, str(answer.url)) == (200, f"{site.url}/")
        assert await status(http) == 401


async def test_a_look_ahead_does_not_spend_an_address(site: Site) -> None:
    address = await new_address_of(site.settings, site.url)
    async with site.browser() as http:
        await http.head(address)
        assert await status(http) == 401
        await http.get(address)
        assert await status(http) == 200


async def test_a_name_that_leads_here_spends_no_address_and_uses_no_session(site: Site) -> None:
    """DNS rebinding: for the browser such a page has the origin of its own name."""
    address = await new_address_of(site.settings, site.url)
    rebound = {"host": "rebound.example"}
    async with site.browser() as http:
        answer = await http.get(address, headers=rebound, follow_redirects=False)
        assert "set-cookie" not in answer.headers
        await http.get(address)
        assert await status(http) == 200
        assert await status(http, **rebound) == 401
        assert await status(http, authorization=f"Bearer {site.secret}", **rebound) == 401
        told = (await http.get("/api/tasks", headers=rebound)).json()
    assert set(told) == {"type", "title", "status", "detail"}
    assert str(site.settings.data_dir) not in told["detail"]


async def test_the_secret_in_the_data_folder_lets_programs_in_and_guesses_lock_nobody_out(site: Site) -> None:
    path = Path(site.settings.data_dir) / SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with site.browser() as http:
        for guess in range(LIMIT + 2):
            assert await status(http, authorization=f"Bearer guess-{guess}") == 401
        assert await status(http, authorization=f"Bearer {path.read_text()}") == 200
        assert (await http.post("/api/tasks", headers=JSON, content=b"{}")).status_code == 401
        assert await status(http, cookie=f"tailrace-secret={site.secret}") == 401
        assert await status(http, **{"x-tailrace-secret": site.secret}) == 401


async def test_who_is_not_let_in_learns_how(site: Site) -> None:
    async with site.browser() as http:
        problem = (await http.get("/api/agents")).json()
    folder = site.settings.data_dir
    assert problem["command"] == f"TAILRACE_DATA_DIR={folder} make address"
    assert f"A program sends `Authorization: Bearer` with what is in {folder}/run-secret." in problem["detail"]


async def test_a_session_survives_a_restart_and_a_sign_out_does_not(site: Site) -> None:
    async with site.browser() as http:
        await http.get(await new_address_of(site.settings, site.url))
        cookies = dict(http.cookies)
        later = create_site(site.settings, owner_on("127.0.0.1", site.settings))
        transport = httpx.ASGITransport(later)
        async with httpx.AsyncClient(transport=transport, base_url=site.url, cookies=cookies) as restarted:
            assert await status(restarted) == 200
            assert (await http.post("/api/auth/logout", json={}, headers={"origin": site.url})).status_code == 204
            assert await status(restarted) == 401


async def test_where_people_sign_in_a_session_of_this_machines_user_is_of_no_use(site: Site) -> None:
    session, cookie = new_session(Owner.named("local"), now=site.store.now(), idle_s=0, lasts_s=60)
    await site.store.keep(session)
    settings = Settings(
        data_dir=site.settings.data_dir, oidc_issuer="http://127.0.0.1:9", oidc_client_id="c", run_secret=site.secret
    )
    async with serve(create_site(settings, owner_on("127.0.0.1", settings))) as url:
        cookies = {f"tailrace-{urlsplit(url).port}": cookie}
        async with httpx.AsyncClient(base_url=url, cookies=cookies) as http:
            assert await status(http) == 401
            assert await status(http, authorization=f"Bearer {site.secret}") == 401
        assert await new_address_of(settings, url) == url  # they sign in there
    async with httpx.AsyncClient(base_url=site.url, cookies={site.cookie: cookie}) as http:
        assert await status(http) == 200


async def test_this_machines_user_has_no_limits(site: Site) -> None:
    """There is nobody from whom it would take something."""
    settings = replace(site.settings, owner_tasks=1, owner_running=1)
    app = create_site(settings, owner_on("127.0.0.1", settings))
    async with serve(app) as url, httpx.AsyncClient(base_url=url, follow_redirects=True) as http:
        await http.get(await new_address_of(settings, url))
        for _ in range(3):
            assert (await http.post("/api/tasks", json=TASK, headers={"origin": url})).status_code == 201


async def test_no_token_is_in_a_log_line(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    address = await new_address_of(site.settings, site.url)
    with caplog.at_level(logging.INFO):
        async with site.browser() as http:
            await http.get(address)
            assert await status(http) == 200
    ours = [each.getMessage() for each in caplog.records if not each.name.startswith("httpx")]
    assert not [line for line in ours if address.partition("token=")[2] in line]


async def test_make_address_prints_one_where_make_run_is(site: Site) -> None:
    settings = replace(site.settings, run_secret="")
    folder = Path(settings.data_dir)
    wrong = f"`make run` does not run in the data folder {settings.data_dir!r}; TAILRACE_DATA_DIR names another."
    with pytest.raises(TailraceError, match=re.escape(wrong)):
        await another_address(settings)
    with run_address(settings, site.url):
        async with site.browser() as http:
            await http.get(await another_address(settings))
            assert await status(http) == 200
        signs_in = replace(site.settings, oidc_issuer="http://127.0.0.1:9", oidc_client_id="c")
        async with serve(create_site(signs_in, owner_on("127.0.0.1", signs_in))) as url:
            with run_address(settings, url):
                assert await another_address(settings) == url  # a token would let nobody in
    with run_address(settings, "http://127.0.0.1:9"), pytest.raises(TailraceError, match=re.escape(wrong)):
        await another_address(settings)  # the run was killed
    assert not (folder / ADDRESS).exists()


def run(folder: Path, secret: str = "") -> contextlib.ExitStack:
    """A run that uses the folder, as far as its files show it."""
    stack, settings = contextlib.ExitStack(), Settings(data_dir=str(folder), run_secret=secret)
    secret = stack.enter_context(run_secret(settings))
    stack.enter_context(run_address(settings, f"http://{secret}"))
    return stack


def files_of_runs(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("first_ends_first", [True, False])
def test_runs_that_use_one_folder_have_one_secret_until_the_last_one_ends(
    tmp_path: Path, first_ends_first: bool
) -> None:
    first = run(tmp_path)
    alone = files_of_runs(tmp_path)
    second = run(tmp_path)
    assert files_of_runs(tmp_path)[SECRET] == alone[SECRET]
    runs = [first, second] if first_ends_first else [second, first]
    runs[0].close()
    assert files_of_runs(tmp_path)[SECRET] == alone[SECRET]
    runs[1].close()
    assert files_of_runs(tmp_path) == {}


def test_each_run_of_a_folder_has_a_line_for_its_address(tmp_path: Path) -> None:
    one, two = "1" * 16, "2" * 16
    with run(tmp_path, one):
        with run(tmp_path, two):
            assert files_of_runs(tmp_path) == {SECRET: one, ADDRESS: f"http://{one}\nhttp://{two}"}
        assert files_of_runs(tmp_path) == {SECRET: one, ADDRESS: f"http://{one}"}


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / SECRET).write_text("old")
    (tmp_path / ADDRESS).write_text("http://old")
    new = "1" * 16
    with run(tmp_path, new):
        assert files_of_runs(tmp_path) == {SECRET: new, ADDRESS: f"http://{new}"}
        (tmp_path / ADDRESS).write_text("http://old")
    assert files_of_runs(tmp_path) == {}


async def test_make_address_finds_the_run_that_is_left(site: Site) -> None:
    with run_address(site.settings, site.url), run_address(site.settings, "http://127.0.0.1:9"):  # it was killed
        assert (await another_address(site.settings)).startswith(f"{site.url}/?token=")
