"""The cards of the agents that are shipped."""

from __future__ import annotations

import asyncio
import importlib

from tailrace import AgentCard


def card_of(name: str) -> AgentCard:
    """The card of a shipped agent. Its module is loaded where a loop runs: elsewhere Mangum makes one and leaves it."""

    async def load() -> AgentCard:
        card: AgentCard = importlib.import_module(f"{name}.handler").card
        return card

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(load())
