"""What a process imports before it forks processes of agents, so that none of them has to do it again."""

from __future__ import annotations

import gc
import importlib

from tests.support.read_once import read_only_once, with_all_authorities

# Agents read their settings when they are imported, so each process imports its agent itself. All that it imports
# otherwise is here, also what it imports only when it runs: that took half of the time of a short run.
_OF_AGENTS = (
    *("langchain.agents", "langchain.chat_models", "langchain_core.messages", "langchain_core.tools"),
    *("langchain_core.tracers.run_collector", "langchain_core.tracers.stdout"),
    *("langgraph.checkpoint.sqlite.aio", "langgraph.graph", "langgraph.prebuilt"),
    *("tailrace.agent.app", "tailrace.agent.checkpoints.sqlite", "tailrace.log.sqlite", "tailrace.push.sqlite"),
    *("tailrace.authoring.answer", "tailrace.authoring.delegate", "tailrace.uploads.folder"),
    *("anyio._backends._asyncio", "httpcore", "jsonschema"),
    *("uvicorn", "uvicorn.lifespan.on", "uvicorn.loops.asyncio", "uvicorn.protocols.http.auto"),
    *("uvicorn.protocols.websockets.auto",),
)


def preload(*modules: str) -> None:
    """Import what agents need, and these modules."""
    gc.disable()
    for module in (*_OF_AGENTS, *modules):
        importlib.import_module(module)
    read_only_once()
    with_all_authorities()
    gc.freeze()  # or each process would visit, and so copy, what its parent has imported
    gc.enable()
