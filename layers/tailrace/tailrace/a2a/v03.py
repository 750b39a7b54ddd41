"""A2A 0.3 on the wire: its messages into ours, our tasks and events into its.

The log holds 1.0 only; a 0.3 reader pays for its conversion. Source: the 0.3.0 specification, sections 6 and 7.
"""

from __future__ import annotations

import base64
from typing import Any

from tailrace.errors import RequestError
from tailrace.events import INTERRUPTED, TERMINAL

# 0.3's method names, and ours for the same.
METHODS = {
    "message/send": "SendMessage",
    "message/stream": "SendStreamingMessage",
    "tasks/get": "GetTask",
    "tasks/cancel": "CancelTask",
    "tasks/resubscribe": "SubscribeToTask",
    "tasks/pushNotificationConfig/set": "CreateTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/get": "GetTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/list": "ListTaskPushNotificationConfigs",
    "tasks/pushNotificationConfig/delete": "DeleteTaskPushNotificationConfig",
    "agent/getAuthenticatedExtendedCard": "GetExtendedAgentCard",
}


def params_from_03(params: dict[str, Any]) -> dict[str, Any]:
    """A 0.3 request's params as 1.0's. What does not fit is left as it is, for 1.0's own checks to name.

    Raises:
        RequestError: a part's `kind` is not one of 0.3's, or `blocking` is no boolean.
    """
    params = dict(params)
    message, configuration = params.get("message"), params.get("configuration")
    if isinstance(message, dict):
        message = {key: value for key, value in message.items() if key != "kind"}
        role = message.get("role")
        message["role"] = {"user": "ROLE_USER", "agent": "ROLE_AGENT"}.get(str(role), role)
        if isinstance(message.get("parts"), list):
            message["parts"] = [_part_from_03(part, place) for place, part in enumerate(message["parts"])]
        params["message"] = message
    if isinstance(configuration, dict):
        configuration = dict(configuration)
        # The 0.3 text leaves open what a send does that says nothing; its SDKs wait for the end.
        blocking = configuration.pop("blocking", None)
        if not isinstance(blocking, bool | None):
            raise RequestError("configuration.blocking must be true or false.")
        configuration["returnImmediately"] = blocking is False
        params["configuration"] = configuration
    return params


def task_to_03(task: dict[str, Any]) -> dict[str, Any]:
    converted = {
        "kind": "task",
        "id": task["id"],
        "contextId": task["contextId"],
        "status": _status_to_03(task["status"]),
    }
    if "history" in task:
        converted["history"] = [message_to_03(message) for message in task["history"]]
    if "artifacts" in task:
        converted["artifacts"] = [_artifact_to_03(artifact) for artifact in task["artifacts"]]
    if "metadata" in task:
        converted["metadata"] = task["metadata"]
    return converted


def event_to_03(event: dict[str, Any]) -> dict[str, Any]:
    """A 1.0 stream response as a 0.3 one."""
    if "task" in event:
        return task_to_03(event["task"])
    if "statusUpdate" in event:
        update = event["statusUpdate"]
        state = update["status"]["state"]
        return {
            "kind": "status-update",
            "taskId": update["taskId"],
            "contextId": update["contextId"],
            "status": _status_to_03(update["status"]),
            "final": state in TERMINAL or state in INTERRUPTED,
            "metadata": update["metadata"],
        }
    update = event["artifactUpdate"]
    return {
        "kind": "artifact-update",
        "taskId": update["taskId"],
        "contextId": update["contextId"],
        "artifact": _artifact_to_03(update["artifact"]),
        "append": update["append"],
        "lastChunk": update["lastChunk"],
        "metadata": update["metadata"],
    }


def message_to_03(message: dict[str, Any]) -> dict[str, Any]:
    converted = {**message, "kind": "message", "role": "user" if message["role"] == "ROLE_USER" else "agent"}
    converted["parts"] = [_part_to_03(part) for part in message["parts"]]
    return converted


def _status_to_03(status: dict[str, Any]) -> dict[str, Any]:
    converted = {**status, "state": status["state"].removeprefix("TASK_STATE_").lower().replace("_", "-")}
    if "message" in status:
        converted["message"] = message_to_03(status["message"])
    return converted


def _artifact_to_03(artifact: dict[str, Any]) -> dict[str, Any]:
    return {**artifact, "parts": [_part_to_03(part) for part in artifact["parts"]]}


def _part_from_03(part: Any, place: int) -> Any:
    if not isinstance(part, dict):
        return part
    kind = part.get("kind")
    rest = {"metadata": part["metadata"]} if "metadata" in part else {}
    if kind == "text":
        return {"text": part.get("text"), **rest}
    if kind == "data":
        return {"data": part.get("data"), **rest}
    if kind == "file" and isinstance(part.get("file"), dict):
        file = part["file"]
        names = {"bytes": "raw", "uri": "url", "name": "filename", "mimeType": "mediaType"}
        return {ours: file[theirs] for theirs, ours in names.items() if file.get(theirs) is not None} | rest
    raise RequestError(f"message.parts[{place}] has kind {kind!r}, but must be a text, data or file part.")


def _part_to_03(part: dict[str, Any]) -> dict[str, Any]:
    rest = {"metadata": part["metadata"]} if "metadata" in part else {}
    if "data" in part:
        # 0.3 allows only objects here.
        data = part["data"]
        return {"kind": "data", "data": data if isinstance(data, dict) else {"value": data}, **rest}
    if "text" in part and "filename" not in part:
        return {"kind": "text", "text": part["text"], **rest}
    names = {"raw": "bytes", "url": "uri", "filename": "name", "mediaType": "mimeType"}
    file = {theirs: part[ours] for ours, theirs in names.items() if ours in part}
    if "text" in part:
        file["bytes"] = base64.b64encode(part["text"].encode()).decode()
    return {"kind": "file", "file": file, **rest}
