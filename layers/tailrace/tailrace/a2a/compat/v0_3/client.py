"""A2A 0.3 for our client: converts requests from 1.0 to 0.3, and answers and events from 0.3 to 1.0.

Source: the 0.3.0 specification, sections 6 and 7. Some servers of 1.0 stream 0.3's shapes with 1.0's names of states
and roles in them (langgraph-api 0.16.7), so these names stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tailrace.a2a.compat.v0_3.server import FILE_MEMBERS, METHODS, message_to_v0_3
from tailrace.events import Message

_METHODS = {name: v0_3 for v0_3, name in METHODS.items()}

# Converts a value of any type that another agent sent.
Convert = Callable[[Any], Any]


def method_to_v0_3(method: str) -> str:
    """The name of 1.0's `method` in 0.3; the same name if 0.3 has no such method."""
    return _METHODS.get(method, method)


def params_to_v0_3(params: dict[str, Any]) -> dict[str, Any]:
    """Convert the params of a 1.0 request. A message may be a `Message` or its JSON."""
    params = dict(params)
    if "message" in params:
        params["message"] = message_to_v0_3(msgspec.convert(msgspec.to_builtins(params["message"]), Message))
    if "configuration" in params:
        configuration = dict(params["configuration"])
        configuration["blocking"] = not configuration.pop("returnImmediately", False)
        params["configuration"] = configuration
    return params


def result_from_v0_3(method: str, result: Any) -> Any:
    """Convert the result of `method`. In 1.0 it has a `task` or a `message` (SendMessage), or is the task (GetTask)."""
    if not isinstance(result, dict) or "kind" not in result:
        return result
    event = event_from_v0_3(result)
    return event if method == "SendMessage" else event.get("task", result)


def event_from_v0_3(event: dict[str, Any]) -> dict[str, Any]:
    """Convert an event of a 0.3 stream, which has a `kind`, to 1.0's `StreamResponse`.

    A value that does not fit stays as it is: it is refused where the event is decoded as 1.0.
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
    return {**rest, **{FILE_MEMBERS[key]: value for key, value in file.items() if key in FILE_MEMBERS}}
