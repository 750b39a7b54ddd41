"""The stored form of an event, key for key as docs/PROTOCOL.md, section 2, has it, and the decoder that reads it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import EventUnreadable
from tailrace.events import (
    EXTENSION,
    DelegatedTask,
    Details,
    Metadata,
    Origin,
    Part,
    Source,
    Target,
    artifact_update,
    decode,
    ends,
    state_of,
    status_update,
    submitted,
)
from tests.support.events import message_of

SOURCE = Source("t", "c", "me", 2)


def stored(event: bytes) -> tuple[Any, dict[str, Any]]:
    """The event's JSON without its times, and our metadata of it."""
    form = json.loads(event)
    (update,) = form.values()
    metadata = update.pop("metadata")[EXTENSION]
    assert isinstance(metadata.pop("ts"), int)
    if "status" in update:
        assert update["status"].pop("timestamp").endswith("Z")
    return form, metadata


def test_event_1_is_the_task_with_the_users_message() -> None:
    message = message_of({"text": "hi"}, {"data": None}, {"url": "urn:x", "filename": "f", "mediaType": "text/csv"})
    form, metadata = stored(submitted(SOURCE, message))
    assert form == {
        "task": {
            "id": "t",
            "contextId": "c",
            "status": {"state": "TASK_STATE_SUBMITTED"},
            "history": [
                {
                    "messageId": "m",
                    "role": "ROLE_USER",
                    "parts": [
                        {"text": "hi"},
                        {"data": None},
                        {"url": "urn:x", "filename": "f", "mediaType": "text/csv"},
                    ],
                }
            ],
        }
    }
    assert metadata == {"seq": 1, "attempt": 2, "agent": "me", "kind": "state"}


def test_a_status_update_has_the_text_as_the_agents_message() -> None:
    form, metadata = stored(status_update(SOURCE, 5, "progress", Details(step="s", done=1, total=2.5), text="half"))
    assert form == {
        "statusUpdate": {
            "taskId": "t",
            "contextId": "c",
            "status": {
                "state": "TASK_STATE_WORKING",
                "message": {
                    "messageId": "t-5",
                    "taskId": "t",
                    "contextId": "c",
                    "role": "ROLE_AGENT",
                    "parts": [{"text": "half"}],
                },
            },
        }
    }
    assert metadata == {
        "seq": 5, "attempt": 2, "agent": "me", "kind": "progress", "step": "s", "done": 1, "total": 2.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("details", "keys"),
    [
        (Details(name="n", interrupted=True), {"name": "n", "interrupted": True}),
        (Details(targets=[Target("a", "why")]), {"targets": [{"agent": "a", "reason": "why"}]}),
        (Details(asked=DelegatedTask("u", "x", since=9)), {"asked": {"url": "u", "task": "x", "since": 9}}),
        (Details(origin=Origin("x", 7), at=5), {"origin": {"task": "x", "seq": 7}, "at": 5}),
        (Details(reason="handoff", supersedes=[]), {"reason": "handoff", "supersedes": []}),
        (Details(checkpoint="k", checkpoints={"": "1"}), {"checkpoint": "k", "checkpoints": {"": "1"}}),
    ],
)
def test_a_detail_without_a_value_is_left_out(details: Details, keys: dict[str, Any]) -> None:
    _, metadata = stored(status_update(SOURCE, 5, "progress", details, agent="other"))
    assert metadata == {"seq": 5, "attempt": 2, "agent": "other", "kind": "progress", **keys}


def test_an_artifact_update_has_one_part_and_says_whether_it_is_added() -> None:
    form, metadata = stored(artifact_update(SOURCE, 6, "token", "report", Part(text="x"), step="s", parent="p"))
    assert form == {
        "artifactUpdate": {
            "taskId": "t",
            "contextId": "c",
            "artifact": {"artifactId": "report", "name": "report", "parts": [{"text": "x"}]},
            "append": False,
            "lastChunk": False,
        }
    }
    assert metadata == {"seq": 6, "attempt": 2, "agent": "me", "kind": "token", "step": "s", "parent": "p"}


texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=9)
counts = st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
details = st.builds(
    Details,
    step=texts,
    parent=texts,
    name=texts,
    done=counts,
    total=counts,
    input=texts,
    output=texts,
    error=texts,
    reason=texts,
    supersedes=st.none() | st.lists(st.text(st.characters(codec="utf-8"))),
    at=st.none() | st.integers(0, 2**53),
    interrupted=st.none() | st.booleans(),
    targets=st.none() | st.lists(st.builds(Target, st.just("a"), st.just("b"))),
    asked=st.none() | st.builds(DelegatedTask, st.just("u"), st.just("t"), since=st.integers(0, 2**53)),
    origin=st.none() | st.builds(Origin, st.just("t"), st.integers(1, 2**53)),
    checkpoints=st.none() | st.dictionaries(st.just("n"), st.just("id")),
)


@given(details, texts)
def test_what_is_encoded_is_decoded_as_it_was(details: Details, text: str | None) -> None:
    event = decode(status_update(SOURCE, 9, "progress", details, text=text))
    assert event.metadata == Metadata(
        *msgspec.structs.astuple(details), seq=9, ts=event.metadata.ts, attempt=2, agent="me", kind="progress"
    )
    assert event.status is not None
    assert (event.status.message and event.status.message.parts) == (None if text is None else [Part(text=text)])


def test_a_reader_ignores_keys_that_it_does_not_know_and_reads_kinds_that_it_does_not_know() -> None:
    form = json.loads(status_update(SOURCE, 9, "progress", text="x"))
    form["statusUpdate"] |= {"new": 1}
    form["statusUpdate"]["metadata"] |= {"urn:other": {}}
    form["statusUpdate"]["metadata"][EXTENSION] |= {"kind": "weather", "shade": "blue"}
    assert decode(json.dumps(form).encode()).metadata.kind == "weather"


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"{}",
        b"[]",
        b'{"task":null}',
        b'{"statusUpdate":{"kind":"state"}}',
        b"\xff",
        b'{"statusUpdate":' + b'{"kind":"state","a":' * 5_000 + b"1" + b"}" * 5_001,
    ],
)
def test_what_is_no_event_is_unreadable_and_changes_no_state(event: bytes) -> None:
    with pytest.raises(EventUnreadable):
        decode(event)
    assert state_of(event) is None


def test_only_a_state_event_changes_the_state() -> None:
    assert state_of(status_update(SOURCE, 2, "state")) == "TASK_STATE_WORKING"
    assert ends(status_update(SOURCE, 2, "state")) is None
    assert ends(status_update(SOURCE, 2, "state", state="TASK_STATE_FAILED")) == "TASK_STATE_FAILED"
    assert state_of(status_update(SOURCE, 2, "progress", text='"kind":"state"')) is None
