"""Asking one specialist: its progress is forwarded as it happens, its answer kept, its failure survived."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from langgraph.config import get_config
from langgraph.errors import GraphDrained

from orchestrator.answer import Answer, answer_of, refusal
from orchestrator.planning import Errand, parcel_for
from tailrace import request
from tailrace.a2a.ask import Conversation
from tailrace.a2a.client import AgentClient
from tailrace.config import Settings
from tailrace.emit import current_step, emit
from tailrace.errors import AgentError
from tailrace.events import EXTENSION
from tailrace.owner import owner_within
from tailrace.running import asked_before, draining

# What of a specialist's events the reader of ours wants to see happen. Its states and artifacts are ours to tell.
_FORWARDED = frozenset({"node_start", "node_end", "tool_start", "tool_complete", "progress", "attempt", "handoff"})


async def consult(http: httpx.AsyncClient, errand: Errand) -> Answer:
    """Ask a specialist and wait for its answer. Never raises for what the specialist does."""
    configurable = get_config()["configurable"]
    agent, step = errand["agent"], f"{current_step()}-{errand['agent']}"
    owner = owner_within(configurable["owner"], configurable["task_id"])
    client = AgentClient(http, errand["url"], owner=owner, settings=Settings.load())
    parcel = await asyncio.to_thread(parcel_for, request(), errand)
    # The same run asks under the same id, so a new attempt finds the task that an older one began.
    message = {
        "messageId": f"{configurable['task_id']}-{agent}",
        "role": "ROLE_USER",
        "parts": parcel.parts,
    }
    conversation = Conversation(client, message, asked_before(step))
    error: str | None = None
    try:
        await _until_answered(conversation, errand, step)
        error = refusal(conversation.task)
    except AgentError as problem:
        error = str(problem)
    emit("tool_complete", step=step, parent=current_step(), name=f"ask {agent}", error=error)
    return answer_of(agent, conversation.task, error, parcel.notes)


async def _until_answered(conversation: Conversation, errand: Errand, step: str) -> None:
    """Forward what the specialist does until it is done.

    Raises:
        GraphDrained: this attempt shall end. The next one comes back to the specialist's task with its cursor.
    """
    forwarding = asyncio.create_task(_forward_all(conversation, errand, step))
    drain = asyncio.create_task(draining())
    try:
        await asyncio.wait([forwarding, drain], return_when=asyncio.FIRST_COMPLETED)
        if not forwarding.done():
            raise GraphDrained("deadline")
        forwarding.result()
    finally:
        forwarding.cancel()
        drain.cancel()


async def _forward_all(conversation: Conversation, errand: Errand, step: str) -> None:
    agent, told = errand["agent"], conversation.task_id is not None

    def tell(asked: dict[str, str] | None) -> None:
        emit("tool_start", step=step, parent=current_step(), name=f"ask {agent}", asked=asked)

    try:
        async for event in conversation.events():
            if not told and conversation.task_id is not None:
                # From here on a new attempt finds the specialist's task instead of asking again.
                tell({"url": errand["url"], "task": conversation.task_id})
                told = True
            _forward(event, agent, step, conversation)
    finally:
        if not told:
            tell(None)


def _forward(event: dict[str, Any], agent: str, parent: str, conversation: Conversation) -> None:
    """A specialist's event as one of ours, with its own `agent` and `step`, below the step that asks it."""
    update = event.get("statusUpdate")
    if update is None:
        return
    said = (update["status"].get("message") or {}).get("parts") or []
    text = "\n".join(part["text"] for part in said if "text" in part) or None
    metadata = (update.get("metadata") or {}).get(EXTENSION)
    if metadata is None:
        # An agent that knows nothing of the extension: what it says while it works is its progress.
        if text:
            emit("progress", text=text, step=parent, agent=agent)
        return
    if metadata["kind"] not in _FORWARDED:
        return
    told = {
        key: metadata.get(key) for key in ("name", "done", "total", "input", "output", "error", "reason", "supersedes")
    }
    emit(
        metadata["kind"],
        text=text,
        step=metadata.get("step"),
        parent=metadata.get("parent") or parent,
        agent=metadata["agent"],
        at=metadata.get("at", metadata["ts"]),  # when it happened, by the clock of where it did
        origin={"task": conversation.task_id, "seq": metadata["seq"]},  # for the cursor of a new attempt
        **told,
    )
