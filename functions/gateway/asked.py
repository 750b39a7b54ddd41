"""What a request to an agent is about to do, for the caller's scopes and limits. The agent checks all the rest.

A body is read as the agent reads it: of several members with one name the last one counts, a null is as good as none,
and fields may have their proto names. What cannot be understood counts as a new task, which needs the scope `write`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.callers import READS
from tailrace.access.credential import READ, WRITE
from tailrace.decoding import NOT_JSON

# JSON-RPC's methods that change nothing, of 1.0 and of 0.3.
_READING = frozenset(
    {
        *("GetTask", "ListTasks", "SubscribeToTask", "GetExtendedAgentCard"),
        *("GetTaskPushNotificationConfig", "ListTaskPushNotificationConfigs"),
        *("tasks/get", "tasks/list", "tasks/resubscribe", "agent/getAuthenticatedExtendedCard"),
        *("tasks/pushNotificationConfig/get", "tasks/pushNotificationConfig/list"),
    }
)
_STREAMING = ("SendStreamingMessage", "SubscribeToTask", "message/stream", "tasks/resubscribe")
_CANCELING = ("CancelTask", "tasks/cancel")
_HOOKING = ("CreateTaskPushNotificationConfig", "tasks/pushNotificationConfig/set")
_UNHOOKING = ("DeleteTaskPushNotificationConfig", "tasks/pushNotificationConfig/delete")
# A method of our own agents that the gateway alone calls (docs/PROTOCOL.md, 5.11).
_INTERNAL = ("DeleteThread",)
_HOOKS = re.compile(r"tasks/[^/]+/pushNotificationConfigs/?")
_RPC_PATHS = ("", "message/stream")


class Asked(msgspec.Struct, frozen=True):
    """The scope that a request needs, and whether it begins a task, makes a webhook, or is answered with a stream.

    `sends` says that it has a message, and `message_id` is that of one that begins a task, "" without one. What is
    `internal` is not for callers from outside.
    """

    scope: str = WRITE
    begins_task: bool = False
    sends: bool = False
    makes_webhook: bool = False
    streams: bool = False
    message_id: str = ""
    internal: bool = False


def asked(method: str, path: str, body: bytes) -> Asked:
    """What a request with this HTTP method does at `path`, relative to the agent's URL."""
    if path.endswith(":subscribe"):
        return Asked(READ, streams=method != "HEAD")
    if method in READS:
        return Asked(READ)
    if path not in _RPC_PATHS:
        if _HOOKS.fullmatch(path):
            return Asked(makes_webhook=True)
        streams = path.startswith("message:stream")
        return _sent(_decoded(body), streams=streams) if path.startswith("message:") else Asked()
    call = _decoded(body)
    name = _field(call, "method")
    if not isinstance(name, str):
        return Asked(begins_task=True, sends=True)
    streams = name in _STREAMING
    if name in _READING:
        return Asked(READ, streams=streams)
    if name in (*_CANCELING, *_UNHOOKING):
        return Asked()
    if name in _HOOKING:
        return Asked(makes_webhook=True)
    if name in _INTERNAL:
        return Asked(internal=True)
    return _sent(_field(call, "params"), streams=streams)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except NOT_JSON:
        return None


def _sent(send: Any, *, streams: bool) -> Asked:
    message, configuration = _field(send, "message"), _field(send, "configuration")
    hooks = ("taskPushNotificationConfig", "task_push_notification_config", "pushNotificationConfig",
             "push_notification_config")  # fmt: skip
    message_id = _field(message, "messageId", "message_id")
    begins_task = not _field(message, "taskId", "task_id")
    return Asked(
        begins_task=begins_task,
        sends=True,
        makes_webhook=_field(configuration, *hooks) is not None,
        streams=streams,
        message_id=message_id if begins_task and isinstance(message_id, str) else "",
    )


def _field(value: Any, *names: str) -> Any:
    """The first of an object's fields that is there and not null."""
    members = value if isinstance(value, dict) else {}
    return next((members[name] for name in names if members.get(name) is not None), None)
