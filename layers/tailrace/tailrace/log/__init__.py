"""The log: the append-only record of each task's events, in memory, in SQLite or in DynamoDB."""

from __future__ import annotations

from pathlib import Path

from tailrace.config import Settings
from tailrace.log.base import MAX_ITEM_BYTES, Batch, EventLog, Page
from tailrace.log.head import Head

__all__ = ["MAX_ITEM_BYTES", "Batch", "EventLog", "Head", "Page", "open_log"]


def open_log(settings: Settings) -> EventLog:
    """Open the log that `settings.log` names. Only the packages of that store are imported.

    Raises:
        StoreDamaged: the SQLite file is damaged.
        OSError, sqlite3.OperationalError: the SQLite file cannot be made or opened.
    """
    ttl_s = settings.ttl_days * 86_400
    if settings.log == "dynamodb":
        from tailrace.log.dynamodb import DynamoDBLog

        return DynamoDBLog(settings.table, patience_s=settings.lease_s * 0.8, ttl_s=ttl_s)
    if settings.log == "memory":
        from tailrace.log.memory import MemoryLog

        return MemoryLog(ttl_s=ttl_s)
    from tailrace.log.sqlite import SQLiteLog

    return SQLiteLog(Path(settings.data_dir) / "log.sqlite3", ttl_s=ttl_s)
