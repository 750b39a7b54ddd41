"""For our client, an agent that speaks 0.3 only: our 1.0 requests become 0.3, its answers become 1.0.

Source: the 0.3.0 specification, sections 6 and 7. Some servers of 1.0 stream 0.3's shapes with 1.0's names of states
and roles (langgraph-api 0.16.7), so 1.0's names are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tailrace.a2a.compat.v0_3.server import METHODS, message_to_v0_3
from tailrace.events import Message

_METHODS_OF_V0_3 = {v1_0: v0_3 for v0_3, v1_0 in METHODS.items()}
# Converts a value that another agent sent, of whatever type it is.
Convert = Callable[[Any], Any]

# A file's fields, in 0.3 and in 1.0.
_FILE_FIELDS = {"bytes": "raw", "uri": "url", "name": "filename", "mimeType": "mediaType"}


def method_to_v0_3(method: str) -> str:
    """0.3's name of 1.0's `method`."""
    return _METHODS_OF_V0_3.get(method, method)


def params_to_v0_3(params: dict[str, Any]) -> dict[str, Any]:
    """The params of a 1.0 request as 0.3 has them; a message may be a `Message` or its JSON."""
    params = dict(params)
    if "message" in params:
        params["message"] = message_to_v0_3(msgspec.convert(msgspec.to_builtins(params["message"]), Message))
    if "configuration" in params:
        configuration = dict(params["configuration"])
        configuration["blocking"] = not configuration.pop("returnImmediately", False)
        params["configuration"] = configuration
    return params


def result_from_v0_3(method: str, result: Any) -> Any:
    """A 0.3 result as that of 1.0's `method`: a `task` or `message` for SendMessage, the task itself for others."""
    if not isinstance(result, dict) or "kind" not in result:
        return result
    event = event_from_v0_3(result)
    return event if method == "SendMessage" else event.get("task", result)


def event_from_v0_3(event: dict[str, Any]) -> dict[str, Any]:
    """A 0.3 stream's result, which has a `kind`, as 1.0's `StreamResponse`.

    Only shapes and names are converted. What is wrong stays wrong, and is refused where the event is decoded as 1.0.
    """
    kind, rest = event["kind"], {key: value for key, value in event.items() if key not in ("kind", "final")}
    if kind == "message":
        return {"message": _message(rest)}
    if kind == "task":
        return {"task": _converted(rest, status=_status, artifacts=_each(_artifact), history=_each(_message))}
    if kind == "status-update":
        return {"statusUpdate": _converted(rest, status=_status)}
    if kind == "artifact-update":
        return {"artifactUpdate": _converted(rest, artifact=_artifact)}
    return event


def _converted(holder: Any, **convert: Convert) -> Any:
    """The object with each of these members converted, if it has it. Anything but an object is left as it is."""
    if not isinstance(holder, dict):
        return holder
    return {key: convert[key](value) if key in convert else value for key, value in holder.items()}


def _each(convert: Convert) -> Convert:
    return lambda values: [convert(value) for value in values] if isinstance(values, list) else values


def _status(status: Any) -> Any:
    return _converted(status, state=_state, message=_message)


def _state(state: Any) -> Any:
    if isinstance(state, str) and not state.startswith("TASK_"):
        return "TASK_STATE_" + state.upper().replace("-", "_")
    return state


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    role = "ROLE_USER" if message.get("role") in ("user", "ROLE_USER") else "ROLE_AGENT"
    rest = {key: value for key, value in message.items() if key != "kind"}
    return {**_converted(rest, parts=_each(_part)), "role": role}


def _artifact(artifact: Any) -> Any:
    return _converted(artifact, parts=_each(_part))


def _part(part: Any) -> Any:
    if not isinstance(part, dict) or "kind" not in part:
        return part
    rest = {key: value for key, value in part.items() if key not in ("kind", "file")}
    file = part.get("file")
    if part["kind"] != "file" or not isinstance(file, dict):
        return rest
    return {**rest, **{_FILE_FIELDS[key]: value for key, value in file.items() if key in _FILE_FIELDS}}
