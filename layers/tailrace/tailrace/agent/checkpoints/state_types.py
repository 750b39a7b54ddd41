"""Which of an author's types may stand in the checkpoints of a graph.

A checkpoint names the types of its values, and reading one calls what it names. So only types are read that the
graph itself names: in the annotations of its states, channels and nodes, or in the code of its nodes. All are plain
data: dataclasses, pydantic models, enums and named tuples.

LangGraph has such a list too, for its strict mode. Here is more, since states in use hold more than it finds:
`Sequence[Finding]`, named tuples, subclasses of the type that an annotation names, what a node puts into an `Any`, and
the `response_format` of `create_agent`, which no annotation names.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

from langgraph.pregel import Pregel

# What these packages have of their own is for LangGraph's own list to decide.
_FRAMEWORKS = frozenset({"builtins", "langchain", "langchain_classic", "langchain_core", "langgraph", "pydantic"})


def types_of(graph: Pregel[Any, Any, Any, Any]) -> set[type]:
    """The data types that `graph` and its subgraphs name. A type that cannot be imported by its name is none."""
    found: set[type] = set()
    for each in (graph, *(subgraph for _, subgraph in graph.get_subgraphs(recurse=True))):
        seen: dict[int, Any] = {}
        for annotation in _annotations(each):
            _collect(annotation, found, seen)
        for function in _functions(each):
            for used in _used(function, set()):
                if _is_data(used) and used.__module__.partition(".")[0] not in _FRAMEWORKS:
                    _collect(used, found, seen)
    return {each for each in found if _importable(each)}


def _annotations(graph: Any) -> Iterator[Any]:
    """The types of everything that the graph passes on."""
    for channel in graph.channels.values():
        yield getattr(channel, "ValueType", None)
        yield getattr(channel, "UpdateType", None)
    if builder := getattr(graph, "builder", None):
        yield from builder.schemas
        for branches in builder.branches.values():
            yield from (branch.input_schema for branch in branches.values())


def _functions(graph: Any) -> Iterator[Any]:
    """What the graph's nodes call."""
    builder = getattr(graph, "builder", None)
    nodes = [spec.runnable for spec in builder.nodes.values()] if builder else [n.bound for n in graph.nodes.values()]
    for node in nodes:
        yield from (getattr(node, name, None) for name in ("func", "afunc"))


def _used(function: Any, seen: set[int]) -> Iterator[Any]:
    """What a function names in its code, and the functions of its module that it calls in theirs."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(getattr(function, "__func__", function))
    if not isinstance(function, types.FunctionType) or id(function) in seen:
        return
    seen.add(id(function))
    codes = [function.__code__]
    for code in codes:
        codes.extend(each for each in code.co_consts if isinstance(each, types.CodeType))
    names = {name for code in codes for name in code.co_names}
    values = [function.__globals__[name] for name in names if name in function.__globals__]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:
            continue  # nothing is in it yet
    for value in (*values, *_hints(function).values()):
        yield value
        # A `response_format`, a tool's arguments.
        yield inspect.getattr_static(value, "schema", None) if not isinstance(value, type) else None
        # A `@task`, or a function beside this one.
        called = getattr(value, "func", value) if type(value).__module__.startswith("langgraph.") else value
        if getattr(called, "__module__", None) == function.__module__:
            yield from _used(called, seen)


def _collect(annotation: Any, found: set[type], seen: dict[int, Any]) -> None:
    """Add the data types that an annotation names, and those that their fields name.

    `seen` keeps the annotations: many are made for one look, and the id of a lost one is given to the next.
    """
    if annotation is None or isinstance(annotation, str) or id(annotation) in seen:
        return
    seen[id(annotation)] = annotation
    if isinstance(annotation, TypeVar):
        for each in (annotation.__bound__, *annotation.__constraints__):
            _collect(each, found, seen)
    elif (named := getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)) is not None:
        _collect(named, found, seen)  # NewType, `type X = …`
    elif (origin := typing.get_origin(annotation)) is not None:
        _collect(origin, found, seen)
        for each in [] if origin is typing.Literal else typing.get_args(annotation):
            _collect(each, found, seen)
    elif isinstance(annotation, type):
        if _is_data(annotation):
            found.add(annotation)
            for each in _subclasses(annotation):
                _collect(each, found, seen)
        if annotation.__module__ != "builtins":
            for each in _hints(annotation).values():
                _collect(each, found, seen)


def _subclasses(of: type) -> list[type]:
    """What else a value may be that is annotated as `of`; nothing, if that says nothing of it."""
    return [] if of.__module__.partition(".")[0] in _FRAMEWORKS or of.__module__ == "enum" else of.__subclasses__()


def _is_data(value: Any) -> bool:
    """Whether it is a type whose values are made of nothing but their fields."""
    return isinstance(value, type) and (
        dataclasses.is_dataclass(value)
        or issubclass(value, enum.Enum)
        or (issubclass(value, tuple) and hasattr(value, "_fields"))
        or (hasattr(value, "model_fields") and hasattr(value, "model_validate"))  # pydantic 2
        or (hasattr(value, "__fields__") and hasattr(value, "parse_obj"))  # pydantic 1
    )


def _importable(kind: type) -> bool:
    """Whether the type's name leads to it, which is all that a checkpoint has of it."""
    return getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind


def _hints(of: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(of)
    except Exception:  # names that are there for type checkers only
        return dict(getattr(of, "__annotations__", None) or {})
