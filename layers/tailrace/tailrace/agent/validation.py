"""Checks data against the types of a graph's schemas, with pydantic, and says what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, Required, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from tailrace.errors import shorten

_CONFIG = ConfigDict(arbitrary_types_allowed=True, extra="forbid")


class Refused(ValueError):
    """A value does not fit. The text names its place and says why, as the rest of a sentence."""


def hints_of(annotated: Any) -> dict[str, Any]:
    """The annotations; none if a name in them cannot be resolved, because only type checkers import it."""
    try:
        return get_type_hints(annotated, include_extras=True)
    except NameError:
        return {}


def required_keys(typed_dict: Any) -> list[str]:
    """The keys that a TypedDict requires. Its own list is wrong in modules with postponed annotations."""
    hints = hints_of(typed_dict)
    required = typed_dict.__required_keys__
    return [
        name
        for name, hint in hints.items()
        if get_origin(hint) is Required or (name in required and get_origin(hint) is not NotRequired)
    ]


def adapter_of_fields(fields: Mapping[str, Any], required: Sequence[str] = ()) -> TypeAdapter[Any] | None:
    """What checks a dict with these fields and no others; None if pydantic cannot check a field's type."""
    hints: dict[str, Any] = {}
    for name, hint in fields.items():
        while get_origin(hint) in (Required, NotRequired):
            hint = hint.__args__[0]
        hints[name] = Required[hint] if name in required else NotRequired[hint]
    return adapter_of(with_config(_CONFIG)(TypedDict("Input", hints)))  # type: ignore[operator]


def adapter_of(kind: Any) -> TypeAdapter[Any] | None:
    """What checks a value of this type; None if pydantic cannot check the type."""
    try:
        return TypeAdapter(kind)
    except Exception:  # Pydantic has an error of its own for each thing that it cannot do.
        return None


def validated(adapter: TypeAdapter[Any], value: Any) -> Any:
    """The value as the type has it.

    Raises:
        Refused: it does not fit.
    """
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(each) for each in first["loc"])
        what = f"`{shorten(place)}`" if place else "it"
        if first["type"] == "missing":
            raise Refused(f"{what} is missing") from None
        raise Refused(f"{what} has value {shorten(repr(first['input']))}, but: {shorten(first['msg'], 200)}") from None
    except Exception as error:  # a validator of the author's raised something else
        raise Refused(f"{type(error).__name__}: {shorten(str(error), 200)}") from None
