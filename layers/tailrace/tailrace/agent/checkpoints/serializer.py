"""Checkpoints as bytes, in LangGraph's format. Only types that the graph names are read.

Without a list of types, LangGraph's serializer imports and calls whatever a checkpoint names, even `os.system`. So
anybody who can write an item could run code here. With a list, it replaces a value of any other type by its fields,
which is not the state that was saved. This serializer refuses such a checkpoint.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import EXT_NUMPY_ARRAY, EXT_PYDANTIC_V2, JsonPlusSerializer
from langgraph.types import Send
from pydantic import BaseModel

from tailrace.errors import CheckpointRefused, StateUnsaveable
from tailrace.events import culprit_in

logger = logging.getLogger("tailrace.checkpoints")

# What LangChain's agents hand on as data. LangGraph's list of safe types has only its messages and documents.
_LANGCHAIN = {("langchain_core.agents", name) for name in ("AgentAction", "AgentFinish", "AgentStep")}

# Stands for an array of numpy's that LangGraph writes, but cannot read.
_LOST = ("numpy", "ndarray")

# What is said of a value whose type alone does not say why it has no form in a checkpoint.
_ODD_KINDS = {
    "int": "int with more than 64 bits",
    "numpy.ndarray": "numpy.ndarray with other items than numbers and texts",
}

# The kinds that this serializer writes. LangGraph's older kinds `json` and `pickle` call what they name.
_KINDS = ("null", "bytes", "bytearray", "msgpack")

_refused: ContextVar[list[str] | None] = ContextVar("tailrace_refused", default=None)


class StrictSerializer(JsonPlusSerializer):
    """Reads values of `types`, and of the types that LangGraph considers safe. A number of numpy's becomes Python's."""

    def __init__(self, types: Iterable[type] = ()) -> None:
        names = _LANGCHAIN | {(each.__module__, each.__name__) for each in types}
        super().__init__(pickle_fallback=False, allowed_json_modules=None, allowed_msgpack_modules=names)
        self._unread: set[tuple[str, str]] = set()

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Encode `obj`. A type that could not be read again is logged as a warning, once.

        Raises:
            StateUnsaveable: a value in it has no form in a checkpoint.
        """
        try:
            kind, data, names = self._encode(obj)
        except (TypeError, ValueError):
            with contextlib.suppress(RecursionError):  # a list that holds itself
                obj = _with_numbers(obj)
            try:
                kind, data, names = self._encode(obj)
            except (TypeError, ValueError):
                raise self._refusal(obj) from None
        for module, name in sorted(names - SAFE_MSGPACK_TYPES - self._names - self._unread):
            self._unread.add((module, name))
            logger.warning("If this run is resumed, it will fail: %s", _unnamed(f"{module}.{name}"))
        return kind, data

    def _encode(self, obj: Any) -> tuple[str, bytes, set[tuple[str, str]]]:
        """LangGraph's encoding of the value, and the types in it.

        Raises:
            TypeError, ValueError: a value in it has no form in a checkpoint.
        """
        kind, data = super().dumps_typed(obj)
        names = _names(data) if kind == "msgpack" else set()
        if _LOST in names:
            raise TypeError("an array of objects would be read as None, and one of records without their names")
        return kind, data, names

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Decode what `dumps_typed` made.

        Raises:
            CheckpointRefused: the data name a type that is not allowed, or are of a kind that is never written here.
        """
        kind, _ = data
        if kind not in _KINDS:
            raise CheckpointRefused(f"it has a value of kind {kind!r}, which Tailrace never writes")
        with _recording() as refused:
            value = super().loads_typed(data)
        if refused:
            raise CheckpointRefused(_unnamed(refused[0]))
        return value

    def _refusal(self, obj: Any) -> StateUnsaveable:
        if isinstance(obj, list) and all(isinstance(each, list | tuple) and len(each) == 2 for each in obj):
            obj = {str(channel): value for channel, value in obj}  # what a node has returned
        path, kind = culprit_in(obj, self._encode)
        kind = _ODD_KINDS.get(kind, kind)
        return StateUnsaveable(path.removeprefix(".channel_values"), kind)

    @property
    def _names(self) -> set[Any]:
        return self._allowed_msgpack_modules if isinstance(self._allowed_msgpack_modules, set) else set()


def _unnamed(name: str) -> str:
    return (
        f"the state holds a value of type {name}, which the graph does not name. Name the type in the annotations of "
        f"the state, at the top level of a module, or keep dicts, lists, texts and numbers in the state instead"
    )


def _with_numbers(value: Any) -> Any:
    """The value with Python's numbers in place of numpy's, which have no form in a checkpoint."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.number | numpy.bool_):
        return value.item()
    if isinstance(value, dict):
        return {_with_numbers(key): _with_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return list(map(_with_numbers, value))
    if type(value) in (tuple, set, frozenset, deque):
        return type(value)(map(_with_numbers, value))
    if isinstance(value, Send):
        return Send(value.node, _with_numbers(value.arg), timeout=value.timeout)
    if isinstance(value, BaseModel):
        return value.model_copy(update=_with_numbers(dict(value)))
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return type(value)(*map(_with_numbers, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        copied = copy.copy(value)
        for field in dataclasses.fields(value):  # set like this because the class may be frozen
            object.__setattr__(copied, field.name, _with_numbers(getattr(value, field.name)))
        return copied
    return value


def _names(data: bytes) -> set[tuple[str, str]]:
    """The module and name of each type in msgpack data, and `_LOST`. No value is constructed."""
    names: set[tuple[str, str]] = set()

    def note(code: int, inner: bytes) -> Any:
        value = ormsgpack.unpackb(inner, ext_hook=note, option=ormsgpack.OPT_NON_STR_KEYS)
        if code <= EXT_PYDANTIC_V2:
            names.add((value[0], value[1]))
        elif code == EXT_NUMPY_ARRAY and value[0][1] in "OV":
            names.add(_LOST)
        return ""

    ormsgpack.unpackb(data, ext_hook=note, option=ormsgpack.OPT_NON_STR_KEYS)
    return names


@contextlib.contextmanager
def _recording() -> Iterator[list[str]]:
    """Collect the names that LangGraph refuses inside the block."""
    refused: list[str] = []
    token = _refused.set(refused)
    try:
        yield refused
    finally:
        _refused.reset(token)


def _record_refusal(event: SerdeEvent) -> None:
    refused = _refused.get()
    if refused is not None and event["kind"].endswith("blocked"):
        refused.append(".".join([event["module"], event["name"], *([event["method"]] if "method" in event else [])]))


register_serde_event_listener(_record_refusal)
