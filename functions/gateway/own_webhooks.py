"""The caller's own webhooks, those of all its tasks: which there are, and how one is deleted.

GET    /api/webhooks?pageSize=&pageToken=    the webhooks of a page of the caller's tasks, the newest tasks first
DELETE /api/webhooks/{taskId}/{id}           deletes one; nothing is sent there any more

They are made over A2A, at the agents (front_door.py). What a webhook sends to prove who it is, is not shown.
"""

from __future__ import annotations

import asyncio
from functools import cached_property

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.api_route import PAGE, ApiRoute, Operation
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


class ShownWebhook(msgspec.Struct, rename="camel"):
    """A webhook without what it sends to prove who it is."""

    id: str
    task_id: str
    url: str


class WebhookPage(msgspec.Struct, rename="camel"):
    """The webhooks of a page of the caller's tasks; the last page has the token ""."""

    webhooks: list[ShownWebhook]
    next_page_token: str


class OwnWebhooks:
    """The routes of an owner's webhooks. The store is opened when it is needed; `close` closes it."""

    def __init__(self, settings: Settings, callers: Callers, log: EventLog) -> None:
        self._settings = settings
        self._callers = callers
        self._log = log

    @property
    def routes(self) -> list[BaseRoute]:
        listed = Operation(
            self.listed, "List the webhooks of a page of your tasks.", answers=WebhookPage, parameters=PAGE
        )
        delete = Operation(self.delete, "Delete a webhook: nothing is sent there any more.", status=204)
        return [
            ApiRoute("/api/webhooks", GET=listed),
            ApiRoute("/api/webhooks/{task_id}/{webhook_id:path}", DELETE=delete),
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
        body = encode(WebhookPage([ShownWebhook(each.id, each.task_id, each.url) for each in found], page.next_token))
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
