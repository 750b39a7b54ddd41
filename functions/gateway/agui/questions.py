"""The agent's questions as AG-UI's interrupts, and what a client says about runs and answers in a message."""

from __future__ import annotations

from typing import Any

from gateway.agui import events as ag
from tailrace.agent.approvals import is_approval
from tailrace.agent.questions import text_of
from tailrace.authoring.ask import Question
from tailrace.events import Message, State

# The key of a message's metadata that has what AG-UI's run input says beside the message.
INPUT = "ag-ui"
# What answers the question to approve actions (docs/PROTOCOL.md, section 5.12).
_DECISIONS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "decisions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"type": {"enum": ["approve", "edit", "reject", "respond"]}},
                "required": ["type"],
            },
        }
    },
    "required": ["decisions"],
}


def interrupt_of(question: Question, state: State) -> ag.Interrupt:
    """A question of a task with this state."""
    reason, schema = "input_required", question.schema
    if is_approval(question.value):
        reason, schema = "tailrace:approval", schema or _DECISIONS
    elif state == "TASK_STATE_AUTH_REQUIRED":
        reason = "tailrace:auth"
    metadata = {"value": question.value, "node": question.node}
    return ag.Interrupt(question.id, reason, text_of(question), schema, metadata)


def run_id_of(message: Message) -> str:
    """The id that a client gave to the run that the message begins; "" if it came in another way."""
    run_id = _input_of(message).get("runId")
    return run_id if isinstance(run_id, str) else ""


def is_resume(message: Message) -> bool:
    """Whether it has the answers of a client's `resume`, and is no message of the client's conversation."""
    return _input_of(message).get("resume") is True


def _input_of(message: Message) -> dict[str, Any]:
    known = (message.metadata or {}).get(INPUT)
    return known if isinstance(known, dict) else {}
