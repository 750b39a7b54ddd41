"""New tasks in their contexts: whether an agent takes a second task in a context is in its card."""

from __future__ import annotations

import asyncio
import logging
import math
import time

import httpx

from tailrace import events
from tailrace.a2a.card import CONVERSATION
from tailrace.a2a.discovery import discover
from tailrace.agent import threads
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.events import Message
from tailrace.log import EventLog, Head

logger = logging.getLogger("tailrace.gateway")

# How long a card counts, and how long a new task waits for one.
_CARD_LIFE_S, _CARD_S = 60.0, 3.0


class Contexts:
    """Creates the tasks of the agent at `url`."""

    def __init__(self, log: EventLog, http: httpx.AsyncClient, url: str, settings: Settings) -> None:
        self._log = log
        self._http = http
        self._url = url
        self._settings = settings
        self._exclusive: bool | None = None
        self._asked_at = -math.inf

    async def create(self, head: Head, message: Message, *, new: bool) -> Head:
        """Create a task, idempotently; return its stored head. `new` says that nobody has used its context before.

        Raises:
            ContextBusy: the context has an unfinished task, and its agent takes one at a time. Nothing was written.
            RequestError: the message cannot begin a task of its context. Nothing was written.
            TaskConflict: the task exists, and another request has created it.
        """
        if await self._takes_one_task(wait=not new):
            return await threads.create(self._log, head, message, new=new)
        return await self._log.create(head, events.submitted(head.source, message))

    async def _takes_one_task(self, *, wait: bool) -> bool:
        """Whether the card says so. If the card is not known, the agent itself refuses what it does not take."""
        if wait and time.monotonic() > self._asked_at + _CARD_LIFE_S:
            try:
                async with asyncio.timeout(_CARD_S):
                    card = (await discover(self._http, self._url, self._settings)).card
            except (AgentError, TimeoutError) as error:
                logger.warning("the card of %s is not known: %s", self._url, error)
            else:
                named = [each for each in card.capabilities.extensions if each.uri == CONVERSATION]
                self._exclusive = any(each.params.get("exclusive") is True for each in named)
                self._asked_at = time.monotonic()
        return bool(self._exclusive)
