"""The part of a store that one owner has: every namespace begins with a label of the owner, which nodes do not see."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)

from tailrace.owner import owners_behind


class OwnedStore(BaseStore):
    """A store in which a node that uses the namespace `("memories",)` finds what this owner's tasks have put there.

    A task that another agent delegated has the memory of its user. `opened` returns the store of all owners. A node in
    the event loop `loop` awaits the methods whose names begin with `a`; the others are for functions in threads.

    Every method may raise `MemoryUnavailable`. A write is durable when the method returns.
    """

    supports_ttl = True

    def __init__(self, opened: Callable[[], Awaitable[BaseStore]], owner: str, loop: asyncio.AbstractEventLoop) -> None:
        *_, user = owners_behind(owner)
        # Some stores join labels with dots, so an owner's id, which may have dots, cannot be one.
        self._label = f"user-{hashlib.sha256(user.encode()).hexdigest()[:32]}"
        self._opened = opened
        self._loop = loop

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        store = await self._opened()
        return [self._without_label(result) for result in await store.abatch([self._with_label(op) for op in ops])]

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(self.abatch(ops), self._loop).result()
        raise asyncio.InvalidStateError(
            "The store was used without await in an async node, which would stop all tasks of this process. "
            "Use `await store.aput(…)`, `aget`, `asearch`, `adelete` or `alist_namespaces`."
        )

    def _with_label(self, op: Op) -> Op:
        if isinstance(op, GetOp | PutOp):
            return op._replace(namespace=(self._label, *op.namespace))
        if isinstance(op, SearchOp):
            return op._replace(namespace_prefix=(self._label, *op.namespace_prefix))
        return op._replace(
            match_conditions=tuple(self._conditions(op)), max_depth=None if op.max_depth is None else op.max_depth + 1
        )

    def _conditions(self, op: ListNamespacesOp) -> list[MatchCondition]:
        conditions = [MatchCondition("prefix", (self._label,))]
        for condition in op.match_conditions or ():
            if condition.match_type == "prefix":
                conditions.append(condition._replace(path=(self._label, *condition.path)))
            else:
                # The label is not one of the labels that a suffix may match.
                conditions += [condition, MatchCondition("prefix", (self._label, *("*" for _ in condition.path)))]
        return conditions

    def _without_label(self, result: Result) -> Result:
        if isinstance(result, Item):
            return self._item(result)
        if isinstance(result, list):
            return [each[1:] if isinstance(each, tuple) else self._item(each) for each in result]  # type: ignore[return-value]
        return result

    def _item(self, item: Item) -> Item:
        """A copy for the node: a store in memory keeps the original."""
        fields: dict[str, Any] = {
            "namespace": item.namespace[1:],
            "key": item.key,
            "value": dict(item.value),
            "created_at": _in_utc(item.created_at),
            "updated_at": _in_utc(item.updated_at),
        }
        return SearchItem(**fields, score=item.score) if isinstance(item, SearchItem) else Item(**fields)


def _in_utc(time: datetime) -> datetime:
    """LangGraph's store for SQLite gives times of UTC without their zone; its others name it."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
