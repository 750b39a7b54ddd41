"""Who may come in: people's sessions and machines' tokens, how many guesses somebody has, and what owners use."""

from __future__ import annotations

from pathlib import Path

from tailrace.access.credential import Credential, Presented
from tailrace.access.store import Credentials, MemoryCredentials
from tailrace.config import Settings

__all__ = ["Credential", "Credentials", "Presented", "open_credentials"]


def open_credentials(settings: Settings) -> Credentials:
    """Open the store of credentials. It is of the same kind as the log; only its own packages are imported."""
    if settings.log == "dynamodb":
        from tailrace.access.dynamodb import DynamoDBCredentials

        return DynamoDBCredentials(settings.access_table)
    if settings.log == "memory":
        return MemoryCredentials()
    from tailrace.access.sqlite import SQLiteCredentials

    return SQLiteCredentials(Path(settings.data_dir) / "access.sqlite3")
