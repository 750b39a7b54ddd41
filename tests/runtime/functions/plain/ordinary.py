"""Ordinary handlers: an event in, a value out, on a thread of their own or as a coroutine."""

from __future__ import annotations

import asyncio
import logging
import time

from app import described

logger = logging.getLogger("sample")


def ordinary(event, context):
    """An ordinary handler; what the event asks for."""
    if "fail" in event:
        raise LookupError(event["fail"])
    if "bytes" in event:
        return b"\x00\x01"
    if "unserializable" in event:
        return object()
    if "kb" in event:
        return "x" * (event["kb"] * 1024)
    if "asyncio_run" in event:
        return asyncio.run(doubled(event["asyncio_run"]))
    if "current_loop" in event:
        return asyncio.get_event_loop().run_until_complete(doubled(event["current_loop"]))
    return {"event": event, "context": described(context), "umlaut": "ä"}


async def doubled(value):
    await asyncio.sleep(0)
    return 2 * value


async def coroutine(event, context):
    if "fail" in event:
        raise LookupError(event["fail"])
    return await doubled(event["value"])


BARRIER_HERE = []


def blocking_meet(event, context):
    """An ordinary handler that blocks its thread until as many are here."""
    BARRIER_HERE.append(context.aws_request_id)
    while len(BARRIER_HERE) < event["n"]:
        time.sleep(0.001)
    loop = asyncio.get_event_loop()
    logger.warning("one came")
    return loop.run_until_complete(doubled(event["n"]))
