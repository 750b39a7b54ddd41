"""Push notifications: telling a webhook of a task's events (A2A specification, sections 4.3 and 13.2)."""

from __future__ import annotations

from pathlib import Path

from tailrace.config import Settings
from tailrace.push.delivery import Deliveries
from tailrace.push.store import MemoryWebhooks, Webhooks
from tailrace.push.webhook import Webhook

__all__ = ["Deliveries", "Webhook", "Webhooks", "open_webhooks"]


def open_webhooks(settings: Settings) -> Webhooks:
    """Where webhooks are kept: in the same kind of store as the log."""
    ttl_s = settings.ttl_days * 86_400
    if settings.log == "dynamodb":
        from tailrace.push.dynamodb import DynamoDBWebhooks

        return DynamoDBWebhooks(settings.table, ttl_s=ttl_s)
    if settings.log == "memory":
        return MemoryWebhooks(ttl_s=ttl_s)
    from tailrace.push.sqlite import SQLiteWebhooks

    return SQLiteWebhooks(Path(settings.data_dir) / "push.sqlite3", ttl_s=ttl_s)
