"""Requests that race in an order that a test decides."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import Any

import pytest

from tailrace.log import EventLog


def meet_after(patch: pytest.MonkeyPatch, log: EventLog, method: str, parties: int = 2) -> None:
    """Let the first `parties` calls of a method return only when all of them have been carried out.

    `method` is one of the log's, or one of its conversations', as in "conversations.get".
    """
    *owner, name = method.split(".")
    store = attrgetter(*owner)(log) if owner else log
    barrier, original, calls = asyncio.Barrier(parties), getattr(store, name), 0

    async def call(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        first = calls <= parties
        outcome = await original(*args, **named)
        if first:
            await barrier.wait()
        return outcome

    patch.setattr(store, name, call)
