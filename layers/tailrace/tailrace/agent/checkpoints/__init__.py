"""A graph's checkpoints. They are kept in the same kind of store as the log."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from tailrace.agent.checkpoints.serializer import StrictSerializer
from tailrace.config import Settings
from tailrace.naming import plain_name

_DAY_S = 86_400.0


async def open_checkpointer(
    settings: Settings, agent: str, stack: AsyncExitStack, types: Iterable[type] = ()
) -> BaseCheckpointSaver[Any]:
    """Open the LangGraph checkpointer of an agent. It is closed with `stack`.

    The DynamoDB table, or the log's folder, has to exist. In that folder each agent has its own file: checkpoints are
    large, and agents never share a thread. Only the packages of the store are imported. `types` are the author's types
    that may be read from a checkpoint.

    Raises:
        StoreDamaged: the SQLite file is damaged.
        CheckpointsUnavailable: the SQLite file is locked or cannot be opened.
    """
    ttl_s = settings.ttl_days * _DAY_S
    # Longer than the task's time to live, which starts when its state is written, a moment after its last checkpoint.
    lifetime_s = ttl_s + min(ttl_s, _DAY_S)
    if settings.log == "memory":
        from langgraph.checkpoint.memory import InMemorySaver

        return InMemorySaver(serde=StrictSerializer(types))
    if settings.log == "dynamodb":
        from tailrace.agent.checkpoints.dynamodb import DynamoDBSaver

        saver = DynamoDBSaver(
            settings.checkpoint_table,
            types=types,
            bucket=settings.bucket,
            lifetime_s=lifetime_s,
            refresh_s=ttl_s,
            patience_s=settings.lease_s * 0.8,
        )
        stack.push_async_callback(saver.close)
        return saver
    from tailrace.agent.checkpoints.sqlite import open_sqlite

    path = Path(settings.data_dir) / f"checkpoints-{plain_name(agent)}.sqlite3"
    return await stack.enter_async_context(open_sqlite(path, lifetime_s, types))
