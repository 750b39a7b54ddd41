"""The real orchestrator behind a gateway, with specialists that a test chooses."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import StateGraph

from orchestrator import graph as orchestrator
from tailrace import AgentApp, AgentCard, Skill
from tailrace.config import Settings
from tests.support.gateway import System
from tests.support.http import serve
from tests.support.in_process import system


def specialist(builder: StateGraph[Any, Any, Any, Any], folder: Path, name: str) -> AgentApp:
    """An agent called `name` whose skill is reading logs."""
    skill = Skill(id="s", name="Logs", description="Reads logs.", tags=["logs"])
    card = AgentCard(name=name, description="", version="1", skills=[skill])
    return AgentApp(builder, card, settings=Settings(data_dir=str(folder)))


@contextlib.asynccontextmanager
async def orchestrated(folder: Path, monkeypatch: pytest.MonkeyPatch, *apps: AgentApp) -> AsyncIterator[System]:
    """Serve the orchestrator and `apps` as its specialists."""
    async with contextlib.AsyncExitStack() as serving:
        urls = [await serving.enter_async_context(serve(app)) for app in apps]
        monkeypatch.setenv("TAILRACE_SPECIALIST_URLS", ",".join(urls))
        monkeypatch.setenv("TAILRACE_AGENT_URLS", ",".join(urls))
        yield await serving.enter_async_context(system(orchestrator.builder, folder, agent_urls=",".join(urls)))
