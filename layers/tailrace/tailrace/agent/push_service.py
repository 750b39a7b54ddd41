"""An agent's push notification configs (A2A specification, sections 3.1.7 to 3.1.10), stored as webhooks."""

from __future__ import annotations

from typing import Literal

from tailrace.a2a.compat.v0_3 import server as v0_3
from tailrace.a2a.task import snapshot
from tailrace.a2a.types import AuthenticationInfo, PushConfig
from tailrace.events import encode, state_of
from tailrace.log import EventLog
from tailrace.push import Deliveries
from tailrace.push.webhook import Webhook, default_id


class Push:
    """The A2A server's `PushService`, with this process's deliveries behind it."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    def check(self, config: PushConfig) -> None:
        self._deliveries.check(_webhook(config, config.task_id, since=0, version="1.0"))

    async def create(
        self, config: PushConfig, task_id: str, *, since: int, version: Literal["1.0", "0.3"]
    ) -> PushConfig:
        return _config(await self._deliveries.create(_webhook(config, task_id, since=since, version=version)))

    async def get(self, task_id: str, config_id: str) -> PushConfig | None:
        hook = await self._deliveries.get(task_id, config_id)
        return None if hook is None else _config(hook)

    async def list(self, task_id: str) -> list[PushConfig]:
        return [_config(hook) for hook in await self._deliveries.list(task_id)]

    async def delete(self, task_id: str, config_id: str) -> None:
        await self._deliveries.delete(task_id, config_id)

    def ensure_delivery(self, task_id: str) -> None:
        self._deliveries.ensure_delivery(task_id)


async def notification(log: EventLog, hook: Webhook, event: bytes) -> bytes | None:
    """The body of the notification of `event`; None if this webhook does not get the event.

    A webhook of A2A 1.0 gets the event. One of 0.3 gets the task, and only when its state changes (0.3.0, section 9.5).

    Raises:
        LogError: the task cannot be read.
    """
    if hook.version == "1.0":
        return event
    if state_of(event) is None:
        return None
    task = (await snapshot(log, hook.task_id)).task
    return encode(v0_3.task_to_v0_3(task))


def _webhook(config: PushConfig, task_id: str, *, since: int, version: Literal["1.0", "0.3"]) -> Webhook:
    authentication = config.authentication
    return Webhook(
        task_id=task_id,
        id=config.id or default_id(task_id, config.url),
        url=config.url,
        token=config.token,
        scheme=authentication.scheme if authentication else "",
        credentials=authentication.credentials if authentication else "",
        version=version,
        delivered=since,
    )


def _config(hook: Webhook) -> PushConfig:
    """The config of a webhook. It contains the secrets as the client sent them."""
    authentication = AuthenticationInfo(scheme=hook.scheme, credentials=hook.credentials) if hook.scheme else None
    return PushConfig(url=hook.url, id=hook.id, task_id=hook.task_id, token=hook.token, authentication=authentication)
