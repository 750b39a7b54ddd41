"""People sign in at a real issuer by the keyboard; a session that ends costs nothing; and they sign out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect
from starlette.routing import BaseRoute, Mount

from gateway.app import create_app
from gateway.owner import secret_owner
from local.address import new_address_of
from local.site import FRONTEND, PageFiles, PageHeaders
from tailrace import AgentCard
from tailrace.access.store import MemoryCredentials
from tailrace.config import Settings
from tailrace.log.memory import MemoryLog
from tests.e2e.actions import last_seq, opened, send, write
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.anothers import attempts, is_refusal, made_up, without
from tests.support.axe import violations
from tests.support.browser import needs_chromium, unknown_context
from tests.support.http import serve
from tests.support.in_process import agent
from tests.support.issuer import Issuing, issuing
from tests.support.processes import Stack

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

CARD = AgentCard(name="orchestrator", description="Waits.", version="1", skills=[])


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuing]:
    with issuing(str(tmp_path_factory.mktemp("issuer"))) as started:
        yield started


@dataclass
class Site:
    url: str
    store: MemoryCredentials
    gate: Gate
    routes: list[BaseRoute]


@asynccontextmanager
async def site(issuer: Issuing, folder: Path) -> AsyncIterator[Site]:
    """The page, a gateway where people sign in, and an agent that waits."""
    log, store, gate = MemoryLog(), MemoryCredentials(), Gate()
    async with agent(waits_at_gate(gate), log=log, card=CARD, limit_s=None) as served:
        settings = issuer.settings(
            orchestrator_url=served.url, data_dir=str(folder), session_check_s=0.1, heartbeat_s=0.1, retry_ms=50
        )
        app = create_app(settings, log=log, credentials=store, decide_owner=secret_owner(""))
        routes = list(app.routes)
        app.router.routes.append(Mount("/", PageHeaders(PageFiles(directory=FRONTEND, html=True))))
        async with serve(app) as url:
            yield Site(url, store, gate, routes)


async def sign_in(page: Page, name: str) -> None:
    """Answer the page's dialog by the keyboard alone, and sign in in the window that opens."""
    button = page.get_by_test_id("sign-in")
    await expect(button).to_be_focused()
    async with page.context.expect_page() as opening:
        await page.keyboard.press("Enter")
    window = await opening.value
    login = window.locator("input[name=login]")
    remembered = window.get_by_role("button", name="Continue")
    await expect(login.or_(remembered).first).to_be_visible()
    if await login.count():
        await login.focus()
        await window.keyboard.type(name)
        await window.keyboard.press("Tab")
        await window.keyboard.type("any")
        await window.keyboard.press("Enter")
    await expect(remembered).to_be_visible()
    await remembered.focus()
    async with window.expect_event("close"):
        await window.keyboard.down("Enter")  # the window may close before the key is up
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_person_signs_in_loses_the_session_mid_stream_goes_on_and_signs_out(
    page: Page, issuer: Issuing, tmp_path: Path
) -> None:
    async with site(issuer, tmp_path) as gateway:
        await page.goto(gateway.url)
        await expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
        assert await violations(page) == []
        await sign_in(page, "ada")
        account = page.get_by_test_id("account")
        await expect(account).to_contain_text("Signed in as ada@example.com")
        await write(page, "message-input", "hello")
        await page.get_by_test_id("send-button").click()
        task = await opened(page)
        await gateway.gate.reached.wait()
        await expect(page.get_by_test_id("connection-pill")).to_contain_text("live")
        shown = await last_seq(page)

        await end_sessions(page, gateway)
        await expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
        gateway.gate.open.set()  # the run does not wait for its viewer
        # An event that was on its way when the session ended may still have arrived.
        assert await last_seq(page) >= shown > 0, "what was shown is still shown"
        await sign_in(page, "ada")
        await expect(page.get_by_test_id("task-state")).to_have_text("completed")
        counts = await page.evaluate("() => window.tailrace.applied")
        assert counts["count"] == counts["last"], "nothing was lost"
        assert counts["repeated"] == 0
        assert await page.evaluate("() => window.tailrace.task") == task

        await account.get_by_role("button", name="Sign out", exact=True).focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
        await expect(page.get_by_text("hello")).to_have_count(0)
        answer = await page.request.get(f"{gateway.url}/api/tasks/{task}")
        assert answer.status == 401


async def test_what_was_shown_to_a_person_is_not_shown_to_the_next_one(
    page: Page, issuer: Issuing, tmp_path: Path
) -> None:
    async with site(issuer, tmp_path) as gateway:
        await page.goto(gateway.url)
        await sign_in(page, "ada")
        await send(page, gateway.url, "a secret plan")
        await expect(page.get_by_test_id("account")).to_contain_text("ada@example.com")
        await page.context.clear_cookies()  # as after a time, at the issuer too
        await expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
        await sign_in(page, "bob")
        await expect(page.get_by_test_id("account")).to_contain_text("bob@example.com")
        await expect(page.get_by_text("a secret plan")).to_have_count(0)
        gateway.gate.open.set()


async def test_a_browser_that_is_not_let_in_at_make_run_is_told_how_and_goes_on_where_it_was(
    browser: Browser, shipped: Stack
) -> None:
    context = await unknown_context(browser)
    page = await context.new_page()
    await page.goto(f"{shipped.url}/?token=of-another-browser")
    dialog = page.get_by_role("dialog", name="Sign in")
    await expect(dialog).to_contain_text("make address")
    await expect(page.get_by_role("button", name="Copy the command")).to_be_focused()
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 844})
        assert await violations(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") == width
    other = await context.new_page()
    await other.goto(await new_address_of(Settings(data_dir=str(shipped.folder)), shipped.url))
    await expect(other).to_have_url(f"{shipped.url}/")
    await expect(other.get_by_test_id("sample-button")).to_be_visible()
    await page.evaluate("dispatchEvent(new Event('focus'))")  # no browser without a screen has a window that loses it
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_test_id("sample-button")).to_be_visible()
    await expect(page.get_by_test_id("account")).to_have_count(0)  # nobody signs out of an own machine
    await context.close()


async def end_sessions(page: Page, gateway: Site) -> None:
    """End the user's sessions behind the page's back."""
    me = await (await page.request.get(f"{gateway.url}/api/auth/me")).json()
    assert await gateway.store.end_all_of(me["id"]) > 0


async def test_two_people_in_two_browsers_see_nothing_of_each_other(
    page: Page, issuer: Issuing, tmp_path: Path
) -> None:
    browser = page.context.browser
    assert browser is not None
    other: BrowserContext = await unknown_context(browser)
    async with site(issuer, tmp_path) as gateway:
        await page.goto(gateway.url)
        await sign_in(page, "ada")
        task = await send(page, gateway.url, "a secret plan")
        theirs = await other.new_page()
        await theirs.goto(gateway.url)
        await sign_in(theirs, "bob")
        await expect(theirs.get_by_test_id("account")).to_contain_text("bob@example.com")
        await theirs.goto(f"{gateway.url}/?task={task}")
        await expect(
            theirs.get_by_text("it was deleted or has expired, or it belongs to somebody else.")
        ).to_be_visible()
        await expect(theirs.get_by_text("a secret plan")).to_have_count(0)
        own = {each: await ids_of(each) for each in (page, theirs)}
        assert own[page]["task_id"] == task
        for attacker, victim in ((theirs, page), (page, theirs)):
            await try_all(attacker, gateway.routes, own[victim])
        gateway.gate.open.set()
        await expect(page.get_by_test_id("task-state")).to_have_text("completed")
    await other.close()


# What a browser gets for each of these requests: the status and the text.
ASK = """requests => Promise.all(requests.map(async ([method, path, body]) => {
    const headers = body ? { "content-type": "application/json" } : {};
    const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
    return [answer.status, await answer.text()];
}))"""


async def ids_of(page: Page) -> dict[str, str]:
    """Make one of all that the user of a page can have; return their ids by the names that they have in routes."""
    file = {"filename": "secret.log", "size": 5, "sha256": "0" * 64}
    task = {"message": {"parts": [{"text": "another plan"}]}}
    making = [["POST", "/api/tasks", task], ["POST", "/api/uploads", file]]
    made, granted = [json.loads(text) for _, text in await page.evaluate(ASK, making)]
    reading = [["GET", "/api/auth/sessions", None], ["GET", "/api/tasks", None]]
    sessions, tasks = [json.loads(text) for _, text in await page.evaluate(ASK, reading)]
    return {
        "task_id": tasks["tasks"][-1]["id"],
        "context_id": made["contextId"],
        "token": granted["upload"]["url"].rpartition("/")[2],
        "credential_id": sessions["sessions"][0]["id"],
        "webhook_id": "hook",
    }


async def try_all(page: Page, routes: list[BaseRoute], theirs: dict[str, str]) -> None:
    """Try another's ids on every route, as the user of this page."""
    nothing = made_up(theirs)
    tried = attempts(routes, theirs, nothing)
    answers = await page.evaluate(ASK, [[each.method, each.theirs, each.body] for each in tried])
    unknown = await page.evaluate(ASK, [[each.method, each.nothing, each.body] for each in tried])
    for attempt, (status, text), none in zip(tried, answers, unknown, strict=True):
        assert without(status, text, theirs.values()) == without(*none, nothing.values()), attempt
        assert is_refusal(attempt.theirs, status), attempt
    assert len(tried) >= 14
