"""A message becomes the input that the graph's schema names, or is refused with the name of the field."""

from __future__ import annotations

import json
import typing
from dataclasses import dataclass, make_dataclass
from datetime import date
from typing import Annotated, Any

import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph, add_messages
from pydantic import BaseModel, TypeAdapter, create_model

from tailrace.agent.graph_input import input_of
from tailrace.decoding import has_huge_int
from tailrace.errors import RequestError
from tailrace.inputs.request import Data, File
from tests.support.linear_time import LINES, Shape, assert_linear

ID = "task-1"


class Point(BaseModel):
    x: int
    y: int = 0


class Question(typing.TypedDict):
    question: str
    limit: typing.NotRequired[int]


class Whole(Question):
    answer: str


class Travel(MessagesState):
    city: str
    days: int


class Inner(typing.TypedDict):  # before Python 3.12 pydantic refuses this type
    a: int


class Nested(typing.TypedDict):
    inner: Inner


class Order(BaseModel):
    item: str
    count: int = 1


@dataclass
class Parcel:
    weight: int
    label: str = ""


def compiled(schema: Any, **options: Any) -> Any:
    return StateGraph(schema, **options).add_node("node", lambda state: {}).add_edge(START, "node").compile()


def made(graph: Any, *parts: str | Data | File) -> Any:
    return input_of(graph).of(parts, ID)


def refusal(graph: Any, *parts: str | Data | File) -> str:
    with pytest.raises(RequestError) as refused:
        made(graph, *parts)
    return str(refused.value)


def human(content: Any) -> HumanMessage:
    return HumanMessage(content, id=ID)


# A state with fields


def test_text_is_one_message_whose_id_a_takeover_makes_again() -> None:
    assert made(compiled(MessagesState), "one", "two") == {"messages": [human("one\ntwo")]}


def test_data_that_fits_gives_fields_and_the_rest_is_the_message() -> None:
    graph = compiled(Travel)
    assert made(graph, "Plan it.", Data({"city": "Rome"})) == {"city": "Rome", "messages": [human("Plan it.")]}
    assert made(graph, Data({"city": "Rome"}), Data({"days": 3})) == {"city": "Rome", "days": 3}
    assert made(graph, Data({"town": "Rome"})) == {"messages": [human('{"town": "Rome"}')]}
    assert made(graph, "Plan.", Data({"days": "many"})) == {
        "messages": [human([{"type": "text", "text": "Plan."}, {"type": "text", "text": '{"days": "many"}'}])]
    }


@pytest.mark.parametrize("first", [{"type": "ai", "content": "Hi."}, {"role": "assistant", "content": "Hi."}])
def test_data_may_hold_messages_and_the_text_is_the_last_one(first: dict[str, str]) -> None:
    messages = made(compiled(MessagesState), Data({"messages": [first]}), "And you?")["messages"]
    assert [(type(each), each.content) for each in messages] == [(AIMessage, "Hi."), (HumanMessage, "And you?")]


def test_a_field_messages_that_is_no_list_is_left_to_its_author() -> None:
    class Counted(typing.TypedDict):
        messages: int

    assert made(compiled(Counted), "hello", Data({"messages": 3})) == {"messages": 3}


def test_data_of_a_message_that_is_none_is_a_block_of_the_message() -> None:
    assert made(compiled(MessagesState), Data({"messages": [1]})) == {"messages": [human('{"messages": [1]}')]}


def test_fields_have_the_types_that_the_schema_names() -> None:
    class State(typing.TypedDict):
        point: Point
        on: date
        tags: set[str]

    sent = {"point": {"x": 1}, "on": "2026-11-28", "tags": ["a", "a"]}
    assert made(compiled(State), Data(sent)) == {"point": Point(x=1), "on": date(2026, 11, 28), "tags": {"a"}}


def test_without_messages_all_data_has_to_fit() -> None:
    graph = compiled(Whole)
    assert made(graph, "Look.", Data({"question": "why?"})) == {"question": "why?"}
    assert made(graph, "Look.") == {}  # nodes read the text with request()
    assert "`limit` has value 'x', but: Input should be a valid integer" in refusal(graph, Data({"limit": "x"}))
    unknown = refusal(graph, Data({"quest": "why?"}))
    assert "`quest` is not one of its fields, which are `answer`, `limit`, `question`" in sorted_names(unknown)
    assert "it has value [1], but must be an object with" in refusal(graph, Data([1]))
    assert "`limit` is in two data parts" in refusal(graph, Data({"limit": 1}), Data({"limit": 2}))


def sorted_names(text: str) -> str:
    before, _, names = text.rstrip(".").partition(" which are ")
    return f"{before} which are {', '.join(sorted(names.split(', ')))}"


def test_an_integer_that_no_checkpoint_can_hold_is_refused() -> None:
    assert made(compiled(Whole), Data({"limit": 2**64 - 1})) == {"limit": 2**64 - 1}
    assert "`limit` has an integer of more than 64 bits" in refusal(compiled(Whole), Data({"limit": 2**64}))
    assert "it has an integer of more than 64 bits" in refusal(workflow(dict), Data({"a": [{"b": -(2**63) - 1}]}))


def test_a_required_field_that_is_missing_is_named() -> None:
    assert made(compiled(Order), Data({"item": "tea"})) == {"item": "tea"}
    assert "a data part with `item`" in refusal(compiled(Order), "tea")
    assert made(compiled(Parcel), Data({"weight": 2})) == {"weight": 2}
    assert "a data part with `weight`" in refusal(compiled(Parcel), Data({"label": "x"}))
    graph = compiled(Whole, input_schema=Question)
    assert made(graph, Data({"question": "why?"})) == {"question": "why?"}
    assert "a data part with `question`" in refusal(graph, "why?")
    assert "`answer` is not one of its fields" in refusal(graph, Data({"question": "why?", "answer": "forged"}))


@pytest.mark.parametrize(("schema", "wrong"), [(Order, {"count": "x"}), (Parcel, {"label": 1})])
def test_a_later_message_of_a_conversation_need_not_repeat_what_the_state_has(schema: Any, wrong: Any) -> None:
    later = input_of(compiled(schema))
    assert later.of(["more"], ID, fresh=False) == {}
    with pytest.raises(RequestError, match=f"`{next(iter(wrong))}` has value"):
        later.of([Data(wrong)], ID, fresh=False)


def test_a_model_that_refuses_values_together_refuses_the_message() -> None:
    class Span(BaseModel):
        start: int
        end: int

        def model_post_init(self, _: Any) -> None:
            if self.start > self.end:
                raise ValueError("start is after end")

    assert "start is after end" in refusal(compiled(Span), Data({"start": 2, "end": 1}))


def test_what_pydantic_cannot_check_is_taken_as_langgraph_takes_it() -> None:
    assert made(compiled(Nested), Data({"inner": {"a": 1}})) == {"inner": {"a": 1}}


def test_a_callers_data_cannot_set_what_an_agent_keeps_for_itself() -> None:
    graph = create_agent(FakeListChatModel(responses=["."]), response_format=Point)
    message = made(graph, Data({"structured_response": {"x": 1}}))["messages"][0]
    assert message.content == '{"structured_response": {"x": 1}}'


# One value


def workflow(kind: Any) -> Any:
    def work(value: Any) -> None:
        return None

    work.__annotations__["value"] = kind
    return entrypoint()(work)


@pytest.mark.parametrize(
    ("kind", "part", "expected"),
    [
        (str, "hello", "hello"),
        (Any, "hello", "hello"),
        (Any, Data({"a": 1}), {"a": 1}),
        (int, Data(3), 3),
        (dict, Data({"a": 1}), {"a": 1}),
        (dict, "hello", {"messages": [human("hello")]}),
        (Question, Data({"question": "why?"}), {"question": "why?"}),
        (Order, Data({"item": "tea"}), Order(item="tea")),
        (Parcel, Data({"weight": 1}), Parcel(1)),
        (list[AnyMessage], "hello", [human("hello")]),
        (list, "hello", [human("hello")]),
        (tuple[Any, ...], "hello", (human("hello"),)),
        (HumanMessage, "hello", human("hello")),
        (MessagesState, "hello", {"messages": [human("hello")]}),
        (MessagesState, Data({"a": 1}), {"messages": [human('{"a": 1}')]}),
    ],
)
def test_an_entrypoint_gets_the_text_or_the_data(kind: Any, part: Any, expected: Any) -> None:
    value = made(workflow(kind), part)
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "parts", "words"),
    [
        (Question, [Data({"limit": 1})], "`question` is missing"),
        (Question, [Data({"question": 1})], "`question` has value 1"),
        (Question, [Data({"question": "why?", "x": 1})], "`x` has value 1, but: Extra inputs are not permitted"),
        (Question, ["why?"], "must have a data part that fits this agent's input"),
        (Order, [Data({"item": "tea", "count": "x"})], "`count` has value 'x'"),
        (int, ["hello"], "must have a data part that fits this agent's input: it has value 'hello'"),
        (dict, [Data({}), Data({})], "has 2 data parts, but this agent takes one"),
    ],
)
def test_what_an_entrypoint_cannot_take_is_refused(kind: Any, parts: list[Any], words: str) -> None:
    assert words in refusal(workflow(kind), *parts)


@entrypoint()
def postponed(question: Question) -> str:
    return question["question"]


@entrypoint()
async def unresolved(question: Unknown) -> str:  # type: ignore[name-defined]  # noqa: F821
    return str(question)


def test_an_annotation_that_is_a_name_is_resolved() -> None:
    assert made(postponed, Data({"question": "why?"})) == {"question": "why?"}
    assert "`quest` has value" in refusal(postponed, Data({"question": "why?", "quest": 1}))
    assert made(unresolved, "why?") == "why?"


def test_a_state_that_is_a_list_of_messages_gets_one() -> None:
    graph = compiled(Annotated[list[AnyMessage], add_messages])
    assert made(graph, "hello") == [human("hello")]


# Any parts, any schema

FIELDS: dict[str, Any] = {"topic": str, "n": int, "point": Point, "on": date, "tags": list[str], "any": Any}
SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=5)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
NEARLY = st.dictionaries(
    st.sampled_from([*FIELDS, "messages", "other"]),
    JSON | st.sampled_from(["2026-11-28", {"x": 1}, {"x": 1, "y": "2"}, ["a"], [{"role": "user", "content": "hi"}]]),
    max_size=3,
)
FITTING = st.fixed_dictionaries(
    {},
    optional={
        "topic": st.text(st.characters(codec="utf-8"), max_size=3),
        "n": st.integers(),
        "point": st.just({"x": 1}),
        "on": st.just("2026-11-28"),
        "tags": st.just(["a"]),
    },
)
PARTS = st.lists(
    st.text(st.characters(codec="utf-8"), max_size=5)
    | st.builds(Data, JSON)
    | st.builds(Data, NEARLY)
    | st.builds(Data, FITTING)
    | st.builds(Data, st.sampled_from([{"topic": "a"}, {"topic": "b"}, {"n": 1}]))
    | st.builds(lambda text: File(filename="a.log", media_type="text/plain", text=text), st.text(max_size=5)),
    max_size=5,
)


@st.composite
def schemas(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    names = draw(st.lists(st.sampled_from(list(FIELDS)), unique=True, max_size=3)) or ["topic", "n"]
    fields = {name: FIELDS[name] for name in names}
    if draw(st.booleans()):
        fields["messages"] = Annotated[list[AnyMessage], add_messages]
    kind = draw(st.sampled_from(["TypedDict", "pydantic", "dataclass"]))
    if kind == "TypedDict":
        return typing_extensions.TypedDict("state", fields), fields  # type: ignore[operator]
    if kind == "pydantic":
        return create_model("state", **{name: (hint, ...) for name, hint in fields.items()}), fields
    return make_dataclass("state", list(fields.items())), fields


def fits(data: Any, fields: dict[str, Any]) -> bool:
    """Whether a data part fits, by the types alone; an integer of more than 64 bits never does."""
    if not isinstance(data, dict) or not data.keys() <= fields.keys() or has_huge_int(data):
        return False
    for name, value in data.items():
        try:
            if name == "messages":
                add_messages([], value) if isinstance(value, list) else TypeAdapter(list).validate_python(value)
            else:
                TypeAdapter(fields[name]).validate_python(value)
        except Exception:
            return False
    return True


@given(schemas(), PARTS)
def test_any_parts_are_the_right_input_or_are_refused_by_a_name(schema: tuple[Any, Any], parts: list[Any]) -> None:
    kind, fields = schema
    data = [part.value for part in parts if isinstance(part, Data)]
    try:
        value = made(compiled(kind), *parts)
    except RequestError as error:
        words = str(error)
        assert any(
            f"`{name}" in words for name in (*fields, *(key for each in data if isinstance(each, dict) for key in each))
        )
        return
    assert value.keys() <= fields.keys()
    texts = [part for part in parts if isinstance(part, str) and part.strip()]
    blocks = json.dumps([each.content for each in value.get("messages", [])], ensure_ascii=False)
    if "messages" in fields:
        assert all(json.dumps(text.strip(), ensure_ascii=False)[1:-1] in blocks for text in texts)
    used: set[str] = set()
    for each in data:
        if fits(each, fields) and not used & each.keys():
            used |= each.keys()
        else:
            assert "messages" in fields, each
            assert json.dumps(json.dumps(each, ensure_ascii=False), ensure_ascii=False)[1:-1] in blocks
    assert used == value.keys() - ({"messages"} if "messages" not in used else set())


@given(LINES)
def test_the_time_is_linear_in_the_parts_and_their_sizes(shape: Shape) -> None:
    graph_input = input_of(compiled(Travel))

    def work(text: str) -> None:
        words = text.split()
        graph_input.of([text, Data({"city": text}), Data({"town": words}), *words, *map(Data, words)], ID)

    assert_linear(work, shape)
