"""JSON as the managed runtime writes it: UTF-8, without escapes for characters beyond ASCII."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def to_json(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    r"""Return `value` as JSON in UTF-8. NaN and the infinities become `NaN`, `Infinity` and `-Infinity`.

    Characters are not escaped: `\u20ac` has six bytes, and Lambda's limit of 6 MB counts bytes. Half of a surrogate
    pair has no UTF-8 and is escaped, the same way in Python and in JSON. `default` is as for `json.dumps`.

    Raises:
        TypeError: it contains a value of a type that JSON does not have.
        ValueError: it contains itself.
        RecursionError: it is nested too deeply.
    """
    return json.dumps(value, ensure_ascii=False, default=default).encode(errors="backslashreplace")
