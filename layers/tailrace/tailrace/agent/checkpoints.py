"""Where a graph's checkpoints are kept: in the same kind of store as the log."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tailrace.config import Settings
from tailrace.errors import ConfigError


async def open_checkpointer(settings: Settings, agent: str, stack: AsyncExitStack) -> Any:
    """The LangGraph checkpointer of an agent; what it holds open is closed with `stack`.

    The folder of the log is there by then. Each agent has a file of its own in it: checkpoints are
    large, and agents never share a thread.

    Raises:
        ConfigError: there is no checkpointer for this kind of log.
    """
    if settings.log == "memory":
        from langgraph.checkpoint.memory import InMemorySaver

        return InMemorySaver()
    if settings.log == "sqlite":
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        path = Path(settings.data_dir) / f"checkpoints-{agent}.sqlite3"
        return await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(path)))
    raise ConfigError("TAILRACE_LOG", settings.log, "sqlite or memory for an agent's checkpoints")
