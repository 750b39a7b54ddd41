"""A peer that speaks 0.3 only: our 1.0 requests in its words, and what it answers in ours.

The counterpart of `v0_3`, for our client. Source: the 0.3.0 specification, sections 6 and 7. Some servers of 1.0 stream
0.3's shapes with 1.0's names of states and roles in them (langgraph-api 0.16.7), so those are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tailrace.a2a.compat.v0_3.server import METHODS, message_to_v0_3
from tailrace.events import Message

_THEIRS = {ours: theirs for theirs, ours in METHODS.items()}
_FILE = {"bytes": "raw", "uri": "url", "name": "filename", "mimeType": "mediaType"}


def method_to_v0_3(method: str) -> str:
    return _THEIRS.get(method, method)


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
    """The result of 1.0's `method`, which names what SendMessage answers and gives other tasks as they are."""
    if not isinstance(result, dict) or "kind" not in result:
        return result
    event = event_from_v0_3(result)
    return event if method == "SendMessage" else event.get("task", result)


def event_from_v0_3(event: dict[str, Any]) -> dict[str, Any]:
    """A 0.3 stream's result as 1.0's `StreamResponse`; it has a `kind`.

    Only shapes and names are changed. What is wrong in it stays wrong, for who decodes it as 1.0.
    """
    kind, rest = event["kind"], {key: value for key, value in event.items() if key not in ("kind", "final")}
    if kind == "message":
        return {"message": _message(rest)}
    if kind == "task":
        changed = {"artifacts": _each(rest, "artifacts", _artifact), "history": _each(rest, "history", _message)}
        return {"task": _given({**rest, "status": _status(rest.get("status")), **changed})}
    if kind == "status-update":
        return {"statusUpdate": _given({**rest, "status": _status(rest.get("status"))})}
    if kind == "artifact-update":
        return {"artifactUpdate": _given({**rest, "artifact": _artifact(rest.get("artifact"))})}
    return event


def _given(holder: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in holder.items() if value is not None}


def _each(holder: dict[str, Any], key: str, convert: Callable[[Any], Any]) -> Any:
    values = holder.get(key)
    return [convert(value) for value in values] if isinstance(values, list) else values


def _status(status: Any) -> Any:
    if not isinstance(status, dict):
        return status
    state = status.get("state")
    if isinstance(state, str) and not state.startswith("TASK_"):
        state = "TASK_STATE_" + state.upper().replace("-", "_")
    return _given({**status, "state": state, "message": _message(status.get("message"))})


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    role = "ROLE_USER" if message.get("role") in ("user", "ROLE_USER") else "ROLE_AGENT"
    rest = {key: value for key, value in message.items() if key != "kind"}
    return _given({**rest, "role": role, "parts": _each(message, "parts", _part)})


def _artifact(artifact: Any) -> Any:
    return {**artifact, "parts": _each(artifact, "parts", _part)} if isinstance(artifact, dict) else artifact


def _part(part: Any) -> Any:
    if not isinstance(part, dict) or "kind" not in part:
        return part
    rest = {key: value for key, value in part.items() if key not in ("kind", "file")}
    file = part.get("file")
    if part["kind"] != "file" or not isinstance(file, dict):
        return rest
    return {**rest, **{ours: file[theirs] for theirs, ours in _FILE.items() if file.get(theirs) is not None}}
