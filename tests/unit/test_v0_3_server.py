"""A2A 0.3 on the wire: its shapes, exactly (0.3.0 specification, sections 6 and 7)."""

from __future__ import annotations

import pytest

from tailrace.a2a.compat.v0_3.server import event_to_v0_3, params_from_v0_3, task_to_v0_3
from tailrace.a2a.types import SendMessage, convert, to_json
from tailrace.errors import RequestError
from tailrace.events import Part, Source, artifact_update, decode, status_update, submitted
from tests.support.events import message_of

SOURCE = Source("t", "c", "a", 1)


def test_a_0_3_message_becomes_ours() -> None:
    params = params_from_v0_3(
        "SendMessage",
        {
            "message": {
                "kind": "message",
                "messageId": "m",
                "role": "user",
                "parts": [
                    {"kind": "text", "text": "hi"},
                    {"kind": "data", "data": {"a": 1}},
                    {"kind": "file", "file": {"bytes": "eA==", "name": "x.log", "mimeType": "text/plain"}},
                ],
            },
            "configuration": {"blocking": False},
        },
    )
    sent = convert(params, SendMessage)
    assert sent.message.role == "ROLE_USER"
    assert sent.configuration.return_immediately
    assert [part.text or part.raw or part.data for part in sent.message.parts] == ["hi", {"a": 1}, "eA=="]
    assert (sent.message.parts[2].filename, sent.message.parts[2].media_type) == ("x.log", "text/plain")


def test_a_part_of_no_known_kind_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match="'video'"):
        params_from_v0_3("SendMessage", {"message": {"parts": [{"kind": "video"}]}})


def test_events_become_theirs() -> None:
    working = to_json(event_to_v0_3(decode(status_update(SOURCE, 2, "state", text="on it"))))
    assert (working["kind"], working["status"]["state"], working["final"]) == ("status-update", "working", False)
    assert working["status"]["message"]["parts"] == [{"kind": "text", "text": "on it"}]
    asked = to_json(event_to_v0_3(decode(status_update(SOURCE, 3, "state", state="TASK_STATE_INPUT_REQUIRED"))))
    assert (asked["status"]["state"], asked["final"]) == ("input-required", True)
    token = to_json(event_to_v0_3(decode(artifact_update(SOURCE, 4, "token", "report", Part(text="x")))))
    assert (token["kind"], token["append"], token["artifact"]["artifactId"]) == ("artifact-update", False, "report")
    result = to_json(event_to_v0_3(decode(artifact_update(SOURCE, 5, "result", "findings", Part(data=[1])))))
    assert result["artifact"]["parts"] == [{"kind": "data", "data": {"value": [1]}}]


def test_a_task_becomes_theirs_with_its_files() -> None:
    task = decode(submitted(SOURCE, message_of({"text": "line", "filename": "x.log"}))).task
    assert task is not None
    converted = to_json(task_to_v0_3(task))
    assert (converted["kind"], converted["status"]["state"]) == ("task", "submitted")
    (said,) = converted["history"]
    assert (said["kind"], said["role"]) == ("message", "user")
    assert said["parts"] == [{"kind": "file", "file": {"name": "x.log", "bytes": "bGluZQ=="}}]
