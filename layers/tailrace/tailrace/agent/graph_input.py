"""A graph's input, made of the message that begins a task.

A graph has either named fields, like the state of a StateGraph, or one value, like the argument of an `@entrypoint`.
LangGraph knows the types of both, and pydantic, which LangGraph brings, checks data against them.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, is_dataclass
from dataclasses import fields as fields_of_dataclass
from functools import cached_property
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langgraph.channels.base import BaseChannel
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel, TypeAdapter
from typing_extensions import is_typeddict

from tailrace.agent.structure import Graph
from tailrace.agent.validation import Refused, adapter_of, adapter_of_fields, hints_of, required_keys, validated
from tailrace.decoding import has_huge_int
from tailrace.errors import Rejected, RequestError, UploadUnknown, shorten
from tailrace.inputs.request import Data, File, Request, content_of

# An author's function from a request to the graph's input.
MakeInput = Callable[[Request], Any]
Parts = Sequence[str | Data | File]

_MESSAGES = "messages"
# The name that LangGraph gives to a state that is one value.
_ROOT = "__root__"
# Maximum length of a list of fields in an error.
_MAX_NAMES = 500
_HUGE_INT = "an integer of more than 64 bits, which must be sent as a text"


class GraphInput(ABC):
    """Makes the input of one graph."""

    @abstractmethod
    def of(self, parts: Parts, message_id: str, *, fresh: bool = True) -> Any:
        """The graph's input for a message with these parts. If it has a chat message, that has the id `message_id`.

        `fresh` says that no earlier task of the conversation has left a state. Then the message has to have all fields
        that the graph needs.

        Raises:
            RequestError: the parts do not fit the graph's input. The message names the field.
        """

    def lacks(self, parts: Parts, error: BaseException) -> str:
        """A sentence for the user if `error` may come from a field that these parts do not give, else an empty text."""
        return ""


def input_of(graph: Graph) -> GraphInput:
    """What makes the input of `graph`, by the graph's input schema."""
    types = {name: each.UpdateType for name, each in graph.channels.items() if isinstance(each, BaseChannel)}
    if isinstance(graph, CompiledStateGraph):
        builder = graph.builder
        schema = builder.input_schema
        fields = {name: types[name] for name in builder.schemas[schema] if name in types}
        if list(fields) == [_ROOT]:
            return _of_type(fields[_ROOT])
        # A TypedDict that is the whole state also has what the graph adds, so a message need not have all of it.
        return Fields(fields, schema, complete=schema is not builder.state_schema)
    if isinstance(graph.input_channels, str):
        kind = types[graph.input_channels]
        return _of_type(_argument_of(graph) if isinstance(kind, str) else kind)
    return Fields({name: types[name] for name in graph.input_channels}, None, complete=False)


@contextmanager
def refusals_reject() -> Iterator[None]:
    """Raise `Rejected` for a request that cannot be used. An upload that has expired fails the task instead."""
    try:
        yield
    except UploadUnknown:
        raise
    except RequestError as error:
        raise Rejected(str(error)) from error


class Fields(GraphInput):
    """The input is a dict of the graph's fields: data parts give fields, and the other parts one chat message.

    If there is a field `messages`, data that does not fit is in the chat message. If there is none, all data has to
    fit, and only nodes see the text and the files, by `tailrace.request()`.

    `schema` is the type that has the `fields`, None if there is none; with `build` the input is a value of that type.
    `complete` says whether a TypedDict without `messages` needs its required fields.
    """

    def __init__(self, fields: Mapping[str, Any], schema: Any, *, complete: bool, build: bool = False) -> None:
        self._fields = fields
        self._schema = schema
        self._build = build
        self._has_messages = _MESSAGES in fields
        self._complete = complete and not self._has_messages
        self._adapters: dict[str, TypeAdapter[Any] | None] = {}

    def of(self, parts: Parts, message_id: str, *, fresh: bool = True) -> Any:
        values: dict[str, Any] = {}
        rest: list[str | Data | File] = []
        for part in parts:
            if not isinstance(part, Data):
                rest.append(part)
                continue
            try:
                values |= self._fitting(part.value, values)
            except Refused as error:
                if not self._has_messages:
                    raise RequestError(f"The data part does not fit this agent's input: {error}.") from None
                rest.append(part)
        if self._has_messages and (rest or not values):
            content, before = content_of(rest), values.get(_MESSAGES, [])
            if isinstance(before, list) and (content or not values):
                values[_MESSAGES] = [*before, _human(content, message_id)]
        return self._whole(values) if fresh or self._build else values

    def lacks(self, parts: Parts, error: BaseException) -> str:
        # A TypedDict that is the whole state is not checked before the run: a node may be what gives the field.
        name = error.args[0] if isinstance(error, KeyError) and error.args else None
        if self._has_messages or not isinstance(name, str) or name not in self._typed_dict_keys:
            return ""
        if any(isinstance(part, Data) and isinstance(part.value, dict) and name in part.value for part in parts):
            return ""
        return f"The message has no data part with `{name}`; the fields of this agent's input are {self._names}."

    def _fitting(self, data: Any, before: dict[str, Any]) -> dict[str, Any]:
        """The values of a data part by field.

        Raises:
            Refused: it does not fit.
        """
        if not isinstance(data, dict):
            raise Refused(f"it has value {shorten(repr(data))}, but must be an object with {self._names}")
        for name in data:
            if name not in self._fields:
                raise Refused(f"`{shorten(name)}` is not one of its fields, which are {self._names}")
            if name in before:
                raise Refused(f"`{name}` is in two data parts")
        return {name: self._checked(name, value) for name, value in data.items()}

    def _checked(self, name: str, value: Any) -> Any:
        if has_huge_int(value):
            raise Refused(f"`{name}` has {_HUGE_INT}")
        adapter = self._adapter(name)
        if adapter is None:
            return value
        try:
            return validated(adapter, {name: value})[name]
        except Refused:
            if name != _MESSAGES or not isinstance(value, list):
                raise
        try:  # As LangGraph does, take messages also by their `role`.
            return validated(adapter, {name: convert_to_messages(value)})[name]
        except Exception:
            raise Refused("`messages` must be a list of messages") from None

    def _adapter(self, name: str) -> TypeAdapter[Any] | None:
        """What checks a value of the field; None if pydantic cannot check the field's type."""
        if name not in self._adapters:
            self._adapters[name] = adapter_of_fields({name: self._fields[name]})
        return self._adapters[name]

    def _whole(self, values: dict[str, Any]) -> Any:
        """The input with these values.

        Raises:
            RequestError: a field is missing, or a pydantic model refuses the values together.
        """
        for name in self._required:
            if name not in values:
                raise RequestError(f"The message must have a data part with `{name}`; this agent's input needs it.")
        try:
            whole = validated(self._schema_adapter, values) if self._schema_adapter else values
        except Refused as error:
            raise RequestError(f"The message does not fit this agent's input: {error}.") from None
        return whole if self._build else values

    @cached_property
    def _schema_adapter(self) -> TypeAdapter[Any] | None:
        """What checks all values together. Of a state's types, LangGraph itself checks only pydantic models so."""
        is_model = isinstance(self._schema, type) and issubclass(self._schema, BaseModel)
        return adapter_of(self._schema) if is_model or self._build else None

    @cached_property
    def _required(self) -> list[str]:
        schema = self._schema
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            return [name for name, each in schema.model_fields.items() if each.is_required() and name in self._fields]
        if is_dataclass(schema):
            defaults = {each.name: (each.default, each.default_factory) for each in fields_of_dataclass(schema)}
            return [name for name in self._fields if defaults.get(name) == (MISSING, MISSING)]
        return self._typed_dict_keys if self._complete else []

    @cached_property
    def _typed_dict_keys(self) -> list[str]:
        """The fields that the schema requires, if it is a TypedDict."""
        return (
            [name for name in required_keys(self._schema) if name in self._fields] if is_typeddict(self._schema) else []
        )

    @property
    def _names(self) -> str:
        return shorten(", ".join(f"`{name}`" for name in self._fields), _MAX_NAMES) or "none"


class Value(GraphInput):
    """The input is one value of the type `kind`: the data part, or else what fits of the text, the chat message, a list
    of that, and a dict with `messages`.
    """

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def of(self, parts: Parts, message_id: str, *, fresh: bool = True) -> Any:
        data = [part.value for part in parts if isinstance(part, Data)]
        if len(data) > 1:
            raise RequestError(f"The message has {len(data)} data parts, but this agent takes one.")
        if data:
            try:
                if has_huge_int(data[0]):
                    raise Refused(f"it has {_HUGE_INT}")
                return self._fitting(data[0])
            except Refused as error:
                raise RequestError(f"The data part does not fit this agent's input: {error}.") from None
        message = _human(content_of(parts), message_id)
        text = "\n".join(part for part in parts if isinstance(part, str)).strip()
        refusals: list[Refused] = []
        for candidate in (text, message, [message], {_MESSAGES: [message]}):
            try:
                fitting = self._fitting(candidate)
            except Refused as error:
                refusals.append(error)
                continue
            # For a `list` pydantic takes the message apart, into its fields.
            if candidate is not message or isinstance(fitting, BaseMessage):
                return fitting
        raise RequestError(f"The message must have a data part that fits this agent's input: {refusals[0]}.")

    def _fitting(self, value: Any) -> Any:
        return value if self._adapter is None else validated(self._adapter, value)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any] | None:
        if is_typeddict(self._kind) and (hints := hints_of(self._kind)):
            return adapter_of_fields(hints, required_keys(self._kind))
        return adapter_of(self._kind)


def _human(content: Any, message_id: str) -> HumanMessage:
    return HumanMessage(content, id=message_id)


def _of_type(kind: Any) -> GraphInput:
    """What makes a value of the type `kind`."""
    has_fields = is_typeddict(kind) or is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))
    if has_fields and _MESSAGES in (hints := hints_of(kind)):
        return Fields(hints, kind, complete=False, build=not is_typeddict(kind))
    return Value(kind)


def _argument_of(graph: Graph) -> Any:
    """The type of an entrypoint's argument. In a module with postponed annotations LangGraph knows only its name."""
    (node,) = graph.nodes.values()
    bound: Any = node.bound
    function = inspect.unwrap(bound.afunc or bound.func)
    argument = next(iter(inspect.signature(function).parameters))
    return hints_of(function).get(argument, Any)
