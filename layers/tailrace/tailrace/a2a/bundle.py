"""The agents of this bundle, by the names in their cards. The gateway hands tasks to them and to no others, and the
sweeper asks them to go on with what was interrupted.

An agent of another make cannot run a task of the gateway's: the task is in our log.
"""

from __future__ import annotations

import logging
from typing import Any

import httpx

from tailrace.a2a.client import AgentClient
from tailrace.a2a.directory import Directory, names_in
from tailrace.a2a.discovery import DiscoveredAgent
from tailrace.a2a.trust import is_own_agent
from tailrace.config import Settings
from tailrace.errors import AgentDown, AgentError, AgentUnknown, RequestError, shorten
from tailrace.registry import (
    all_agent_urls,
    default_agent_url,
    own_agent_urls,
    plain,
    read_registry,
    registered,
    specialist_urls,
)

logger = logging.getLogger("tailrace.a2a")


class Agents:
    """Finds agents by name. The agent that gets the tasks for which no agent is named needs no card."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self._http = http
        self._settings = settings
        self._directory = Directory(http, settings)

    async def check(self, name: str) -> None:
        """Check that there is an agent with this name.

        Raises:
            RequestError: there is none. The message has the names.
            AgentError: the registry or a setting names one, but it does not give its card.
        """
        await read_registry(self._settings)
        if not await self._found(name):
            cards = await self._directory.all(self._own)
            place = registered(self._settings).get(plain(name))
            url = place.url if place is not None else self._settings.dispatch_places.get(name, "")
            if isinstance(error := cards.get(url), AgentError):
                raise error
            known = names_in(cards.values())
            listed = ", ".join(map(repr, dict.fromkeys([self._settings.orchestrator, *known])))
            raise RequestError(f"agent has value {shorten(name)!r}, but must be one of {listed}.")

    async def client(self, name: str, owner: str) -> AgentClient:
        """A client of the agent, for the owner.

        Raises:
            AgentUnknown: no agent that can be reached has this name.
        """
        return AgentClient(self._http, await self.url_of(name), owner=owner, settings=self._settings)

    async def url_of(self, name: str) -> str:
        """The URL of the agent. Raises as `client` does."""
        await read_registry(self._settings)
        if name != self._settings.orchestrator and (known := registered(self._settings).get(plain(name))):
            return known.url  # whose card it has, `check` has seen
        if url := await self._found(name):
            return url
        raise AgentUnknown(f"No agent of this bundle that can be reached has the name {shorten(name)!r}.")

    async def card(self, name: str) -> DiscoveredAgent:
        """The agent's card, at most a minute old.

        Raises:
            AgentError: no agent that can be reached has this name.
        """
        return await self._directory.at(await self.url_of(name))

    async def listed(self) -> list[dict[str, Any]]:
        """The cards of all agents, the default one first, and for each that should answer and does not, an error.

        The error has the agent's name if a setting tells it. Why it does not answer, and where it is, is in the
        process's log, unless that is for callers.
        """
        await read_registry(self._settings)
        names = {url: name for name, url in self._settings.dispatch_places.items()}
        expected = [default_agent_url(self._settings), *specialist_urls(self._settings)]
        shown: list[dict[str, Any]] = []
        for url, agent in (await self._directory.all([*expected, *own_agent_urls(self._settings)], fresh=True)).items():
            if isinstance(agent, DiscoveredAgent):
                shown.append(agent.card_json)
            elif url in expected:
                logger.warning("an agent: %s", agent)
                why = str(agent) if isinstance(agent, AgentDown) else "The gateway's log says why."
                shown.append({**({"name": names[url]} if url in names else {}), "error": why})
        return shown

    @property
    def _own(self) -> list[str]:
        return [url for url in all_agent_urls(self._settings) if is_own_agent(url, self._settings)]

    async def _found(self, name: str) -> str | None:
        if name == self._settings.orchestrator:
            return default_agent_url(self._settings)
        agent = await self._directory.named(name, self._own)
        return agent.url if agent is not None else None
