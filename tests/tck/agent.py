"""The agent that the official conformance suite (a2aproject/a2a-tck) is run against: `python -m tests.tck.agent`.

The prefix of a message's id selects what the agent does (see the suite's `scenarios/*.feature`). It listens on $PORT of
loopback, and shares its log with all processes that have the same TAILRACE_DATA_DIR.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, TypedDict

import msgspec
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

import tailrace
from tailrace import AgentApp, AgentCard, Skill
from tailrace.config import Settings
from tailrace.inputs.request import Request
from tailrace.owner import owner_of

# The time limit of the suite for a stream; a task has to take twice as long.
STREAMING_S = float(os.environ.get("TCK_STREAMING_TIMEOUT", "2.0"))
# For the 0.3 edition of the suite: it needs the 0.3 fields of the card, which the schema of the 1.0 edition refuses,
# tasks that wait for input by default, and no extended card.
V0_3 = os.environ.get("TCK_CARD") == "0.3"
# Prefixes of message ids that the suite uses for several messages.
SUITE = ("tck-", "test-")
RESUBSCRIBED = "test-resubscribe-message-id"


class State(TypedDict, total=False):
    messages: list[Any]


def writes(text: str, artifact: str = "response") -> Callable[[], None]:
    return lambda: tailrace.write(text, artifact=artifact)


def chunks() -> None:
    tailrace.write("chunk-1 ", artifact="chunked")
    tailrace.progress("one of two", done=1, total=2)
    tailrace.write("chunk-2", artifact="chunked")


def rejected() -> None:
    raise tailrace.Rejected("rejected")


def file_url() -> None:
    tailrace.file("output.txt", url="https://example.com/output.txt")


# The longest prefix wins.
DOES: dict[str, Callable[[], None]] = {
    "tck-artifact-text": writes("Generated text content"),
    "tck-artifact-file-url": file_url,
    "tck-artifact-file": lambda: tailrace.file("output.txt", "Generated file content"),
    "tck-artifact-data": lambda: tailrace.result("data", {"key": "value", "count": 42}),
    "tck-reject-task": rejected,
    "tck-stream-001": writes("Stream hello from TCK"),
    "tck-stream-002": lambda: None,
    "tck-stream-003": writes("Stream task lifecycle"),
    "tck-stream-ordering-001": writes("Ordered output"),
    "tck-stream-artifact-text": writes("Streamed text content"),
    "tck-stream-artifact-file": lambda: tailrace.file("output.txt", "Streamed file content"),
    "tck-stream-artifact-chunked": chunks,
}


async def act(_: State) -> State:
    message_id = tailrace.request().message_id
    if asks(message_id):
        interrupt("What else?")
    elif message_id.startswith(RESUBSCRIBED):
        tailrace.progress("busy")
        await asyncio.sleep(2 * STREAMING_S)
    else:
        matching = [prefix for prefix in DOES if message_id.startswith(prefix)]
        (DOES[max(matching, key=len)] if matching else writes("Hello from TCK"))()
    return {}


def asks(message_id: str) -> bool:
    """Whether a message makes the task wait for another one."""
    if V0_3 and not message_id.startswith(("tck-", RESUBSCRIBED)):
        return True
    return message_id.startswith("tck-input-required")


def again(_: State) -> str:
    """A reply may lead to another question."""
    return "act" if asks(tailrace.request().message_id) else END


async def answer(request: Request) -> str | None:
    """Answer the one message that the suite wants answered without a task."""
    return "Direct message response" if request.message_id.startswith("tck-message-response") else None


def tck_app(settings: Settings) -> AgentApp:
    card = AgentCard(
        name="tck",
        description="Does what the conformance suite asks for.",
        version="1.0.0",
        skills=[Skill(id="act", name="Act", description="Acts by the id of a message.", tags=["tck"])],
        # The suite sends a made-up media type that must be accepted (CORE-SEND-003).
        input_modes=("text/plain", "application/json", "*/*"),
        v0_3=V0_3,
    )

    def extended(owner: str) -> AgentCard:
        return msgspec.structs.replace(card, description=f"{card.description} For {owner}.")

    graph = (
        StateGraph(State).add_node("act", act).add_edge(START, "act").add_conditional_edges("act", again, ["act", END])
    )
    return AgentApp(
        graph,
        card,
        settings=settings,
        answer=answer,
        decide_owner=owner_of,
        extended_card=None if V0_3 else extended,
        idempotent=lambda message_id: not message_id.startswith(SUITE),
    )


# The suite's webhook receiver is on this machine.
app = tck_app(Settings.load({"TAILRACE_PUSH_INTERNAL": "1", **os.environ}))

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", timeout_graceful_shutdown=1)
