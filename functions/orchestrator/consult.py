"""Asks one specialist: forwards its progress while it works, and returns its answer or why there is none."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import httpx
from langgraph.config import get_config
from langgraph.errors import GraphDrained

from orchestrator.answer import SpecialistAnswer, answer_of, refusal
from orchestrator.forwarding import Forwarding
from orchestrator.planning import Delegation, payload_for
from tailrace import request
from tailrace.a2a.client import AgentClient
from tailrace.a2a.conversation import Conversation
from tailrace.authoring.emit import current_step, emit
from tailrace.authoring.run_context import delegated_before, draining
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.events import DelegatedTask, Message
from tailrace.owner import owner_within


async def consult(http: httpx.AsyncClient, delegation: Delegation) -> SpecialistAnswer:
    """Ask a specialist and return its answer. Nothing that the specialist does raises an error.

    Raises:
        GraphDrained: this attempt must end. The next one goes on with the specialist's task at its cursor.
    """
    configurable, settings = get_config()["configurable"], Settings.load()
    step = f"{current_step()}-{delegation['agent']}"
    owner = owner_within(configurable["owner"], configurable["task_id"])
    client = AgentClient(http, delegation["url"], owner=owner, settings=settings)
    payload = await asyncio.to_thread(payload_for, request(), delegation)
    # All attempts of a run send the same message id, so a new one finds the task of an older one.
    message_id = f"{configurable['task_id']}-{delegation['agent']}"
    message = Message(message_id=message_id, role="ROLE_USER", parts=payload.parts)
    conversation = Conversation(
        client,
        message,
        delegated_before(step),
        streaming=delegation.get("streams", True),
        limit_s=settings.specialist_s,
    )
    me = configurable.get("agent", "")
    forwarding = Forwarding(delegation["agent"], step, me=me, trusted=client.own, since=conversation.since)
    error: str | None = None
    try:
        await _until_answered(conversation, forwarding, delegation["url"], step)
    except AgentError as problem:
        error = str(problem)
    if error is None:
        error = refusal(conversation.task)
    emit("tool_complete", step=step, parent=current_step(), name=f"ask {forwarding.agent}", error=error)
    return answer_of(
        forwarding.agent, conversation.task, error, [*payload.notes, *conversation.notes, *forwarding.notes]
    )


async def _until_answered(conversation: Conversation, forwarding: Forwarding, url: str, step: str) -> None:
    """Forward what the specialist does until it is done or its time is up.

    Raises:
        AgentError: there is no answer.
        GraphDrained: this attempt must end.
    """
    working = asyncio.create_task(_forward_all(conversation, forwarding, url, step))
    drain = asyncio.create_task(draining())
    try:
        await asyncio.wait([working, drain], timeout=conversation.left_s, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            if drain.done():
                raise GraphDrained("deadline")
            working.cancel()
            await asyncio.wait([working])
            raise await conversation.give_up()
        working.result()
    finally:
        working.cancel()
        drain.cancel()


async def _forward_all(conversation: Conversation, forwarding: Forwarding, url: str, step: str) -> None:
    reported = conversation.task_id is not None

    def report(delegated: DelegatedTask | None) -> None:
        emit("tool_start", step=step, parent=current_step(), name=f"ask {forwarding.agent}", asked=delegated)

    try:
        async with aclosing(conversation.events()) as events:
            async for event in events:
                if not reported and conversation.task_id is not None:
                    # From now on a new attempt finds the specialist's task instead of asking again.
                    report(DelegatedTask(url=url, task=conversation.task_id, since=conversation.since))
                    reported = True
                forwarding.forward(conversation.task_id, event)
    finally:
        if not reported:
            report(None)
