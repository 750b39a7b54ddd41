"""Push notification configs, to webhooks and back (specification, sections 3.1.7 to 3.1.10)."""

from __future__ import annotations

from typing import Any, Literal

from tailrace.a2a.types import PushConfig
from tailrace.push.webhook import Webhook, default_id


def webhook_of(config: PushConfig, task_id: str, *, since: int, version: Literal["1.0", "0.3"]) -> Webhook:
    """The webhook that a config asks for; it is told what comes after the seq `since`."""
    known_by = config.authentication
    return Webhook(
        task_id=task_id,
        id=config.id or default_id(task_id, config.url),
        url=config.url,
        token=config.token,
        scheme=known_by.scheme if known_by else "",
        credentials=known_by.credentials if known_by else "",
        version=version,
        delivered=since,
    )


def config_json(hook: Webhook) -> dict[str, Any]:
    """A webhook as a `TaskPushNotificationConfig`. The owner gets its secrets back as they came."""
    told: dict[str, Any] = {"id": hook.id, "taskId": hook.task_id, "url": hook.url}
    if hook.token:
        told["token"] = hook.token
    if hook.scheme:
        told["authentication"] = {"scheme": hook.scheme}
        if hook.credentials:
            told["authentication"]["credentials"] = hook.credentials
    return told
