"""The caller's own webhooks, those of all its tasks: which there are, and how one is deleted.

GET    /api/webhooks?pageSize=&pageToken=    the webhooks of a page of the caller's tasks, the newest tasks first
DELETE /api/webhooks/{taskId}/{id}           deletes one; nothing is sent there any more

They are made over A2A, at the agents (front_door.py). What a webhook sends to prove who it is, is not shown.
"""

from __future__ import annotations

import asyncio
from functools import cached_property

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.callers import Callers
from gateway.problems import NO_STORE, Problem
from gateway.requests import page_size_in, task_id_in
from tailrace.config import Settings
from tailrace.errors import TaskUnknown, shorten
from tailrace.events import encode
from tailrace.log import EventLog
from tailrace.push import Webhook, Webhooks, open_webhooks

# So many tasks are looked at together.
_AT_ONCE = 10


class OwnWebhooks:
    """The routes of an owner's webhooks. The store is opened when it is needed; `close` closes it."""

    def __init__(self, settings: Settings, callers: Callers, log: EventLog) -> None:
        self._settings = settings
        self._callers = callers
        self._log = log

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/api/webhooks", self.listed, methods=["GET"]),
            Route("/api/webhooks/{task_id}/{webhook_id:path}", self.delete, methods=["DELETE"]),
        ]

    async def listed(self, request: Request) -> Response:
        """GET /api/webhooks"""
        owner, size = (await self._callers.owner(request)).id, page_size_in(request)
        page = await self._log.list(owner, limit=size, token=request.query_params.get("pageToken", ""))
        found: list[Webhook] = []
        for first in range(0, len(page.heads), _AT_ONCE):
            tasks = page.heads[first : first + _AT_ONCE]
            for each in await asyncio.gather(*(self._webhooks.list(head.task_id) for head in tasks)):
                found += each
        shown = [{"id": hook.id, "taskId": hook.task_id, "url": hook.url} for hook in found]
        body = encode({"webhooks": shown, "nextPageToken": page.next_token})
        return Response(body, media_type="application/json", headers=NO_STORE)

    async def delete(self, request: Request) -> Response:
        """DELETE /api/webhooks/{task_id}/{webhook_id}"""
        owner, webhook_id = (await self._callers.owner(request)).id, request.path_params["webhook_id"]
        task_id = task_id_in(request)
        if (await self._log.head(task_id)).owner != owner:
            raise TaskUnknown(task_id)
        if await self._webhooks.get(task_id, webhook_id) is None:
            raise Problem(404, f"The task has no webhook {shorten(webhook_id)!r}.")
        await self._webhooks.delete(task_id, webhook_id)
        return Response(status_code=204, headers=NO_STORE)

    async def close(self) -> None:
        if "_webhooks" in self.__dict__:
            await self._webhooks.close()

    @cached_property
    def _webhooks(self) -> Webhooks:
        return open_webhooks(self._settings)
