"""Push notifications: a task's events are sent to webhooks (A2A specification, sections 4.3 and 13.2)."""

from __future__ import annotations

from pathlib import Path

from tailrace.config import Settings
from tailrace.push.delivery import Deliveries
from tailrace.push.store import MemoryWebhooks, Webhooks
from tailrace.push.webhook import Webhook

__all__ = ["Deliveries", "Webhook", "Webhooks", "open_webhooks"]


def open_webhooks(settings: Settings) -> Webhooks:
    """Open the store of webhooks. It is of the same kind as the log; only its own packages are imported."""
    ttl_s = settings.ttl_days * 86_400
    if settings.log == "dynamodb":
        from tailrace.push.dynamodb import DynamoDBWebhooks

        return DynamoDBWebhooks(settings.table, ttl_s=ttl_s)
    if settings.log == "memory":
        return MemoryWebhooks(ttl_s=ttl_s)
    from tailrace.push.sqlite import SQLiteWebhooks

    return SQLiteWebhooks(Path(settings.data_dir) / "push.sqlite3", ttl_s=ttl_s)
