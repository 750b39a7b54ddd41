"""The cards of the shipped agents."""

from __future__ import annotations

import asyncio
import importlib

from tailrace import AgentCard


def card_of(name: str) -> AgentCard:
    """The card of a shipped agent. Its module is imported in a running loop, or Mangum would leave one open."""

    async def load() -> AgentCard:
        card: AgentCard = importlib.import_module(f"{name}.handler").card
        return card

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(load())
