"""New tasks in their contexts: whether an agent takes a second task in a context is in its card.

Every task that the gateway creates is in the record of its conversation. Where the agent takes one task at a time, the
task claims the record. Elsewhere it is noted there.
"""

from __future__ import annotations

import asyncio
import logging

from tailrace.a2a.bundle import Agents
from tailrace.a2a.card import CONVERSATION
from tailrace.a2a.identity import conversation_id_of
from tailrace.agent import threads
from tailrace.errors import AgentError
from tailrace.events import Message
from tailrace.log import EventLog, Head

logger = logging.getLogger("tailrace.gateway")

# How long a new task waits for its agent's card.
_CARD_S = 3.0


class Contexts:
    """Creates the tasks of agents."""

    def __init__(self, log: EventLog, agents: Agents) -> None:
        self._log = log
        self._agents = agents
        self._exclusive: dict[str, bool] = {}

    async def create(self, head: Head, message: Message, *, new: bool) -> Head:
        """Create a task, idempotently; return its stored head. `new` says that nobody has used its context before.

        Raises:
            ContextBusy: the context has an unfinished task, and its agent takes one at a time; or the conversation is
                being deleted. Nothing was written.
            ContextDamaged, RequestError: the message cannot begin a task of its context. Nothing was written.
            TaskConflict: the task exists, and another request has created it.
        """
        exclusive = await self._takes_one_task(head.agent, fresh=not new)
        return (await threads.create(self._log, head, message, new=new, exclusive=exclusive)).head

    async def keep(self, head: Head) -> None:
        """Keep the record of the conversation for as long as an old task that goes on now."""
        record = conversation_id_of(head.owner, head.agent, head.context_id)
        await self._log.conversations.keep(record, head.task_id, head.created)

    async def _takes_one_task(self, agent: str, *, fresh: bool) -> bool:
        """Whether the agent's card says so. If it is not known, the agent itself refuses what it does not take.

        With `fresh` it is the card of now. To begin a new context, the card that was read last will do.
        """
        if fresh or agent not in self._exclusive:
            try:
                async with asyncio.timeout(_CARD_S):
                    card = (await self._agents.card(agent)).card
            except (AgentError, TimeoutError) as error:
                reason = str(error) or f"no answer after {_CARD_S:g} s"
                logger.warning("the card of %s is not known: %s", agent, reason)
            else:
                named = [each for each in card.capabilities.extensions if each.uri == CONVERSATION]
                self._exclusive[agent] = any(each.params.get("exclusive") is True for each in named)
        return self._exclusive.get(agent, False)
