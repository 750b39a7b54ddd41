"""A null means that the field is absent: a request with a null anywhere is the same as the request without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import requests
from gateway.requests import BrowserMessage, BrowserPart, MessageBody, TaskBody
from gateway.uploads import UploadBody
from tailrace.a2a import types
from tailrace.a2a.compat.v0_3.server import METHODS, params_from_v0_3
from tailrace.a2a.identity import fingerprint_of
from tailrace.a2a.types import convert
from tailrace.errors import RequestError

PART = {"text": "hi", "filename": "x.log", "mediaType": "text/plain", "metadata": {"a": None}}
MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": [PART, {"data": {"b": [None]}}], "contextId": "c"}
CONFIG = {"url": "https://example.com/", "id": "1", "authentication": {"scheme": "Bearer", "credentials": "x"}}
CONFIGURATION = {"historyLength": 3, "returnImmediately": True, "taskPushNotificationConfig": CONFIG}

# A request of each type.
REQUESTS: dict[type[msgspec.Struct], dict[str, Any]] = {
    types.UserPart: PART,
    types.UserMessage: MESSAGE,
    types.AuthenticationInfo: {"scheme": "Bearer"},
    types.PushConfig: {**CONFIG, "taskId": "t"},
    types.PushConfigId: {"taskId": "t", "id": "1"},
    types.ListPushConfigs: {"taskId": "t", "pageSize": 5},
    types.SendConfiguration: CONFIGURATION,
    types.SendMessage: {"message": MESSAGE, "configuration": CONFIGURATION, "metadata": {"c": None}},
    types.ContextId: {"contextId": "c"},
    types.TaskId: {"id": "t", "historyLength": 1},
    types.ListTasks: {"contextId": "c", "pageSize": 7, "includeArtifacts": True},
    BrowserPart: PART,
    BrowserMessage: {"parts": [PART], "messageId": "m"},
    MessageBody: {"message": {"parts": [PART, {"text": "x"}], "contextId": "c"}},
    TaskBody: {"message": {"parts": [PART]}, "agent": "greeter"},
    UploadBody: {"filename": "x.log", "size": 1, "sha256": "ab" * 32, "mediaType": "text/csv"},
}
V0_3_CONFIG = {
    "url": "https://example.com/",
    "token": "t",
    "authentication": {"schemes": ["Bearer"], "credentials": "x"},
}
V0_3_PARTS = [
    {"kind": "text", "text": "hi", "metadata": {"a": None}},
    {"kind": "data", "data": {"b": None}},
    {"kind": "file", "file": {"bytes": "eA==", "name": "x.log", "mimeType": "text/plain"}},
]
V0_3_MESSAGE = {"kind": "message", "messageId": "m", "role": "user", "parts": V0_3_PARTS, "contextId": "c"}
# Requests of A2A 0.3 by the 1.0 name of their method, each with the type that its params become.
V0_3_REQUESTS: dict[str, tuple[type[msgspec.Struct], dict[str, Any]]] = {
    "SendMessage": (
        types.SendMessage,
        {
            "message": V0_3_MESSAGE,
            "configuration": {
                "blocking": False,
                "historyLength": 2,
                "acceptedOutputModes": ["text/plain"],
                "pushNotificationConfig": V0_3_CONFIG,
            },
            "metadata": {},
        },
    ),
    "GetTask": (types.TaskId, {"id": "t", "historyLength": 1, "metadata": {}}),
    "CancelTask": (types.TaskId, {"id": "t", "metadata": {}}),
    "SubscribeToTask": (types.TaskId, {"id": "t"}),
    "CreateTaskPushNotificationConfig": (types.PushConfig, {"taskId": "t", "pushNotificationConfig": V0_3_CONFIG}),
    "GetTaskPushNotificationConfig": (types.PushConfigId, {"id": "t", "pushNotificationConfigId": "1"}),
    "ListTaskPushNotificationConfigs": (types.ListPushConfigs, {"id": "t"}),
    "DeleteTaskPushNotificationConfig": (types.PushConfigId, {"id": "t", "pushNotificationConfigId": "1"}),
}
Path = tuple[str | int, ...]


def outcome(request: Any, kind: type[msgspec.Struct]) -> Any:
    try:
        return convert(request, kind)
    except RequestError as error:
        return str(error)


def v0_3_outcome(method: str, request: Any) -> Any:
    kind, _ = V0_3_REQUESTS[method]
    try:
        return convert(params_from_v0_3(method, request), kind)
    except RequestError as error:
        return str(error)


def objects(value: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the paths of the objects in a request, without those inside of fields that may hold any JSON."""
    if isinstance(value, dict):
        yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key not in ("metadata", "data"):
            yield from objects(inner, (*at, key))


def with_key(value: Any, at: Path, key: str, *, null: bool) -> Any:
    """Return a copy in which the object at the path `at` has a null under `key`, or no such key."""
    if at:
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[at[0]] = with_key(value[at[0]], at[1:], key, null=null)  # type: ignore[index]
        return copy
    rest = {name: inner for name, inner in value.items() if name != key}
    return {**rest, key: None} if null else rest


def test_there_is_a_request_of_each_type() -> None:
    kinds = {
        kind
        for module in (types, requests)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
    }
    assert {*kinds, UploadBody} == REQUESTS.keys()
    assert V0_3_REQUESTS.keys() == set(METHODS.values()) - {"SendStreamingMessage", "GetExtendedAgentCard"}


FIELDS = [
    (kind, name)
    for kind, request in REQUESTS.items()
    for field in msgspec.structs.fields(kind)
    if field.encode_name != "data"
    for name in sorted({field.name, field.encode_name})
]


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_field_that_is_null_is_the_same_as_an_absent_field(kind: type[msgspec.Struct], name: str) -> None:
    for request in (REQUESTS[kind], {}):
        absent = outcome(with_key(request, (), name, null=False), kind)
        assert outcome(with_key(request, (), name, null=True), kind) == absent


@given(st.sampled_from(list(REQUESTS)), st.data())
def test_a_null_anywhere_in_a_request_changes_nothing(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    request: Any = REQUESTS[kind]
    at = data.draw(st.sampled_from(list(objects(request))))
    names = [field.encode_name for each in REQUESTS for field in msgspec.structs.fields(each)]
    key = data.draw(st.sampled_from(sorted({*names, "x"} - {"data"})))
    assert outcome(with_key(request, at, key, null=True), kind) == outcome(with_key(request, at, key, null=False), kind)


@given(st.sampled_from(list(V0_3_REQUESTS)), st.data())
def test_a_null_anywhere_in_a_request_of_0_3_changes_nothing(method: str, data: st.DataObject) -> None:
    _, request = V0_3_REQUESTS[method]
    at = data.draw(st.sampled_from(list(objects(request))))
    keys = {key for each in objects(request) for key in dict_at(request, each)}
    key = data.draw(st.sampled_from(sorted({*keys, "referenceTaskIds", "uri", "x"} - {"kind"})))
    absent, null = (with_key(request, at, key, null=null) for null in (False, True))
    assert v0_3_outcome(method, null) == v0_3_outcome(method, absent)


def dict_at(value: Any, at: Path) -> dict[str, Any]:
    for key in at:
        value = value[key]
    result: dict[str, Any] = value
    return result


def test_the_data_and_metadata_of_a_request_keep_their_nulls() -> None:
    sent = convert(REQUESTS[types.SendMessage], types.SendMessage)
    assert (sent.metadata, sent.message.parts[0].metadata) == ({"c": None}, {"a": None})
    assert sent.message.parts[1].data == {"b": [None]}


def test_data_that_is_null_is_a_value_unless_another_member_is_given() -> None:
    alone = convert({"data": None, "text": None}, types.UserPart)
    assert types.to_json(alone) == {"data": None}
    assert types.to_json(convert({"text": "hi", "data": None, "raw": None}, types.UserPart)) == {"text": "hi"}
    for nothing in ({}, {"text": None, "url": None}):
        with pytest.raises(RequestError, match="got none of them"):
            convert(nothing, types.UserPart)
    with pytest.raises(RequestError, match="`text` and `data`"):
        convert({"text": "hi", "data": {}}, types.UserPart)


def test_in_0_3_data_is_an_object_and_never_null() -> None:
    message = {**V0_3_MESSAGE, "parts": [{"kind": "data", "data": None}]}
    assert "got none of them" in v0_3_outcome("SendMessage", {"message": message})


def test_a_list_has_no_nulls_in_it() -> None:
    with pytest.raises(RequestError, match=r"got `null` - at `\$.message.parts\[1\]`"):
        convert({"message": {**MESSAGE, "parts": [PART, None]}}, types.SendMessage)


def test_a_message_with_nulls_is_the_same_message_when_it_is_sent_again() -> None:
    nulls = {**MESSAGE, "taskId": None, "extensions": None, "parts": [{**PART, "raw": None, "data": None}, PART]}
    plain = {**MESSAGE, "parts": [PART, PART]}
    assert fingerprint_of(convert(nulls, types.UserMessage)) == fingerprint_of(convert(plain, types.UserMessage))
