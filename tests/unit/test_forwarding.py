"""Where and when what another agent does is shown: below the step that asks it, and while it was asked."""

from __future__ import annotations

from typing import Any

import pytest

from tailrace.a2a.incoming import event_in
from tailrace.a2a.remote_task import AgentEvent
from tailrace.authoring import forwarding
from tailrace.authoring.forwarding import Forwarding
from tailrace.events import EXTENSION, now_ms

ASKED = now_ms() - 60_000


def told(monkeypatch: pytest.MonkeyPatch, *metadata: dict[str, Any], trusted: bool = False) -> list[dict[str, Any]]:
    """What is emitted for events with these metadata."""
    emitted: list[dict[str, Any]] = []
    monkeypatch.setattr(forwarding, "emit", lambda kind, **details: emitted.append({"kind": kind, **details}))
    passing = Forwarding("peer", "ours", me="orchestrator", trusted=trusted, since=ASKED)
    for seq, given in enumerate(metadata, 1):
        update = {"taskId": "t", "status": {"state": "TASK_STATE_WORKING"}, "metadata": {EXTENSION: given}}
        passing.forward("t", AgentEvent(seq, event_in({"statusUpdate": update}, "http://there/")))
    return emitted


@pytest.mark.parametrize(
    ("at", "kept"),
    [(1, False), (ASKED - 1, False), (ASKED + 5, True), (2**53, False)],
    ids=["long ago", "before the request", "after the request", "far in the future"],
)
def test_a_time_at_which_another_agent_was_not_asked_is_not_told(
    monkeypatch: pytest.MonkeyPatch, at: int, kept: bool
) -> None:
    event = {"kind": "progress", "ts": at}
    assert [each["at"] for each in told(monkeypatch, event)] == [at if kept else None]
    assert [each["at"] for each in told(monkeypatch, event, trusted=True)] == [at]


def test_steps_of_another_agent_stand_below_ours_and_in_no_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        {"kind": "node_start", "name": "a", "step": "a", "parent": "nowhere"},
        {"kind": "node_start", "name": "b", "step": "b", "parent": "a"},
        {"kind": "node_start", "name": "a", "step": "a", "parent": "b"},
        {"kind": "node_start", "name": "c", "step": "c", "parent": "c"},
        {"kind": "progress", "parent": "b"},
        {"kind": "progress", "parent": "ours"},
    ]
    placed = [(each["step"], each["parent"]) for each in told(monkeypatch, *steps)]
    assert placed == [
        ("ours/a", "ours"),
        ("ours/b", "ours/a"),
        ("ours/a", "ours"),
        ("ours/c", "ours"),
        (None, "ours/b"),
        (None, "ours"),
    ]
