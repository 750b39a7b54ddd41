"""Tailrace: LangGraph agents on AWS Lambda that stream live, over A2A, from a durable log.

Each of these names has an example in its docstring. The examples use `asyncio` and these names of LangGraph: `START`,
`END`, `MessagesState` and `StateGraph` (`langgraph.graph`), `Command` (`langgraph.types`), `GraphDrained`
(`langgraph.errors`). `tests/integration/test_docstring_examples.py` runs them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace.authoring.ask import Question, ask
from tailrace.authoring.emit import file, progress, request, result, write
from tailrace.authoring.run_context import draining, time_left
from tailrace.errors import Rejected
from tailrace.inputs.request import Request

if TYPE_CHECKING:
    from tailrace.a2a.card import AgentCard, Extension, Skill
    from tailrace.agent.app import AgentApp
    from tailrace.authoring.answer import Answer, DelegationFailed
    from tailrace.authoring.delegate import delegate

__all__ = [
    "AgentApp",
    "AgentCard",
    "Answer",
    "DelegationFailed",
    "Extension",
    "Question",
    "Rejected",
    "Request",
    "Skill",
    "ask",
    "delegate",
    "draining",
    "file",
    "progress",
    "request",
    "result",
    "time_left",
    "write",
]


def __getattr__(name: str) -> Any:
    """Import the classes that serve an agent at their first use: the gateway does not need them, and stays small."""
    if name == "AgentApp":
        from tailrace.agent.app import AgentApp

        return AgentApp
    if name == "delegate":
        from tailrace.authoring.delegate import delegate

        return delegate
    if name in ("Answer", "DelegationFailed"):
        from tailrace.authoring import answer

        return getattr(answer, name)
    if name in ("AgentCard", "Extension", "Skill"):
        from tailrace.a2a import card

        return getattr(card, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
