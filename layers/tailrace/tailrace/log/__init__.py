"""The log: the append-only record of each task's events, in memory, in SQLite or in DynamoDB."""

from __future__ import annotations

from pathlib import Path

from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.log.base import MAX_ITEM_BYTES, Batch, EventLog, Page
from tailrace.log.head import Head
from tailrace.stores.private import writable_folder

__all__ = ["MAX_ITEM_BYTES", "Batch", "EventLog", "Head", "Page", "data_folder", "open_log"]


def open_log(settings: Settings) -> EventLog:
    """Open the log that `settings.log` names. Only the packages of that store are imported.

    Raises:
        ConfigError: the data folder cannot be written to.
        StoreDamaged: the SQLite file is damaged.
        sqlite3.OperationalError: the SQLite file cannot be made or opened.
    """
    ttl_s = settings.ttl_days * 86_400
    if settings.log == "dynamodb":
        from tailrace.log.dynamodb import DynamoDBLog

        return DynamoDBLog(settings.table, patience_s=settings.lease_s * 0.8, ttl_s=ttl_s)
    if settings.log == "memory":
        from tailrace.log.memory import MemoryLog

        return MemoryLog(ttl_s=ttl_s)
    from tailrace.log.sqlite import SQLiteLog

    return SQLiteLog(data_folder(settings) / "log.sqlite3", ttl_s=ttl_s)


def data_folder(settings: Settings) -> Path:
    """Make the data folder if it does not exist, and see that it and the log's file in it can be written to.

    Raises:
        ConfigError
    """
    folder = Path(settings.data_dir)
    try:
        writable_folder(folder, "log.sqlite3")
    except OSError as error:
        right = f"a folder that can be written to ({error.strerror})"
        raise ConfigError("TAILRACE_DATA_DIR", settings.data_dir, right) from None
    return folder
