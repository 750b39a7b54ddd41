"""Which of an author's types may be read from a graph's checkpoints.

A checkpoint names the types of its values, and reading it calls them. So only types that the graph itself names are
read: those in the annotations of its states, channels and nodes, and in the code of its nodes. All of them are plain
data: dataclasses, pydantic models, enums and named tuples.

LangGraph has such a list for its strict mode. This one has more, because real states contain more than LangGraph finds:
`Sequence[Finding]`, named tuples, subclasses of an annotated type, values that a node puts into an `Any`, and the
`response_format` of `create_agent`, which no annotation names.
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

from langchain_core.runnables import Runnable
from langgraph.pregel import Pregel

from tailrace.agent.structure import Graph, subgraphs_of

# LangGraph's own list decides about the types of these packages.
_FRAMEWORKS = frozenset(
    {"builtins", "langchain", "langchain_classic", "langchain_core", "langgraph", "langsmith", "pydantic"}
)


def types_of(graph: Graph) -> set[type]:
    """The data types that `graph` and the graphs in it name, and that can be imported by their names."""
    data_types: set[type] = set()
    in_code: set[type] = set()
    functions: set[int] = set()
    graphs = [graph, *subgraphs_of(graph).values()]
    for each in graphs:
        seen: dict[int, Any] = {}
        for annotation in _annotations(each):
            _collect(annotation, data_types, seen)
        for function in _functions(each):
            for used in _used(function, functions):
                if isinstance(used, Pregel):  # a tool's own agent, for example
                    graphs += [] if any(used is known for known in graphs) else [used]
                elif _is_data(used) or typing.get_origin(used) is not None:  # a type, or a form like `A | B`
                    _collect(used, in_code, seen)
                elif _is_data(type(used)) and not isinstance(used, Runnable):  # a value, like a module's `DEFAULTS`
                    _collect(type(used), in_code, seen)
    data_types |= {each for each in in_code if _package(each) not in _FRAMEWORKS}
    return {each for each in data_types if _importable(each)}


def _annotations(graph: Any) -> Iterator[Any]:
    """The annotations of the graph's channels, schemas and branches."""
    for channel in graph.channels.values():
        yield getattr(channel, "ValueType", None)
        yield getattr(channel, "UpdateType", None)
    if builder := getattr(graph, "builder", None):
        yield from builder.schemas
        for branches in builder.branches.values():
            yield from (branch.input_schema for branch in branches.values())


def _functions(graph: Any) -> Iterator[Any]:
    """The functions of the graph's nodes, and of the tools in them."""
    builder = getattr(graph, "builder", None)
    nodes = [spec.runnable for spec in builder.nodes.values()] if builder else [n.bound for n in graph.nodes.values()]
    for node in nodes:
        yield from (getattr(node, name, None) for name in ("func", "afunc"))
        for tool in getattr(node, "tools_by_name", {}).values():
            yield from (getattr(tool, name, None) for name in ("func", "coroutine"))


def _used(function: Any, seen: set[int]) -> Iterator[Any]:
    """The values that a function's code names, and those that functions which it calls name: those of the same package
    in their code, the others in their annotations.
    """
    functions = [function]
    for each in functions:
        while isinstance(each, functools.partial):
            each = each.func
        # What it calls on `self`; an object may be a function itself.
        owner = getattr(each, "__self__", None if isinstance(each, types.FunctionType) else each)
        each = getattr(each, "__func__", each)
        each = inspect.unwrap(each if isinstance(each, types.FunctionType) else type(each).__call__)
        if not isinstance(each, types.FunctionType) or id(each) in seen:
            continue
        seen.add(id(each))
        for value in (*_named(each, owner), *_hints(each).values()):
            yield value
            if isinstance(value, dict):  # deepagents keeps its subagents in one
                yield from (inner for inner in value.values() if isinstance(inner, Pregel))
            # A `response_format`, a tool's arguments.
            yield inspect.getattr_static(value, "schema", None) if not isinstance(value, type) else None
            # A `@task`, or a function of the author's too.
            called = getattr(value, "func", value) if type(value).__module__.startswith("langgraph.") else value
            if getattr(called, "__module__", None) == each.__module__:
                functions.append(called)
            elif _package(each) in _FRAMEWORKS:
                continue
            elif _package(called) == _package(each):
                functions.append(called)
            elif inspect.isfunction(called):
                yield from _hints(called).values()


def _named(function: types.FunctionType, owner: Any) -> list[Any]:
    """What the names in a function's code stand for: in its module, in modules, on `owner`, and in its closure."""
    codes = [function.__code__]
    for code in codes:
        codes.extend(each for each in code.co_consts if isinstance(each, types.CodeType))
    names = {name for code in codes for name in code.co_names}
    values = [function.__globals__[name] for name in names if name in function.__globals__]
    for module in [each for each in values if isinstance(each, types.ModuleType)]:
        values += [vars(module)[name] for name in names if name in vars(module)]
    values += [getattr(owner, name) for name in names if inspect.isfunction(getattr(type(owner), name, None))]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:
            continue  # The cell is still empty.
    return values


def _package(of: Any) -> str:
    return str(getattr(of, "__module__", None) or "").partition(".")[0]


def _collect(annotation: Any, data_types: set[type], seen: dict[int, Any]) -> None:
    """Add the data types that an annotation names, and those that their fields name.

    `seen` also keeps the annotations alive: many are made here, and a new object may get the id of a deleted one.
    """
    if annotation is None or isinstance(annotation, str) or id(annotation) in seen:
        return
    seen[id(annotation)] = annotation
    if isinstance(annotation, TypeVar):
        for each in (annotation.__bound__, *annotation.__constraints__):
            _collect(each, data_types, seen)
    elif (named := getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)) is not None:
        _collect(named, data_types, seen)  # NewType, `type X = …`
    elif (origin := typing.get_origin(annotation)) is not None:
        _collect(origin, data_types, seen)
        for each in [] if origin is typing.Literal else typing.get_args(annotation):
            _collect(each, data_types, seen)
    elif isinstance(annotation, type):
        if _is_data(annotation):
            data_types.add(annotation)
            for each in _subclasses(annotation):
                _collect(each, data_types, seen)
        if annotation.__module__ != "builtins":
            for each in _hints(annotation).values():
                _collect(each, data_types, seen)


def _subclasses(of: type) -> list[type]:
    """The subclasses that a value annotated as `of` may have; none for types of frameworks and for enum's own."""
    return [] if of.__module__.partition(".")[0] in _FRAMEWORKS or of.__module__ == "enum" else of.__subclasses__()


def _is_data(value: Any) -> bool:
    """Whether `value` is a type whose values consist of their fields."""
    return isinstance(value, type) and (
        dataclasses.is_dataclass(value)
        or issubclass(value, enum.Enum)
        or (issubclass(value, tuple) and hasattr(value, "_fields"))
        or (hasattr(value, "model_fields") and hasattr(value, "model_validate"))  # pydantic 2
        or (hasattr(value, "__fields__") and hasattr(value, "parse_obj"))  # pydantic 1
    )


def _importable(kind: type) -> bool:
    """Whether Python finds the type by its module and name, which is all that a checkpoint says about a type."""
    return getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind


def _hints(of: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(of)
    except Exception:  # Names that only type checkers import cannot be resolved.
        return dict(getattr(of, "__annotations__", None) or {})
