"""Only the gateway's own page and programs may change anything; pages of other sites may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.app import create_app
from gateway.owner import SECRET_COOKIE, SECRET_HEADER, LocalUser, secret_owner
from local.site import create_site
from tailrace.aws import VIEWER_HOST
from tailrace.config import Settings
from tailrace.log.memory import MemoryLog
from tests.support.http import serve

SECRET = "correct horse battery staple"
COOKIE = {"Cookie": f"{SECRET_COOKIE}={SECRET.replace(' ', '%20')}"}
JSON = {"Content-Type": "application/json"}
ID = "00000000-0000-0000-0000-000000000000"
TASK = b'{"message": {"parts": [{"text": "hi"}]}}'
CHANGES = [("POST", "/api/tasks"), ("POST", f"/api/tasks/{ID}/messages"), ("POST", f"/api/tasks/{ID}/cancel"),
           ("POST", "/api/auth/logout"), ("DELETE", "/api/auth/sessions/x"), ("DELETE", "/api/auth/tokens/x"),
           ("DELETE", f"/api/webhooks/{ID}/x"), ("POST", "/api/uploads"),
           ("DELETE", "/api/uploads/x"), ("PUT", "/api/uploads/x"),
           ("DELETE", "/api/conversations/x"), ("PATCH", "/api/conversations/x"),
           ("POST", "/api/chat"), ("POST", "/api/chat/x/cancel"),
           ("POST", "/api/agui/x"), ("POST", "/api/agui/x/connect")]  # fmt: skip
# What a page may send to another origin without a preflight.
SIMPLE = [{}, {"Content-Type": ""}, {"Content-Type": "text/plain"}, {"Content-Type": "text/plain;charset=UTF-8"},
          {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "multipart/form-data; boundary=x"},
          {"Content-Type": "text/plain; application/json"}]  # fmt: skip


@dataclass
class Site:
    http: httpx.AsyncClient
    log: MemoryLog
    host: str

    async def nothing_happened(self) -> bool:
        return (await self.log.list("shared")).heads == []


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    """A gateway with a secret, whose agent is unreachable."""
    settings = Settings(log="memory", orchestrator_url="http://127.0.0.1:9/")
    log = MemoryLog()
    app = create_app(settings, log=log, decide_owner=secret_owner(SECRET))
    async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        yield Site(http, log, url.removeprefix("http://"))


def changes(app: Starlette) -> list[tuple[str, str]]:
    """Return the verb and path of every route that changes something."""
    routes = []
    for route in app.routes:
        if isinstance(route, Route):
            path = (
                route.path.replace("{task_id}", ID)
                .replace("{credential_id}", "x")
                .replace("{token}", "x")
                .replace("{agent}", "x")
                .replace("{webhook_id:path}", "x")
                .replace("{context_id:path}", "x")
            )
            routes += [(verb, path) for verb in sorted((route.methods or set()) - {"GET", "HEAD"})]
    return routes


def test_these_tests_cover_every_route_that_changes_something(tmp_path: Path) -> None:
    made = create_site(Settings(data_dir=str(tmp_path)), LocalUser(SECRET, "", ""))
    assert changes(made) == [*CHANGES, ("POST", f"/api/local/tasks/{ID}/kill")]


async def test_a_post_with_a_cors_safelisted_content_type_is_refused(tmp_path: Path) -> None:
    """On every route of `make run`."""
    made = create_site(Settings(data_dir=str(tmp_path)), LocalUser(SECRET, "", ""))
    async with serve(made) as url, httpx.AsyncClient(base_url=url) as http:
        for verb, path in changes(made):
            for kind in SIMPLE if verb in ("POST", "PATCH") else ():
                refused = await http.request(verb, path, content=TASK, headers=kind)
                assert refused.status_code == 415, (path, kind)
                assert refused.headers["content-type"] == "application/problem+json"
                assert "but must be application/json" in refused.json()["detail"]


async def test_a_cookie_counts_only_from_the_gateways_own_page(site: Site) -> None:
    sibling = f"http://evil.{site.host}"
    for origin in (None, "null", "", "http://evil.example", sibling, f"https://{site.host}", f"http://{site.host}0"):
        headers = {**COOKIE, **JSON, **({} if origin is None else {"Origin": origin})}
        for verb, path in CHANGES:
            refused = await site.http.request(verb, path, content=TASK, headers=headers)
            assert refused.status_code == 403, (origin, path)
            assert refused.json()["detail"].startswith(
                f"Origin has value '{origin or ''}', but must be 'http://{site.host}'"
            )
    assert await site.nothing_happened()


async def test_a_request_that_names_another_origin_is_refused_without_a_cookie_too(site: Site) -> None:
    known = {**JSON, SECRET_HEADER: SECRET}
    for verb, path in CHANGES:
        refused = await site.http.request(verb, path, content=TASK, headers={**known, "Origin": "http://evil.example"})
        assert refused.status_code == 403, path
    assert await site.nothing_happened()


async def test_only_the_gateways_own_pages_open_streams(site: Site) -> None:
    """Another site's page cannot read a stream, but it could take the places of all others."""
    for path, own in ((f"/api/stream/{ID}", 404), ("/api/chat/x/stream", 204)):
        for fetch_site, status in (
            *(("cross-site", 403), ("same-site", 403), ("", 403)),
            *(("same-origin", own), ("none", own)),
        ):
            for verb in ("GET", "HEAD"):
                headers = {**COOKIE, "Sec-Fetch-Site": fetch_site}
                answer = await site.http.request(verb, path, headers=headers)
                assert answer.status_code == status, (path, fetch_site)
    assert (await site.http.get(f"/api/stream/{ID}", headers=COOKIE)).status_code == 404  # a program


async def test_the_pages_own_requests_are_accepted(site: Site) -> None:
    headers = {**COOKIE, **JSON, "Origin": f"http://{site.host}"}
    assert (await site.http.post("/api/tasks", content=TASK, headers=headers)).status_code == 201
    charset = headers | {"Content-Type": "application/json; charset=utf-8"}
    assert (await site.http.post("/api/tasks", content=TASK, headers=charset)).status_code == 201


async def test_a_program_needs_the_secret_and_no_origin(site: Site) -> None:
    known = {**JSON, SECRET_HEADER: SECRET}
    assert (await site.http.post("/api/tasks", content=TASK, headers=known)).status_code == 201
    assert (await site.http.post("/api/tasks", content=TASK, headers=JSON)).status_code == 401


async def test_reading_needs_no_origin(site: Site) -> None:
    """An EventSource of the gateway's page sends no Origin; a page of another origin cannot read the response."""
    assert (await site.http.get("/api/tasks", headers=COOKIE)).status_code == 200
    answer = await site.http.get("/api/tasks", headers={**COOKIE, "Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_a_preflight_request_from_another_origin_is_not_allowed(site: Site) -> None:
    asks = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for verb, path in CHANGES:
        answer = await site.http.options(path, headers=asks | {"Access-Control-Request-Method": verb})
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_behind_cloudfront_the_origin_is_checked_against_the_viewers_host() -> None:
    """CloudFront replaces `Host` by that of the Function URL and passes the viewer's host in another header."""
    settings = Settings(log="memory", orchestrator_url="http://127.0.0.1:9/")
    app = create_app(settings, log=MemoryLog(), decide_owner=secret_owner(SECRET), host_header=VIEWER_HOST)
    async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        for viewer, origin, status in (
            ("d1.cloudfront.net", "http://d1.cloudfront.net", 201),
            ("d1.cloudfront.net", url, 403),
            ("d1.cloudfront.net", "http://d2.cloudfront.net", 403),
            ("unknown", url, 403),
        ):
            headers = {**COOKIE, **JSON, VIEWER_HOST: viewer, "Origin": origin}
            assert (await http.post("/api/tasks", content=TASK, headers=headers)).status_code == status
