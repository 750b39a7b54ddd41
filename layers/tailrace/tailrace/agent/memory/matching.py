"""Which items a search chooses, and which namespaces a list, as in LangGraph's own stores."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langgraph.store.base import MatchCondition

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def fits(value: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """Whether an item's value has what a search's `filter` wants: equal values, or `{"$gt": 1}` and the like.

    Raises:
        ValueError: an operator is unknown.
    """
    return all(_fits(value.get(key), wanted) for key, wanted in conditions.items())


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping) and any(key.startswith("$") for key in wanted):
        return all(_compare(value, name, than) for name, than in wanted.items())
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and fits(value, wanted)
    return bool(value == wanted)


def _compare(value: Any, name: str, than: Any) -> bool:
    if name not in _COMPARE:
        raise ValueError(f"The filter has the operator {name!r}, but it must be one of {', '.join(_COMPARE)}.")
    try:
        return bool(_COMPARE[name](value, than))
    except TypeError:
        return False  # The value is missing, or of another type: it is not greater, and not less.


def matches(namespace: Sequence[str], condition: MatchCondition) -> bool:
    """Whether the namespace begins (`prefix`) or ends (`suffix`) with the condition's labels; "*" is any label."""
    labels = condition.path
    if len(namespace) < len(labels):
        return False
    part = namespace[: len(labels)] if condition.match_type == "prefix" else namespace[len(namespace) - len(labels) :]
    return all(wanted in ("*", label) for wanted, label in zip(labels, part, strict=True))
