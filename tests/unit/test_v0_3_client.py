"""A peer of 0.3, as our client reads it: it reads what our server writes, and refuses what nobody should write."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.a2a.compat.v0_3.client import event_from_v0_3, method_to_v0_3, params_to_v0_3, result_from_v0_3
from tailrace.a2a.compat.v0_3.server import METHODS, event_to_v0_3, params_from_v0_3
from tailrace.a2a.incoming import event_in
from tailrace.a2a.types import SendMessage, convert, to_json
from tailrace.errors import AgentError
from tailrace.events import Part, Source, artifact_update, decode, status_update, submitted
from tests.support.events import message_of

SOURCE = Source("t", "c", "a", 1)
PARTS = [{"text": "hi"}, {"data": {"a": [1]}}, {"raw": "eA==", "filename": "x.log", "mediaType": "text/plain"}]
MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": PARTS}


@pytest.mark.parametrize(
    "event",
    [
        submitted(SOURCE, message_of(*PARTS)),
        status_update(SOURCE, 2, "state", text="on it"),
        status_update(SOURCE, 3, "state", state="TASK_STATE_INPUT_REQUIRED", text="Which?"),
        artifact_update(SOURCE, 4, "token", "report", Part(text="x"), append=True),
        artifact_update(SOURCE, 5, "result", "findings", Part(data={"findings": []}), last=True),
    ],
)
def test_an_event_comes_through_0_3_as_it_was(event: bytes) -> None:
    assert event_from_v0_3(to_json(event_to_v0_3(decode(event)))) == msgspec.json.decode(event)


def test_a_message_comes_through_0_3_as_it_was() -> None:
    params = {"message": MESSAGE, "configuration": {"returnImmediately": True, "historyLength": 2}}
    sent = convert(params_from_v0_3("SendMessage", msgspec.to_builtins(params_to_v0_3(params))), SendMessage)
    assert sent == convert(params, SendMessage)


def test_every_method_has_its_name_of_0_3() -> None:
    assert {method_to_v0_3(ours) for ours in METHODS.values()} == METHODS.keys()
    assert method_to_v0_3("ListTasks") == "ListTasks", "there was none"


def test_a_result_is_what_1_0_s_method_answers() -> None:
    task = to_json(event_to_v0_3(decode(submitted(SOURCE, message_of(*PARTS)))))
    assert result_from_v0_3("SendMessage", task).keys() == {"task"}
    assert result_from_v0_3("GetTask", task)["status"]["state"] == "TASK_STATE_SUBMITTED"


def test_states_and_roles_of_1_0_in_shapes_of_0_3_stay_as_they_are() -> None:
    said = {"role": "ROLE_AGENT", "messageId": "m", "parts": [{"kind": "text", "text": "x"}]}
    update = {"kind": "status-update", "taskId": "t", "contextId": "c", "final": True}
    told = event_from_v0_3({**update, "status": {"state": "TASK_STATE_COMPLETED", "message": said}})
    assert told["statusUpdate"]["status"] == {
        "state": "TASK_STATE_COMPLETED",
        "message": {"role": "ROLE_AGENT", "messageId": "m", "parts": [{"text": "x"}]},
    }


KEYS = ["kind", "status", "state", "message", "parts", "role", "artifact", "text", "file", "history", "artifacts", "id"]
WORDS = ["task", "message", "status-update", "artifact-update", "text", "file", "working", "user"]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@given(JSON)
def test_whatever_a_stranger_streams_is_an_event_or_an_agent_s_error(given: Any) -> None:
    with contextlib.suppress(AgentError):
        event_in(given, "http://there/")


@pytest.mark.parametrize("given", [{"kind": "task", "status": {"state": 5}}, {"kind": "status-update"}, {"kind": []}])
def test_what_is_no_event_of_0_3_is_an_agent_s_error(given: Any) -> None:
    with pytest.raises(AgentError, match="http://there/ sent something that is not an event of A2A"):
        event_in(given, "http://there/")


def test_null_is_a_member_that_was_not_given() -> None:
    part = {"kind": "file", "file": {"bytes": "eA==", "name": None}, "metadata": None}
    message = {"kind": "message", "messageId": "m", "role": "agent", "parts": [part], "taskId": None}
    nulls = {
        "kind": "task",
        "id": "t",
        "contextId": None,
        "status": {"state": "working", "message": message, "timestamp": None},
        "artifacts": None,
        "history": None,
    }
    event = event_in(nulls, "http://there/")
    assert event.task is not None
    assert (event.task.context_id, event.task.artifacts) == ("", [])
    assert event.task.status.message is not None
    assert [(part.raw, part.filename) for part in event.task.status.message.parts] == [("eA==", None)]
