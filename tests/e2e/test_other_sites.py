"""A page of another site in a browser: it reaches our ports, and creates no task there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Response
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.app import create_app
from gateway.owner import SECRET_COOKIE, secret_owner
from tailrace.config import Settings
from tailrace.log.memory import MemoryLog
from tests.support.browser import needs_chromium, unknown_context
from tests.support.conditions import eventually
from tests.support.http import serve
from tests.support.jsonrpc import rpc
from tests.support.processes import Stack, stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

SECRET = "correct-horse-battery-staple"
TASK = {"message": {"parts": [{"text": "created by another site"}]}}
MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "created by another site"}]}
RPC = rpc("SendMessage", {"message": MESSAGE})

# Every way to send a POST from a script without a preflight; the last one needs a preflight.
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
  // A form sends `name=value`: the equals sign is inside a JSON string.
  Object.assign(input, { name: body.slice(0, -1) + ', "x": "', value: '"}' });
  form.append(input);
  document.body.append(form);
  form.submit();
}"""
REQUESTS_WITHOUT_PREFLIGHT = 6


async def other_site(_: Request) -> HTMLResponse:
    return HTMLResponse("<!doctype html><title>Another site</title><body>")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def elsewhere() -> AsyncIterator[int]:
    """The port of another site. Every name under `localhost` leads there."""
    async with serve(Starlette(routes=[Route("/", other_site)])) as url:
        port = urlsplit(url).port
        assert port is not None
        yield port


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await unknown_context(browser)
    yield context
    await context.close()


async def attack(page: Page, url: str, body: Any) -> list[int]:
    """Send the body in every way. Returns the statuses of the requests that arrived."""
    statuses: list[int] = []

    def note(response: Response) -> None:
        if response.request.method == "POST" and response.url == url:
            statuses.append(response.status)

    page.on("response", note)
    await page.evaluate(ATTACK, [url, json.dumps(body)])
    # The script does not wait for the answers to its beacons, and another page would not hear of them.
    await eventually(lambda: len(statuses) >= REQUESTS_WITHOUT_PREFLIGHT)
    async with page.expect_navigation() as navigation:
        await page.evaluate(FORM, [url, json.dumps(body)])
    answer = await navigation.value
    assert answer is not None
    return [*statuses, answer.status]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def without_tasks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All processes that `make run` starts; no other test creates a task there."""
    async with stack(tmp_path_factory.mktemp("without_tasks")) as started:
        yield started


@pytest.mark.parametrize("host", ["evil.localhost", "127.0.0.1"])
async def test_another_site_creates_no_task_at_the_ports_of_make_run(
    context: BrowserContext, without_tasks: Stack, elsewhere: int, host: str
) -> None:
    """`127.0.0.1` at another port is the same site: a page of another program on this machine."""
    async with without_tasks.client() as http:
        cards = (await http.get("/api/agents")).json()["agents"]
        page = await context.new_page()
        for card in cards:
            for url, body in ((card["url"], RPC), (card["url"] + "message:send", {"message": MESSAGE})):
                await page.goto(f"http://{host}:{elsewhere}/")
                statuses = await attack(page, url, body)
                assert len(statuses) > REQUESTS_WITHOUT_PREFLIGHT
                assert set(statuses) <= {403, 415}, url
        await page.goto(f"http://{host}:{elsewhere}/")
        statuses = await attack(page, f"{without_tasks.url}/api/tasks", TASK)
        assert len(statuses) > REQUESTS_WITHOUT_PREFLIGHT
        assert set(statuses) == {415}
        assert (await http.get("/api/tasks")).json()["tasks"] == []
        secret = (without_tasks.folder / "run-secret").read_text()
        headers = {"Authorization": f"Bearer {secret}", "A2A-Version": "1.0"}
        for card in cards:
            listed = (await http.post(card["url"], json=rpc("ListTasks"), headers=headers)).json()["result"]
            assert listed["totalSize"] == 0


async def test_a_sibling_domain_creates_no_task_with_the_cookie_of_the_shared_secret(
    context: BrowserContext, elsewhere: int
) -> None:
    log, cookies = MemoryLog(), set[bytes]()
    app = create_app(Settings(log="memory"), log=log, decide_owner=secret_owner(SECRET))

    async def noting_cookies(scope: Scope, receive: Receive, send: Send) -> None:
        cookies.update(value for name, value in scope.get("headers", ()) if name == b"cookie")
        await app(scope, receive, send)

    async with serve(noting_cookies) as address:
        gateway = f"http://tailrace.localhost:{urlsplit(address).port}"
        await context.add_cookies([{"name": SECRET_COOKIE, "value": SECRET, "url": gateway, "sameSite": "Strict"}])
        page = await context.new_page()
        await page.goto(f"http://evil.tailrace.localhost:{elsewhere}/")
        statuses = await attack(page, f"{gateway}/api/tasks", TASK)
        assert len(statuses) > REQUESTS_WITHOUT_PREFLIGHT
        assert set(statuses) == {415}
        assert cookies == {f"{SECRET_COOKIE}={SECRET}".encode()}  # for the browser the sibling is the same site
        assert (await log.list("shared")).heads == []
        # The gateway's own page creates one with the same cookie.
        await page.goto(f"{gateway}/api/health")
        created = await page.evaluate(
            """async (body) => (await fetch("/api/tasks", { method: "POST", body,
                 headers: { "content-type": "application/json" } })).status""",
            json.dumps(TASK),
        )
        assert created == 201
        assert len((await log.list("shared")).heads) == 1
