"""The agents that may be asked: found by their cards, which are kept for a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx

from tailrace.a2a.discovery import DiscoveredAgent, discover
from tailrace.a2a.room import Room
from tailrace.a2a.trust import is_own_agent
from tailrace.config import Settings
from tailrace.errors import AgentError

# How long a card counts.
_CARD_LIFE_S = 60.0


class Directory:
    """The cards of agents, by URL. A `patient` one waits until there is room for one of our own, as a run can."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings, *, patient: bool = False) -> None:
        self._http = http
        self._settings = settings
        self._patient = patient
        self._cards: dict[str, tuple[float, DiscoveredAgent]] = {}

    async def at(self, url: str, *, fresh: bool = False) -> DiscoveredAgent:
        """The agent at `url`. With `fresh` its card is fetched, however new the one that is kept.

        Raises:
            AgentError: the agent cannot be reached, or what comes is not an agent card.
        """
        until, agent = self._cards.get(url, (0.0, None))
        if agent is None or fresh or time.monotonic() > until:
            agent = await self._discover(url)
            self._cards[url] = time.monotonic() + _CARD_LIFE_S, agent
        return agent

    async def _discover(self, url: str) -> DiscoveredAgent:
        room = Room()
        while True:
            try:
                return await discover(self._http, url, self._settings)
            except AgentError as error:
                patient = self._patient and is_own_agent(url, self._settings)
                if not (patient and await room.waits_after(error)):
                    raise

    async def all(self, urls: Iterable[str], *, fresh: bool = False) -> dict[str, DiscoveredAgent | AgentError]:
        """The agents at these URLs, in their order; for an agent that cannot be reached, the error."""

        async def find(url: str) -> DiscoveredAgent | AgentError:
            try:
                return await self.at(url, fresh=fresh)
            except AgentError as error:
                return error

        urls = list(dict.fromkeys(urls))
        return dict(zip(urls, await asyncio.gather(*map(find, urls)), strict=True))

    async def named(self, name: str, urls: Iterable[str]) -> DiscoveredAgent | None:
        """The first agent at these URLs whose card has this name; None if no card has it, after a look at new cards."""
        urls = list(urls)
        for fresh in (False, True):
            for agent in (await self.all(urls, fresh=fresh)).values():
                if isinstance(agent, DiscoveredAgent) and agent.card.name == name:
                    return agent
        return None


def names_in(agents: Iterable[DiscoveredAgent | AgentError]) -> list[str]:
    """The names of those agents that could be reached."""
    return [agent.card.name for agent in agents if isinstance(agent, DiscoveredAgent)]


def without_card(wanted: str) -> str:
    """The name of an agent whose card is not known, which was asked for by this name or URL.

    Of a URL it is the host: the rest may hold secrets, and names are in events and spans.
    """
    return urlsplit(wanted).hostname or wanted if "://" in wanted else wanted
