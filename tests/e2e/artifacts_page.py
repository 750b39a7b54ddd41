"""A page with nothing but what a task made, and the row to take it along. The events come from the test."""

from __future__ import annotations

import contextlib
import json
import mimetypes
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, Page, Route

from local.site import PAGE_HEADERS
from tests.e2e.kept_page import VIEWPORT
from tests.support.browser import unknown_context
from tests.support.processes import ROOT

ORIGIN = "https://page.test"  # a browser gives the clipboard only to https
EXTENSION = "urn:tailrace:a2a:resume:1"
HTML = """<!doctype html><html lang="en"><title>Artifacts</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="styles.css"><link rel="stylesheet" href="artifacts.css">
<link rel="stylesheet" href="artifacts/parts.css">
<div class="place"><main></main></div><script type="module" src="fixture.js"></script>"""
FIXTURE = """
import { ArtifactsView } from "./artifacts-view.js";
import { TakeAlong } from "./take-along.js";
import { applyEvent, isRunning, newTask } from "./task-state.js";

// What tests replace.
const { fetch } = window;
const page = document.body.innerHTML;
window.begin = () => {
  Object.assign(window, { fetch, runs: 0, refusal: "" });
  document.body.innerHTML = page;
  const task = newTask();
  const artifacts = new ArtifactsView();
  const takeAlong = new TakeAlong({
    streamUrl: (cursor) => `api/stream/42?cursor=${cursor}`,
    onRunAgain: async () => {
      window.runs += 1;
      if (window.refusal) throw new Error(window.refusal);
    },
  });
  document.querySelector("main").append(artifacts.element, takeAlong.element);
  const draw = () => {
    artifacts.draw(task, { writing: isRunning(task.state) && !task.answer?.done });
    takeAlong.draw(task);
  };
  window.apply = (results) => {
    for (const result of results) applyEvent(task, task.seq + 1, result);
    draw();
    draw(); // again: it changes nothing
  };
};
"""


@contextlib.asynccontextmanager
async def opened(browser: Browser) -> AsyncIterator[Page]:
    """A page with the modules, for `begin`."""

    async def serve(route: Route) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        path = ROOT / "frontend" / (name or "index.html")
        if name in ("", "fixture.js"):
            media_type = "text/javascript" if name else "text/html"
            await route.fulfill(body=FIXTURE if name else HTML, content_type=media_type, headers=PAGE_HEADERS)
        elif path.is_file():
            media_type = mimetypes.guess_type(name)[0] or ""
            await route.fulfill(body=path.read_bytes(), headers={**PAGE_HEADERS, "content-type": media_type})
        else:
            await route.fulfill(status=404)

    context = await unknown_context(browser, viewport=VIEWPORT, reduced_motion="reduce")
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=ORIGIN)
    await context.route(f"{ORIGIN}/**", serve)
    page = await context.new_page()
    await page.goto(ORIGIN)
    await page.wait_for_function("Boolean(window.begin)")
    yield page
    await context.close()


async def begin(page: Page, *, parts: list[dict[str, Any]] | None = None) -> None:
    """Put a task that works on the page. `parts` are those of its request."""
    await page.evaluate("window.begin()")
    message = {"messageId": "m-1", "role": "ROLE_USER", "contextId": "c-1", "taskId": "42-and-more"}
    request = {**message, "parts": parts or [{"text": "What broke?"}]}
    task = {"id": "42-and-more", "contextId": "c-1", "status": {"state": "TASK_STATE_WORKING"}, "history": [request]}
    metadata = {EXTENSION: {"agent": "cook", "kind": "state", "ts": 1}}
    await apply(page, {"task": {**task, "metadata": metadata}})


async def apply(page: Page, *results: dict[str, Any]) -> None:
    """Give the page events, and let it draw them."""
    await page.evaluate("results => window.apply(JSON.parse(results))", json.dumps(results))


def artifact(name: str, *parts: dict[str, Any], append: bool = False, last: bool = True) -> dict[str, Any]:
    """An artifact event; the artifact's id is its name."""
    content = {"artifactId": name, "name": name, "parts": list(parts)}
    return {"artifactUpdate": {"artifact": content, "append": append, "lastChunk": last}}


def ended(state: str = "COMPLETED", text: str = "") -> dict[str, Any]:
    message = {"message": {"role": "ROLE_AGENT", "parts": [{"text": text}]}} if text else {}
    metadata = {EXTENSION: {"agent": "cook", "kind": "state", "ts": 2}}
    return {"statusUpdate": {"status": {"state": f"TASK_STATE_{state}", **message}, "metadata": metadata}}
