"""Webhooks that receive push notifications, and the configuration of a task that has one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.conditions import eventually
from tests.support.events import message, state_of
from tests.support.http import serve
from tests.support.jsonrpc import Agent

DONE, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED"


class Receiver:
    """A webhook. It responds with `statuses` in turn and then with 200; with `hold` it waits before each response."""

    def __init__(self, statuses: Sequence[int] = (), hold: asyncio.Event | None = None) -> None:
        self.url = ""
        self.got: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self._statuses = list(statuses)
        self._hold = hold
        self._news = asyncio.Condition()

    async def receive(self, request: Request) -> Response:
        body = json.loads(await request.body())
        async with self._news:
            self.got.append(body)
            self.headers.append(dict(request.headers))
            self.paths.append(request.url.path)
            self._news.notify_all()
        if self._hold is not None:
            await self._hold.wait()
        status = self._statuses.pop(0) if self._statuses else 200
        location = {"Location": f"{self.url}/elsewhere"} if 300 <= status < 400 else {}
        return Response(status_code=status, headers=location)

    async def until(self, wanted: Callable[[], object]) -> None:
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(wanted)

    async def ended(self, state: str = DONE) -> list[dict[str, Any]]:
        """Wait for the event with `state`; return everything that came until then."""
        await self.until(lambda: any(state_of(event) == state for event in self.got))
        return self.got


@contextlib.asynccontextmanager
async def receiver(statuses: Sequence[int] = (), hold: asyncio.Event | None = None) -> AsyncIterator[Receiver]:
    hook = Receiver(statuses, hold)
    async with serve(Starlette(routes=[Route("/{path:path}", hook.receive, methods=["POST"])])) as url:
        hook.url = url
        yield hook


def sending(text: str, hook: Receiver, **fields: Any) -> dict[str, Any]:
    config = {"url": f"{hook.url}/hook", **fields}
    return {"message": message(text), "configuration": {"taskPushNotificationConfig": config}}


async def told(served: Agent, task_id: str, hook: Receiver, state: str = DONE) -> None:
    """Check that the webhook got exactly the events of the log, once and in order."""
    await hook.ended(state)
    assert hook.got == await served.events(task_id)


async def deliveries_have_ended() -> None:
    """Stop this process's deliveries, and its checks for due ones."""
    busy = ("delivery", "webhooks of")
    await eventually(lambda: not [each for each in asyncio.all_tasks() if each.get_name().startswith(busy)])
