"""An agent whose state has types of its author, in all the ways that a graph can name one. Tests can kill it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar

from langgraph.graph import START, StateGraph
from pydantic import BaseModel

from tailrace import AgentApp, AgentCard, write
from tests.sample_agents.killable import at


class Severity(enum.Enum):
    HIGH = "high"


class Span(NamedTuple):
    start: int
    end: int


@dataclass
class Finding:
    title: str
    severity: Severity
    tags: list[str] = field(default_factory=list)


@dataclass
class LogFinding(Finding):
    """A subclass that no annotation names."""

    line: int = 0


class Measured(BaseModel):
    span: Span
    value: float


class InAny(BaseModel):
    """Made by a node, for a key whose type is `Any`."""

    text: str


class InHelper(BaseModel):
    """Made by a function that a node calls."""

    text: str


Severities = NewType("Severities", list[Severity])
T = TypeVar("T", bound=Measured)


class Box(TypedDict, Generic[T]):
    inside: T


class State(TypedDict, total=False):
    messages: Annotated[list[Any], "of LangGraph"]
    findings: Sequence[Finding]
    spans: Mapping[str, Span]
    severities: Severities
    box: Box[Any]
    mode: Literal["fast"]
    anything: Any


def helper() -> InHelper:
    return InHelper(text="of a helper")


async def fill(state: State) -> State:
    return {
        "findings": (Finding("slow", Severity.HIGH), LogFinding("lost", Severity.HIGH, ["a"], line=7)),
        "spans": {"window": Span(1, 2)},
        "severities": Severities([Severity.HIGH]),
        "box": {"inside": Measured(span=Span(3, 4), value=0.5)},
        "mode": "fast",
        "anything": [InAny(text="anything"), helper()],
    }


async def tell(state: State) -> State:
    await at("tell:start")
    for key in ("findings", "spans", "severities", "box", "mode", "anything"):
        write(f"{key}: {state[key]!r}\n")  # type: ignore[literal-required]
    return {}


builder = StateGraph(State).add_sequence([fill, tell]).add_edge(START, "fill")
app = AgentApp(builder, AgentCard(name="typed_state", description="Has types.", version="1", skills=[]))
