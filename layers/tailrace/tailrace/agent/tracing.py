"""Traces of LangSmith and OpenTelemetry, which their own threads send, reach their server before a process freezes."""

from __future__ import annotations

import asyncio
import logging
import sys

logger = logging.getLogger("tailrace.agent")

# How long a server of traces may keep the process from its next request.
_FLUSH_MS = 5_000


async def flush_traces() -> None:
    """Wait until the traces so far were sent, for at most `_FLUSH_MS`.

    On Lambda a process freezes between two requests, and may never go on.
    """
    if "langchain_core.tracers.langchain" not in sys.modules and "opentelemetry.trace" not in sys.modules:
        return
    try:
        async with asyncio.timeout(_FLUSH_MS / 1000):
            await asyncio.to_thread(_flush)
    except Exception as error:  # Traces are never worth a task.
        logger.warning("traces were not sent: %s: %s", type(error).__name__, error)


def _flush() -> None:
    if langsmith := sys.modules.get("langchain_core.tracers.langchain"):
        langsmith.wait_for_all_tracers()
    if opentelemetry := sys.modules.get("opentelemetry.trace"):
        provider = opentelemetry.get_tracer_provider()
        if hasattr(provider, "force_flush"):  # the provider of the SDK
            provider.force_flush(_FLUSH_MS)
