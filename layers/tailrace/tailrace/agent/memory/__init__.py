"""An agent's long-term memory: LangGraph's `Store`, in the same kind of store as the log.

It is for graphs without a store of their own. Each owner has a part of it (`OwnedStore`). It is opened when a node uses
it for the first time, so an agent that needs no memory pays nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from langgraph.store.base import BaseStore

from tailrace.agent.memory.owned import OwnedStore
from tailrace.config import Settings
from tailrace.naming import plain_name

__all__ = ["Memory"]


class Memory:
    """The memory of the agent `agent`, of all its owners. What was opened is closed with `stack`."""

    def __init__(self, settings: Settings, agent: str, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._agent = agent
        self._stack = stack
        self._opening = asyncio.Lock()
        self._store: BaseStore | None = None

    def of(self, owner: str) -> OwnedStore:
        """The part of the owner with this id. Only the running event loop can use it, and threads beside it."""
        return OwnedStore(self._opened, owner, asyncio.get_running_loop())

    async def _opened(self) -> BaseStore:
        async with self._opening:
            if self._store is None:
                self._store = await self._open()
            return self._store

    async def _open(self) -> BaseStore:
        """Open the store that the settings name. Only its packages are imported.

        Raises:
            StoreDamaged: the SQLite file is damaged.
            MemoryUnavailable: the SQLite file is locked or cannot be opened.
        """
        if self._settings.log == "memory":
            from langgraph.store.memory import InMemoryStore

            return InMemoryStore()
        if self._settings.log == "dynamodb":
            from tailrace.agent.memory.dynamodb import DynamoDBStore

            store = DynamoDBStore(self._settings.checkpoint_table, self._agent, patience_s=self._settings.lease_s * 0.8)
            self._stack.push_async_callback(store.close)
            return store
        from tailrace.agent.memory.sqlite import open_sqlite

        path = Path(self._settings.data_dir) / f"memory-{plain_name(self._agent)}.sqlite3"
        return await self._stack.enter_async_context(open_sqlite(path))
