"""Checkpoints as bytes: LangGraph's own form, of which nothing is read that the graph does not name.

Without a list of types, LangGraph's serializer imports and calls whatever a checkpoint names, `os.system` too: whoever
can write an item can then run code here. With one it leaves out what is not listed and goes on with the bare fields,
which is not the state that was saved. This one refuses the checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import EXT_PYDANTIC_V2, JsonPlusSerializer

from tailrace.errors import CheckpointRefused

logger = logging.getLogger("tailrace.checkpoints")

# What this one writes. LangGraph's older `json`, and `pickle`, call what they name.
_KINDS = ("null", "bytes", "bytearray", "msgpack")

_refused: ContextVar[list[str] | None] = ContextVar("tailrace_refused", default=None)


class StrictSerializer(JsonPlusSerializer):
    """Reads the values of `types`, and what LangGraph itself takes for safe."""

    def __init__(self, types: Iterable[type] = ()) -> None:
        names = {(each.__module__, each.__name__) for each in types}
        super().__init__(pickle_fallback=False, allowed_json_modules=None, allowed_msgpack_modules=names)
        self._unread: set[tuple[str, str]] = set()

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """`obj` as bytes. The log warns of a type that could not be read again, once."""
        kind, data = super().dumps_typed(obj)
        if kind == "msgpack":
            for module, name in sorted(_names(data) - SAFE_MSGPACK_TYPES - self._names - self._unread):
                self._unread.add((module, name))
                logger.warning("A run that is resumed will fail: %s", _unnamed(f"{module}.{name}"))
        return kind, data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """What `dumps_typed` was given.

        Raises:
            CheckpointRefused: it names a type that is not listed, or is of a kind that is not written here.
        """
        kind, _ = data
        if kind not in _KINDS:
            raise CheckpointRefused(f"it has a value of kind {kind!r}, which Tailrace never writes")
        with _noting() as refused:
            value = super().loads_typed(data)
        if refused:
            raise CheckpointRefused(_unnamed(refused[0]))
        return value

    @property
    def _names(self) -> set[Any]:
        return self._allowed_msgpack_modules if isinstance(self._allowed_msgpack_modules, set) else set()


def _unnamed(name: str) -> str:
    return (
        f"the state holds a value of type {name}, which the graph does not name. Name the type in the annotations of "
        f"the state, at the top level of a module, or keep dicts, lists, texts and numbers in the state instead"
    )


def _names(data: bytes) -> set[tuple[str, str]]:
    """The types that msgpack names, by module and name. None of them is made."""
    found: set[tuple[str, str]] = set()

    def note(code: int, inner: bytes) -> Any:
        value = ormsgpack.unpackb(inner, ext_hook=note, option=ormsgpack.OPT_NON_STR_KEYS)
        if code <= EXT_PYDANTIC_V2:
            found.add((value[0], value[1]))
        return ""

    ormsgpack.unpackb(data, ext_hook=note, option=ormsgpack.OPT_NON_STR_KEYS)
    return found


@contextlib.contextmanager
def _noting() -> Iterator[list[str]]:
    """A list that gets what is refused in the block."""
    refused: list[str] = []
    token = _refused.set(refused)
    try:
        yield refused
    finally:
        _refused.reset(token)


def _note(event: SerdeEvent) -> None:
    refused = _refused.get()
    if refused is not None and event["kind"].endswith("blocked"):
        refused.append(".".join([event["module"], event["name"], *([event["method"]] if "method" in event else [])]))


register_serde_event_listener(_note)
