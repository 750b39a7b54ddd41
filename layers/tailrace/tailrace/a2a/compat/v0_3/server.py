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


# The id of a config that is not named: 0.3 sets it and gets it without one (0.3.0, sections 7.5 and 7.6).
_UNNAMED = "default"


def params_from_v0_3(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """A 0.3 request's params as those of 1.0's `method`. What does not fit is left, for 1.0's own checks to name.

    Raises:
        RequestError: a part's `kind` is not one of 0.3's, or `blocking` is no boolean.
    """
    params = dict(params)
    if "PushNotificationConfig" in method:
        return _push_params_from_v0_3(method, params)
    message, configuration = params.get("message"), params.get("configuration")
    if isinstance(message, dict):
        message = {key: value for key, value in message.items() if key != "kind"}
        role = message.get("role")
        message["role"] = {"user": "ROLE_USER", "agent": "ROLE_AGENT"}.get(str(role), role)
        if isinstance(message.get("parts"), list):
            message["parts"] = [_part_from_v0_3(part, place) for place, part in enumerate(message["parts"])]
        params["message"] = message
    if isinstance(configuration, dict):
        configuration = dict(configuration)
        # The 0.3 text leaves open what a send does that says nothing; its SDKs wait for the end.
        blocking = configuration.pop("blocking", None)
        if not isinstance(blocking, bool | None):
            raise RequestError("configuration.blocking must be true or false.")
        configuration["returnImmediately"] = blocking is False
        if "pushNotificationConfig" in configuration:
            config = configuration.pop("pushNotificationConfig")
            configuration["taskPushNotificationConfig"] = _config_from_v0_3(config)
        params["configuration"] = configuration
    return params


def result_to_v0_3(method: str, result: Any) -> Any:
    """The result of 1.0's `method` as 0.3 has it."""
    if method == "SendMessage":
        return message_to_v0_3(result["message"]) if "message" in result else task_to_v0_3(result["task"])
    if method in ("GetTask", "CancelTask"):
        return task_to_v0_3(result)
    if method in ("CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig"):
        return _config_to_v0_3(result)
    if method == "ListTaskPushNotificationConfigs":
        return [_config_to_v0_3(config) for config in result["configs"]]
    if method == "DeleteTaskPushNotificationConfig":
        return None
    return result


def task_to_v0_3(task: dict[str, Any]) -> dict[str, Any]:
    converted = {
        "kind": "task",
        "id": task["id"],
        "contextId": task["contextId"],
        "status": _status_to_v0_3(task["status"]),
    }
    if "history" in task:
        converted["history"] = [message_to_v0_3(message) for message in task["history"]]
    if "artifacts" in task:
        converted["artifacts"] = [_artifact_to_v0_3(artifact) for artifact in task["artifacts"]]
    if "metadata" in task:
        converted["metadata"] = task["metadata"]
    return converted


def unknown(task_id: str) -> dict[str, Any]:
    """An update that tells nothing but that there was one."""
    return {
        "kind": "status-update",
        "taskId": task_id,
        "contextId": "",
        "status": {"state": "unknown"},
        "final": False,
    }


def event_to_v0_3(event: dict[str, Any]) -> dict[str, Any]:
    """A 1.0 stream response as a 0.3 one."""
    if "task" in event:
        return task_to_v0_3(event["task"])
    if "message" in event:
        return message_to_v0_3(event["message"])
    if "statusUpdate" in event:
        update = event["statusUpdate"]
        state = update["status"]["state"]
        return {
            "kind": "status-update",
            "taskId": update["taskId"],
            "contextId": update["contextId"],
            "status": _status_to_v0_3(update["status"]),
            "final": state in TERMINAL or state in INTERRUPTED,
            "metadata": update["metadata"],
        }
    update = event["artifactUpdate"]
    return {
        "kind": "artifact-update",
        "taskId": update["taskId"],
        "contextId": update["contextId"],
        "artifact": _artifact_to_v0_3(update["artifact"]),
        "append": update["append"],
        "lastChunk": update["lastChunk"],
        "metadata": update["metadata"],
    }


def message_to_v0_3(message: dict[str, Any]) -> dict[str, Any]:
    converted = {**message, "kind": "message", "role": "user" if message["role"] == "ROLE_USER" else "agent"}
    converted["parts"] = [part_to_v0_3(part) for part in message["parts"]]
    return converted


def _status_to_v0_3(status: dict[str, Any]) -> dict[str, Any]:
    converted = {**status, "state": status["state"].removeprefix("TASK_STATE_").lower().replace("_", "-")}
    if "message" in status:
        converted["message"] = message_to_v0_3(status["message"])
    return converted


def _artifact_to_v0_3(artifact: dict[str, Any]) -> dict[str, Any]:
    return {**artifact, "parts": [part_to_v0_3(part) for part in artifact["parts"]]}


def _push_params_from_v0_3(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """0.3 names the task `id`, except where it sets a config (0.3.0, sections 7.5 to 7.8)."""
    if method.startswith("Create"):
        given = params.get("pushNotificationConfig")
        config = _config_from_v0_3({} if given is None else given)
        if not isinstance(config, dict):
            raise RequestError("pushNotificationConfig must be an object.")
        return {**config, "taskId": params.get("taskId")}
    ours = {"id": "taskId", "pushNotificationConfigId": "id"}
    return {"id": _UNNAMED, **{ours[key]: value for key, value in params.items() if key in ours and value is not None}}


def _config_from_v0_3(config: Any) -> Any:
    """0.3's config names the schemes that the webhook takes; the first is the one the credentials are for."""
    if not isinstance(config, dict):
        return config
    config = {"id": _UNNAMED, **{key: value for key, value in config.items() if value is not None}}
    known_by = config.get("authentication")
    if isinstance(known_by, dict):
        schemes, rest = known_by.get("schemes"), {}
        if known_by.get("credentials") is not None:
            rest["credentials"] = known_by["credentials"]
        named = schemes[0] if isinstance(schemes, list) and schemes else schemes
        config["authentication"] = {"scheme": named, **rest}
    return config


def _config_to_v0_3(config: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in config.items() if key != "taskId"}
    if "authentication" in told:
        known_by = dict(told["authentication"])
        told["authentication"] = {"schemes": [known_by.pop("scheme")], **known_by}
    return {"taskId": config["taskId"], "pushNotificationConfig": told}


def _part_from_v0_3(part: Any, place: int) -> Any:
    if not isinstance(part, dict):
        return part
    kind = part.get("kind")
    rest = {"metadata": part["metadata"]} if "metadata" in part else {}
    if kind == "text":
        return {"text": part.get("text"), **rest}
    if kind == "data":
        # An object in 0.3, and never null.
        return {key: part[key] for key in ("data",) if part.get(key) is not None} | rest
    if kind == "file" and isinstance(part.get("file"), dict):
        file = part["file"]
        names = {"bytes": "raw", "uri": "url", "name": "filename", "mimeType": "mediaType"}
        return {ours: file[theirs] for theirs, ours in names.items() if file.get(theirs) is not None} | rest
    raise RequestError(f"message.parts[{place}] has kind {kind!r}, but must be a text, data or file part.")


def part_to_v0_3(part: dict[str, Any]) -> dict[str, Any]:
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
