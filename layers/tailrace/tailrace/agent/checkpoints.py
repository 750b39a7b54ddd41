"""Where a graph's checkpoints are kept: in the same kind of store as the log."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tailrace.config import Settings


async def open_checkpointer(settings: Settings, agent: str, stack: AsyncExitStack) -> Any:
    """The LangGraph checkpointer of an agent; what it holds open is closed with `stack`.

    The tables, or the folder of the log, are there by then. Each agent has a file of its own in it: checkpoints are
    large, and agents never share a thread.
    """
    if settings.log == "memory":
        from langgraph.checkpoint.memory import InMemorySaver

        return InMemorySaver()
    if settings.log == "dynamodb":
        return _dynamodb(settings)
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    path = Path(settings.data_dir) / f"checkpoints-{agent}.sqlite3"
    return await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(path)))


def _dynamodb(settings: Settings) -> Any:
    """LangGraph's saver for DynamoDB, made to read what was written last.

    It reads with eventual consistency, so a resume could miss the newest checkpoint
    (langchain-aws #753, closed); every read of its client is made consistent instead.
    """
    from langgraph_checkpoint_aws import DynamoDBSaver

    logging.getLogger("langgraph_checkpoint_aws").setLevel(logging.WARNING)  # it logs a line per write
    saver = DynamoDBSaver(settings.checkpoint_table, ttl_seconds=int(settings.ttl_days * 86_400))
    for operation in ("Query", "GetItem"):
        saver.client.meta.events.register(
            f"provide-client-params.dynamodb.{operation}", lambda params, **_: {**params, "ConsistentRead": True}
        )
    return saver
