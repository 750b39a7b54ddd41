"""A page of another site, in a real browser: it reaches these ports, and begins nothing there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from browser import needs_chromium
from playwright.async_api import Browser, BrowserContext, Page, Response
from serving import serve
from stack import Stack
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.app import create_app
from gateway.owner import SECRET_COOKIE, secret_owner
from tailrace.config import Settings
from tailrace.log.memory import MemoryLog

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_chromium]

SECRET = "correct-horse-battery-staple"
TASK = {"message": {"parts": [{"text": "begun by another site"}]}}
MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "begun by another site"}]}
RPC = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": MESSAGE}}

# Every way in which a script sends a POST without the server's leave. The last has to ask first.
ATTACK = """async ([url, body]) => {
  const send = (options) => fetch(url, { method: "POST", credentials: "include", ...options }).catch(() => null);
  await send({ mode: "no-cors", body });
  await send({ mode: "no-cors", body: new Blob([body]) });
  await send({ mode: "no-cors", body: new URLSearchParams({ body }) });
  await send({ mode: "no-cors" });
  navigator.sendBeacon(url, body);
  navigator.sendBeacon(url, new Blob([body]));
  await send({ body, headers: { "content-type": "application/json" } });
}"""
FORM = """([url, body]) => {
  const form = document.createElement("form");
  Object.assign(form, { action: url, method: "POST", enctype: "text/plain" });
  const input = document.createElement("input");
  // A form makes `name=value` of it, so the equals sign stands where JSON lets anything stand.
  Object.assign(input, { name: body.slice(0, -1) + ', "x": "', value: '"}' });
  form.append(input);
  document.body.append(form);
  form.submit();
}"""
SENT = 6


async def evil(_: Request) -> HTMLResponse:
    return HTMLResponse("<!doctype html><title>Another site</title><body>")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def elsewhere() -> AsyncIterator[int]:
    """The port of another site's pages; `*.localhost` leads there by every name."""
    async with serve(Starlette(routes=[Route("/", evil)])) as url:
        port = urlsplit(url).port
        assert port is not None
        yield port


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    made = await browser.new_context()
    yield made
    await made.close()


async def attack(page: Page, url: str, body: Any) -> list[int]:
    """Send it in every way; the statuses of all that arrived."""
    arrived: list[int] = []

    def note(response: Response) -> None:
        if response.request.method == "POST" and response.url == url:
            arrived.append(response.status)

    page.on("response", note)
    await page.evaluate(ATTACK, [url, json.dumps(body)])
    async with page.expect_navigation() as navigation:
        await page.evaluate(FORM, [url, json.dumps(body)])
    answer = await navigation.value
    assert answer is not None
    return [*arrived, answer.status]


@pytest.mark.parametrize("host", ["evil.localhost", "127.0.0.1"])
async def test_another_site_begins_nothing_at_make_run_s_ports(
    context: BrowserContext, shipped: Stack, elsewhere: int, host: str
) -> None:
    """`127.0.0.1` at another port is of the same site, so to say: a page of another program on this machine."""
    async with httpx.AsyncClient(base_url=shipped.url) as http:
        cards = (await http.get("/api/agents")).json()["agents"]
        page = await context.new_page()
        for card in cards:
            for url, body in ((card["url"], RPC), (card["url"] + "message:send", {"message": MESSAGE})):
                await page.goto(f"http://{host}:{elsewhere}/")
                statuses = await attack(page, url, body)
                assert len(statuses) > SENT
                assert set(statuses) <= {403, 415}, url
        await page.goto(f"http://{host}:{elsewhere}/")
        statuses = await attack(page, f"{shipped.url}/api/tasks", TASK)
        assert len(statuses) > SENT
        assert set(statuses) == {415}
        assert (await http.get("/api/tasks")).json()["tasks"] == []
        secret = (shipped.folder / "run-secret").read_text()
        headers = {"Authorization": f"Bearer {secret}", "A2A-Version": "1.0"}
        for card in cards:
            call = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks"}
            listed = (await http.post(card["url"], json=call, headers=headers)).json()["result"]
            assert listed["totalSize"] == 0


async def test_a_sibling_domain_begins_nothing_with_the_cookie_of_the_shared_secret(
    context: BrowserContext, elsewhere: int
) -> None:
    log, cookies = MemoryLog(), set[bytes]()
    app = create_app(Settings(log="memory"), log=log, decide_owner=secret_owner(SECRET))

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        cookies.update(value for name, value in scope.get("headers", ()) if name == b"cookie")
        await app(scope, receive, send)

    async with serve(noting) as address:
        gateway = f"http://tailrace.localhost:{urlsplit(address).port}"
        await context.add_cookies([{"name": SECRET_COOKIE, "value": SECRET, "url": gateway, "sameSite": "Strict"}])
        page = await context.new_page()
        await page.goto(f"http://evil.tailrace.localhost:{elsewhere}/")
        statuses = await attack(page, f"{gateway}/api/tasks", TASK)
        assert len(statuses) > SENT
        assert set(statuses) == {415}
        assert cookies == {f"{SECRET_COOKIE}={SECRET}".encode()}  # to the browser the sibling is the same site
        assert (await log.list("shared")).heads == []
        # The gateway's own page does, by the same cookie.
        await page.goto(f"{gateway}/api/health")
        created = await page.evaluate(
            """async (body) => (await fetch("/api/tasks", { method: "POST", body,
                 headers: { "content-type": "application/json" } })).status""",
            json.dumps(TASK),
        )
        assert created == 201
        assert len((await log.list("shared")).heads) == 1
