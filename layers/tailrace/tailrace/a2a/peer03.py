"""A peer that speaks 0.3 only: our 1.0 requests in its words, and what it answers in ours.

The counterpart of `v03`, for our client. Source: the 0.3.0 specification, sections 6 and 7. Some servers of 1.0 stream
0.3's shapes with 1.0's names of states and roles in them (langgraph-api 0.16.7), so those are left as they are.
"""

from __future__ import annotations

from typing import Any

from tailrace.a2a.v03 import METHODS, part_to_03

_THEIRS = {ours: theirs for theirs, ours in METHODS.items()}
_FILE = {"bytes": "raw", "uri": "url", "name": "filename", "mimeType": "mediaType"}


def method_to_03(method: str) -> str:
    return _THEIRS.get(method, method)


def params_to_03(params: dict[str, Any]) -> dict[str, Any]:
    params = dict(params)
    if "message" in params:
        message = params["message"]
        role = "user" if message["role"] == "ROLE_USER" else "agent"
        parts = [part_to_03(part) for part in message["parts"]]
        params["message"] = {**message, "kind": "message", "role": role, "parts": parts}
    if "configuration" in params:
        configuration = dict(params["configuration"])
        configuration["blocking"] = not configuration.pop("returnImmediately", False)
        params["configuration"] = configuration
    return params


def result_from_03(method: str, result: Any) -> Any:
    """The result of 1.0's `method`, which names what SendMessage answers and gives other tasks as they are."""
    event = event_from_03(result)
    return event if method == "SendMessage" else event.get("task", result)


def event_from_03(event: Any) -> dict[str, Any]:
    """A 0.3 stream's result as 1.0's `StreamResponse`.

    Raises:
        KeyError, TypeError: it is none.
    """
    kind = event["kind"]
    if kind == "message":
        return {"message": _message(event)}
    if kind == "task":
        task = {key: value for key, value in event.items() if key not in ("kind", "history", "artifacts")}
        task["status"] = _status(event["status"])
        if event.get("history"):
            task["history"] = [_message(message) for message in event["history"]]
        if event.get("artifacts"):
            task["artifacts"] = [_artifact(artifact) for artifact in event["artifacts"]]
        return {"task": task}
    rest = {key: event[key] for key in ("taskId", "contextId", "metadata") if event.get(key) is not None}
    if kind == "status-update":
        return {"statusUpdate": {**rest, "status": _status(event["status"])}}
    return {
        "artifactUpdate": {
            **rest,
            "artifact": _artifact(event["artifact"]),
            "append": bool(event.get("append")),
            "lastChunk": bool(event.get("lastChunk")),
        }
    }


def _status(status: dict[str, Any]) -> dict[str, Any]:
    state = status["state"]
    told = {**status, "state": state if state.startswith("TASK_") else "TASK_STATE_" + state.upper().replace("-", "_")}
    if status.get("message"):
        told["message"] = _message(status["message"])
    return told


def _message(message: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in message.items() if key != "kind" and value is not None}
    role = "ROLE_USER" if message["role"] in ("user", "ROLE_USER") else "ROLE_AGENT"
    return {**told, "role": role, "parts": [_part(part) for part in message["parts"]]}


def _artifact(artifact: dict[str, Any]) -> dict[str, Any]:
    return {**artifact, "parts": [_part(part) for part in artifact["parts"]]}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    rest = {"metadata": part["metadata"]} if part.get("metadata") else {}
    if part["kind"] != "file":
        return {part["kind"]: part[part["kind"]], **rest}
    file = part["file"]
    return {ours: file[theirs] for theirs, ours in _FILE.items() if file.get(theirs) is not None} | rest
