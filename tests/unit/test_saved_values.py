"""Values in a state that no annotation names can be saved in a checkpoint and read again, or are refused at once."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy
import pytest
from langchain_core.agents import AgentAction, AgentFinish, AgentStep
from langchain_core.messages import ToolMessage
from langgraph.types import Send
from pydantic import BaseModel

from tailrace.agent.checkpoints.serializer import StrictSerializer
from tailrace.errors import StateUnsaveable


@dataclass(frozen=True)
class Score:
    value: Any


class Model(BaseModel):
    value: Any


class Pair(NamedTuple):
    name: str
    value: Any


SERIALIZER = StrictSerializer([Score, Model, Pair])
ACTION = AgentAction(tool="search", tool_input={"q": "x"}, log="")


def again(value: Any) -> Any:
    return SERIALIZER.loads_typed(SERIALIZER.dumps_typed(value))


@pytest.mark.parametrize(
    ("value", "saved"),
    [
        (numpy.float64(0.5), 0.5),
        (numpy.float32(0.5), 0.5),
        (numpy.int64(3), 3),
        (numpy.bool_(True), True),
        ({"scores": [numpy.float64(0.5), ("a", numpy.int32(2))]}, {"scores": [0.5, ["a", 2]]}),
        ({numpy.int64(1): "one"}, {1: "one"}),
    ],
)
def test_a_number_of_numpy_is_saved_as_python_s(value: Any, saved: Any) -> None:
    read = again(value)
    assert (read, type(read)) == (saved, type(saved))


@pytest.mark.parametrize(
    "holder",
    [
        lambda number: Send("node", {"n": number}, timeout=5),
        lambda number: [Score([number]), Model(value={"n": number})],
        lambda number: Model(value=Score(number)),
        lambda number: ToolMessage("x", tool_call_id="1", artifact={"n": number}, extra=number),
        lambda number: Pair("a", number),
        lambda number: ({number}, frozenset([number]), deque([number])),
        lambda number: {"a": Counter({"a": number})},
    ],
    ids=["send", "objects", "nested", "message", "named tuple", "sets", "counter"],
)
def test_a_number_of_numpy_is_saved_as_python_s_wherever_it_is(holder: Any) -> None:
    assert repr(again([holder(numpy.float32(2))])) == repr(again([holder(2.0)]))


@pytest.mark.parametrize("dtype", [object, [("n", int)], "datetime64[s]"], ids=str)
def test_an_array_that_would_be_read_as_something_else_is_refused_with_its_path(dtype: Any) -> None:
    with pytest.raises(StateUnsaveable, match=r"numpy\.ndarray with other items than numbers and texts at hosts\[0\]"):
        again({"hosts": [numpy.zeros(2, dtype)]})
    assert again(numpy.array(["a", "b"])).tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "value",
    [
        ACTION,
        AgentFinish(return_values={"output": "x"}, log=""),
        AgentStep(action=ACTION, observation="found"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_langchain_s_agents_hand_on_is_read_again(value: Any) -> None:
    assert again([value]) == [value]


def test_what_has_no_form_is_refused_with_its_path_also_beside_a_number_of_numpy() -> None:
    cycle: list[Any] = [numpy.int64(1)]
    cycle.append(cycle)
    with pytest.raises(StateUnsaveable, match="complex"):
        again({"numbers": [numpy.int64(1), 1j]})
    with pytest.raises(StateUnsaveable):
        again(cycle)
