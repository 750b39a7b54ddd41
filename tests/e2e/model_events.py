"""A task's events as the gateway sends them, for tests of the page's model."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

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


def _part(part: Any) -> dict[str, Any]:
    return {"text": part} if isinstance(part, str) else part


def _metadata(kind: str, **meta: Any) -> dict[str, Any]:
    return {EXTENSION: {"ts": 1_000, "attempt": 1, "agent": "cook", "kind": kind, **meta}}
