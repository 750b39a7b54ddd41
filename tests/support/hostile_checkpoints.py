"""Checkpoint items that an attacker could write: a lenient serializer runs code when it reads them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer


class Crafted(JsonPlusSerializer):
    """A serializer that saves a crafted value in place of every other one."""

    def __init__(self, kind: str, data: bytes) -> None:
        super().__init__()
        self._crafted = kind, data

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return self._crafted


def _ext(code: int, *value: Any) -> bytes:
    return ormsgpack.packb({"channel_values": {"x": ormsgpack.Ext(code, ormsgpack.packb(value))}})


class _Touching:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def crafted(path: Path) -> dict[str, tuple[str, bytes]]:
    """Values of different kinds that create the file `path` when they are read."""
    command = f"touch '{path}'"
    lc2 = {"lc": 2, "type": "constructor", "id": ["os", "system"], "args": [command]}
    return {
        "a function of one argument": ("msgpack", _ext(0, "os", "system", command)),
        "a function of several arguments": ("msgpack", _ext(1, "os", "system", [command])),
        "a function of named arguments": ("msgpack", _ext(2, "subprocess", "run", {"args": command, "shell": True})),
        "a method": ("msgpack", _ext(3, "pathlib", "Path", str(path), "touch")),
        "a pydantic 1 model": ("msgpack", _ext(4, "subprocess", "run", {"args": command, "shell": True})),
        "a pydantic 2 model": ("msgpack", _ext(5, "subprocess", "run", {"args": command, "shell": True})),
        "JSON of LangChain": ("json", json.dumps(lc2).encode()),
        "a pickle": ("pickle", pickle.dumps(_Touching(path))),
    }
