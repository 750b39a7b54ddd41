"""A task's events as the gateway sends them, and an empty page with the page's modules: for tests of single modules."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, Page, Route

from tests.support.browser import unknown_context
from tests.support.processes import ROOT

EXTENSION = "urn:tailrace:a2a:resume:1"


def task(*parts: Any, **meta: Any) -> dict[str, Any]:
    """Event 1, with the user's message."""
    history = [{"role": "ROLE_USER", "messageId": "request", "parts": [*parts]}]
    status = {"state": "TASK_STATE_SUBMITTED"}
    metadata = _metadata("state", attempt=0, **meta)
    return {"task": {"id": "t1", "contextId": "c1", "status": status, "history": history, "metadata": metadata}}


def status(kind: str, *parts: Any, state: str = "WORKING", role: str = "AGENT", **meta: Any) -> dict[str, Any]:
    """A status update. A string among `parts` is a text part."""
    message = {"role": f"ROLE_{role}", "parts": [_part(part) for part in parts]} if parts else None
    update = {"status": {"state": f"TASK_STATE_{state}", "message": message}, "metadata": _metadata(kind, **meta)}
    return {"statusUpdate": update}


def artifact(
    kind: str, name: str, *parts: Any, append: bool = False, last: bool = False, **meta: Any
) -> dict[str, Any]:
    """An artifact update."""
    content = {"artifactId": name, "name": name, "parts": [_part(part) for part in parts]}
    update = {"artifact": content, "append": append, "lastChunk": last, "metadata": _metadata(kind, **meta)}
    return {"artifactUpdate": update}


async def model(page: Page, events: list[dict[str, Any]], expression: str) -> Any:
    """The value of a JavaScript expression about `task` after the events. Maps come as objects."""
    script = f"""async (events) => {{
        const {{ applyEvent, newTask }} = await import("/task-state.js");
        const task = newTask();
        events.forEach((event, at) => applyEvent(task, at + 1, event));
        const step = (id) => task.steps.get(id);
        const plain = (key, value) => (value instanceof Map ? Object.fromEntries(value) : value);
        return JSON.parse(JSON.stringify({expression}, plain));
    }}"""
    return await page.evaluate(script, events)


@contextlib.asynccontextmanager
async def open_modules(browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """An empty page that can import the page's modules. `options` are those of a context.

    Raises:
        AssertionError: one of the page's scripts failed.
    """
    origin = "https://modules.test/"
    errors: list[str] = []

    async def serve(route: Route) -> None:
        name = route.request.url.removeprefix(origin)
        if name:
            await route.fulfill(body=(ROOT / "frontend" / name).read_text(), content_type="text/javascript")
        else:
            html = (
                '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><body></body></html>'
            )
            await route.fulfill(body=html, content_type="text/html")

    context = await unknown_context(browser, **options)
    await context.route(f"{origin}**", serve)
    page = await context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(origin)
    yield page
    await context.close()
    assert errors == []


def _part(part: Any) -> dict[str, Any]:
    return {"text": part} if isinstance(part, str) else part


def _metadata(kind: str, **meta: Any) -> dict[str, Any]:
    return {EXTENSION: {"ts": 1_000, "attempt": 1, "agent": "cook", "kind": kind, **meta}}
