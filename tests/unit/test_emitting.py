"""`progress` tests its arguments by a short way; it takes and refuses what `emit` does."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tailrace import progress
from tailrace.authoring import emit
from tailrace.authoring.emission import EmittedStatus

_LARGEST = 2**53


class Text(str):
    pass


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"done": 0},
        {"done": 1.5, "total": _LARGEST},
        {"done": -_LARGEST, "total": None},
        {"done": _LARGEST + 1},
        {"total": -_LARGEST - 1},
        {"done": float("inf")},
        {"done": True},
        {"done": "3"},
        {"total": Decimal(3)},
        {"text": Text("comparing")},
        {"text": None},
        {"text": 3},
        {"text": b"comparing"},
        {"text": "a lone \ud800 surrogate"},
    ],
    ids=repr,
)
def test_progress_takes_and_refuses_what_emit_does(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[EmittedStatus] = []
    monkeypatch.setattr(emit, "send", sent.append)
    given = {"text": "comparing", **given}

    def outcome(*, shortly: bool) -> str:
        try:
            progress(**given) if shortly else emit.emit("progress", **given)
        except ValueError as error:
            return str(error)
        return repr(sent.pop()).replace("\\ud800", "?")  # it becomes one when the event is encoded, if not before

    assert outcome(shortly=True) == outcome(shortly=False)
