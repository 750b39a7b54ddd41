"""Requests that race in an order that a test decides."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tailrace.log import EventLog


def create_in_order(patch: pytest.MonkeyPatch, log: EventLog, task_ids: list[str]) -> None:
    """Let the creations of these tasks begin when all of them have come, and carry them out in this order.

    A task that occurs twice is created twice. What comes after them has no order.
    """
    original = log.create_or_find
    turns = [(task_id, asyncio.Event()) for task_id in task_ids]
    arriving, order = list(turns), list(turns)

    def next_turn() -> None:
        if order:
            order.pop(0)[1].set()

    async def create(head: Any, *arguments: Any) -> Any:
        mine = next((each for each in arriving if each[0] == head.task_id), None)
        if mine is None:
            return await original(head, *arguments)
        arriving.remove(mine)
        if not arriving:
            next_turn()
        await mine[1].wait()
        try:
            return await original(head, *arguments)
        finally:
            next_turn()

    patch.setattr(log, "create_or_find", create)
