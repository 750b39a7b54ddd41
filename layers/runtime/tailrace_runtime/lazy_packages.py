"""Packages that run when a name of theirs is used, and not already when one of their modules is imported.

`langgraph.graph` needs one module of each, with a type. The packages themselves import 240 other modules: pydantic
models of all that LangSmith's API has, and clients of LangGraph's server.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any

_PACKAGES = frozenset({"langgraph_sdk", "langsmith.types"})


class LazyPackages(MetaPathFinder):
    """Finds these packages where Python does, and has them wait."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _OnFirstUse(spec.loader)
        return spec


class _OnFirstUse(Loader):
    """Runs a package when it is asked for a name that it does not have yet.

    `importlib.util.LazyLoader` would run it for its `__path__`, which the import of each of its modules asks for.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__loader__ = module.__spec__.loader = self._loader
        lock = RLock()
        runs = False

        def missing(name: str) -> Any:
            nonlocal runs
            with lock:
                if not runs:
                    runs = True
                    try:
                        self._loader.exec_module(module)
                    except BaseException:
                        runs = False
                        raise
            names = vars(module)
            if name in names:
                return names[name]
            if (own := names["__getattr__"]) is not missing:  # the package finds some of its names itself
                return own(name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        vars(module)["__getattr__"] = missing


_LAZY_PACKAGES = LazyPackages()


def set_up() -> None:
    """Let these packages wait in all later imports."""
    if _LAZY_PACKAGES not in sys.meta_path:
        sys.meta_path.insert(0, _LAZY_PACKAGES)
