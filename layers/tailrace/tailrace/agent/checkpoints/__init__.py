"""Where a graph's checkpoints are kept: in the same kind of store as the log."""

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
    """The LangGraph checkpointer of an agent; what it holds open is closed with `stack`.

    The tables, or the folder of the log, are there by then. Each agent has a file of its own in it: checkpoints are
    large, and agents never share a thread. Only that store's own packages are imported. Of an author's types, values
    of `types` are read.
    """
    ttl_s = settings.ttl_days * _DAY_S
    # Longer than the task, so that no checkpoint is gone before it: a task lives on from when its state is
    # written, a moment after its last checkpoint.
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
