"""Ordinary handlers, which turn an event into a value, in a thread or as a coroutine."""

from __future__ import annotations

import asyncio
import logging
import time
from decimal import Decimal

from app import described

logger = logging.getLogger("sample")

VALUES = {
    "half a pair": lambda: {"cut \ud83d": "ä\udc00€"},
    "numbers": lambda: [
        *(float("nan"), float("inf"), float("-inf")),
        *(Decimal("12345678901234567890"), Decimal("-7"), Decimal("1.5"), Decimal("NaN")),
    ],
    "itself": lambda: holding_itself(),
    "deep": lambda: nested(100_000),
}


def ordinary(event, context):
    """Return or raise what the event selects."""
    if "fail" in event:
        raise LookupError(event["fail"])
    if "bytes" in event:
        return b"\x00\x01"
    if "unserializable" in event:
        return object()
    if "kb" in event:
        return event.get("of", "x") * (event["kb"] * 1024)
    if "value" in event:
        return VALUES[event["value"]]()
    if "asyncio_run" in event:
        return asyncio.run(doubled(event["asyncio_run"]))
    if "current_loop" in event:
        return asyncio.get_event_loop().run_until_complete(doubled(event["current_loop"]))
    return {"event": event, "context": described(context), "umlaut": "ä"}


def holding_itself():
    values = []
    values.append(values)
    return values


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


async def doubled(value):
    await asyncio.sleep(0)
    return 2 * value


async def coroutine(event, context):
    if "fail" in event:
        raise LookupError(event["fail"])
    return await doubled(event["value"])


BARRIER_HERE = []


def blocking_meet(event, context):
    """Block the thread until so many invocations have arrived."""
    BARRIER_HERE.append(context.aws_request_id)
    while len(BARRIER_HERE) < event["n"]:
        time.sleep(0.001)
    loop = asyncio.get_event_loop()
    logger.warning("one came")
    return loop.run_until_complete(doubled(event["n"]))
