"""Messages of users: one begins a task, or replies to one. Every route that takes messages sends them in this way."""

from __future__ import annotations

from gateway.callers import Caller
from gateway.contexts import Contexts
from gateway.limits import Limits
from gateway.pipes import Pipes
from gateway.requests import BrowserMessage, complete
from gateway.uploads import Uploading
from tailrace.a2a.bundle import Agents
from tailrace.a2a.identity import fingerprint_of, task_id_of
from tailrace.log import Head
from tailrace.tracing.spans import creation


class Sending:
    """Sends messages to the agents of the bundle."""

    def __init__(self, agents: Agents, contexts: Contexts, limits: Limits, uploading: Uploading, pipes: Pipes) -> None:
        self._agents = agents
        self._contexts = contexts
        self._limits = limits
        self._uploading = uploading
        self._pipes = pipes

    async def begin(self, caller: Caller, agent: str, sent: BrowserMessage, key: str) -> Head:
        """Begin the task that the caller's message is for, and return its head. The same `key` finds the same task.

        Raises:
            Problem: 429, as `Limits.task`.
            TailraceError: as `Agents.check`, `Uploading.check` and `Contexts.create`. Nothing was begun.
        """
        owner = caller.owner.id
        await self._agents.check(agent)
        task_id = task_id_of(owner, agent, key)
        # Derived like the task's id, so that the same request has the same fingerprint.
        context_id = sent.context_id or task_id_of(owner, agent, f"context {key}")
        message = complete(sent, message_id=sent.message_id or task_id, task_id=task_id, context_id=context_id)
        stored = message.stored()
        await self._uploading.check(stored, owner)
        with creation(agent, task_id, context_id) as span:
            head = Head(
                task_id=task_id,
                owner=owner,
                context_id=context_id,
                agent=agent,
                fingerprint=fingerprint_of(message),
                trace=span.trace,
            )
            async with self._limits.task(caller, task_id):
                head = await self._contexts.create(head, stored, new=sent.context_id is None)
            span.found(head.trace)
        await self._pipes.begin(head)
        return head

    async def reply(self, head: Head, sent: BrowserMessage, message_id: str) -> None:
        """Send a message to a task that waits.

        Raises:
            TailraceError: as `Uploading.check`, or the agent does not take it. Nothing was changed.
        """
        context_id = sent.context_id or head.context_id  # The agent refuses another one.
        message = complete(sent, message_id=message_id, task_id=head.task_id, context_id=context_id)
        stored = message.stored()
        await self._uploading.check(stored, head.owner)
        await self._contexts.keep(head)
        await (await self._agents.client(head.agent, head.owner)).reply(stored)
