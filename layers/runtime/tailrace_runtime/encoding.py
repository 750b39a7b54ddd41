"""JSON as the managed runtime writes it: characters stand for themselves, in UTF-8."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def to_json(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    r"""`value` as JSON in UTF-8. NaN and the infinities are written as `NaN`, `Infinity` and `-Infinity`.

    Characters are not escaped: `\u20ac` has six bytes, and Lambda counts bytes against its limit of 6 MB. Half of a
    surrogate pair has no UTF-8 and is escaped. Python's own escape for it is JSON's.

    Raises:
        TypeError: there is no JSON for it.
        ValueError: it holds itself.
        RecursionError: it is nested too deep.
    """
    return json.dumps(value, ensure_ascii=False, default=default).encode(errors="backslashreplace")
