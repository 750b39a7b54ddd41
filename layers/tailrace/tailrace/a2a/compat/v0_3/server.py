"""A2A 0.3 for our server: converts requests from 0.3 to 1.0, and tasks, events and messages from 1.0 to 0.3.

The log has 1.0 only, so each reader of 0.3 costs its own conversion. Source: the 0.3.0 specification, sections 6 and 7.
"""

from __future__ import annotations

import base64
from typing import Any

from msgspec import UNSET

from tailrace.a2a.compat.v0_3 import types as v0_3
from tailrace.a2a.task import Task
from tailrace.a2a.types import PushConfig
from tailrace.errors import RequestError, shorten
from tailrace.events import INTERRUPTED, TERMINAL, Artifact, Event, Message, Part, Status, Submitted

# The method names of 0.3, and the names of the same methods in 1.0.
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
# The names of a file's members in 0.3 (section 6.6), and the members of a 1.0 part that hold the same.
FILE_MEMBERS = {"bytes": "raw", "uri": "url", "name": "filename", "mimeType": "mediaType"}
# The id of a webhook that 0.3 sets and gets without an id (sections 7.5 and 7.6).
_DEFAULT_ID = "default"


def params_from_v0_3(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Convert a 0.3 request's params to those of 1.0's `method`.

    A value that does not fit stays as it is: the types of 1.0 refuse it, and name it.

    Raises:
        RequestError: a part has a `kind` that 0.3 does not have, or `blocking` is not a boolean.
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
        # 0.3 does not say what a request without `blocking` means. Its SDKs wait for the task's end.
        blocking = configuration.pop("blocking", None)
        if not isinstance(blocking, bool | None):
            raise RequestError(
                f"configuration.blocking has value {shorten(repr(blocking))}, but must be true or false."
            )
        configuration["returnImmediately"] = blocking is False
        if "pushNotificationConfig" in configuration:
            config = configuration.pop("pushNotificationConfig")
            configuration["taskPushNotificationConfig"] = _config_from_v0_3(config)
        params["configuration"] = configuration
    return params


def result_to_v0_3(method: str, result: Any) -> Any:
    """A result of 1.0's `method`, as 0.3 has it."""
    if method == "SendMessage":
        return message_to_v0_3(result["message"]) if "message" in result else task_to_v0_3(result["task"])
    if isinstance(result, Task):
        return task_to_v0_3(result)
    if isinstance(result, PushConfig):
        return _config_to_v0_3(result)
    if method == "ListTaskPushNotificationConfigs":
        return [_config_to_v0_3(config) for config in result["configs"]]
    if method == "DeleteTaskPushNotificationConfig":
        return None
    return result


def task_to_v0_3(task: Task | Submitted) -> v0_3.Task:
    """A 1.0 task, or its event 1, as 0.3 has it."""
    converted = v0_3.Task(
        id=task.id, context_id=task.context_id, status=_status_to_v0_3(task.status), metadata=task.metadata
    )
    if task.history is not UNSET:
        converted.history = [message_to_v0_3(message) for message in task.history]
    if isinstance(task, Task) and task.artifacts is not UNSET:
        converted.artifacts = [_artifact_to_v0_3(artifact) for artifact in task.artifacts]
    return converted


def unknown(task_id: str) -> v0_3.StatusUpdate:
    """A status update to 0.3's state `unknown`, in place of an event that cannot be read."""
    return v0_3.StatusUpdate(task_id=task_id, context_id="", status=v0_3.Status("unknown"), final=False)


def event_to_v0_3(event: Event) -> v0_3.Task | v0_3.StatusUpdate | v0_3.ArtifactUpdate:
    """An event of the log as 0.3 streams it."""
    if event.task is not None:
        return task_to_v0_3(event.task)
    if (update := event.status_update) is not None:
        return v0_3.StatusUpdate(
            task_id=update.task_id,
            context_id=update.context_id,
            status=_status_to_v0_3(update.status),
            final=update.status.state in TERMINAL or update.status.state in INTERRUPTED,
            metadata=update.metadata,
        )
    piece = event.artifact_update
    assert piece is not None, "an event is one of the three"
    return v0_3.ArtifactUpdate(
        task_id=piece.task_id,
        context_id=piece.context_id,
        artifact=_artifact_to_v0_3(piece.artifact),
        append=piece.append,
        last_chunk=piece.last_chunk,
        metadata=piece.metadata,
    )


def message_to_v0_3(message: Message) -> v0_3.Message:
    """A 1.0 message as 0.3 has it."""
    return v0_3.Message(
        message_id=message.message_id,
        role="user" if message.role == "ROLE_USER" else "agent",
        parts=[part_to_v0_3(part) for part in message.parts],
        context_id=message.context_id,
        task_id=message.task_id,
        metadata=message.metadata,
        extensions=message.extensions,
        reference_task_ids=message.reference_task_ids,
    )


def part_to_v0_3(part: Part) -> v0_3.Part:
    """A 1.0 part as 0.3 has it."""
    if part.data is not UNSET:
        # 0.3 allows only objects here.
        data = part.data if isinstance(part.data, dict) else {"value": part.data}
        return v0_3.DataPart(data=data, metadata=part.metadata)
    if part.text is not None and part.filename is None:
        return v0_3.TextPart(text=part.text, metadata=part.metadata)
    encoded = part.raw if part.text is None else base64.b64encode(part.text.encode()).decode()
    file = v0_3.FileContent(bytes=encoded, uri=part.url, name=part.filename, mime_type=part.media_type)
    return v0_3.FilePart(file=file, metadata=part.metadata)


def _status_to_v0_3(status: Status) -> v0_3.Status:
    state = status.state.removeprefix("TASK_STATE_").lower().replace("_", "-")
    message = None if status.message is None else message_to_v0_3(status.message)
    return v0_3.Status(state, status.timestamp, message)


def _artifact_to_v0_3(artifact: Artifact) -> v0_3.Artifact:
    return v0_3.Artifact(
        artifact_id=artifact.artifact_id,
        name=artifact.name,
        description=artifact.description,
        parts=[part_to_v0_3(part) for part in artifact.parts],
        metadata=artifact.metadata,
        extensions=artifact.extensions,
    )


def _push_params_from_v0_3(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """0.3 calls the task `id`, except where it sets a webhook (0.3.0, sections 7.5 to 7.8)."""
    if method.startswith("Create"):
        config = params.get("pushNotificationConfig")
        config = _config_from_v0_3({} if config is None else config)
        if not isinstance(config, dict):
            raise RequestError(f"pushNotificationConfig has value {shorten(repr(config))}, but must be an object.")
        return {**config, "taskId": params.get("taskId")}
    config_id = params.get("pushNotificationConfigId")
    return {"taskId": params.get("id"), "id": _DEFAULT_ID if config_id is None else config_id}


def _config_from_v0_3(config: Any) -> Any:
    """0.3 has a list of schemes that the webhook accepts. The credentials are for the first."""
    if not isinstance(config, dict):
        return config
    config = {**config, "id": _DEFAULT_ID if config.get("id") is None else config["id"]}
    authentication = config.get("authentication")
    if isinstance(authentication, dict):
        schemes = authentication.get("schemes")
        scheme = schemes[0] if isinstance(schemes, list) and schemes else schemes
        config["authentication"] = {"scheme": scheme, "credentials": authentication.get("credentials")}
    return config


def _config_to_v0_3(config: PushConfig) -> v0_3.TaskPushConfig:
    converted = v0_3.PushConfig(url=config.url, id=config.id, token=config.token)
    if config.authentication is not None:
        scheme, credentials = config.authentication.scheme, config.authentication.credentials
        converted.authentication = v0_3.PushAuthentication([scheme], credentials)
    return v0_3.TaskPushConfig(config.task_id, converted)


def _part_from_v0_3(part: Any, place: int) -> Any:
    if not isinstance(part, dict):
        return part
    kind = part.get("kind")
    rest = {"metadata": part["metadata"]} if "metadata" in part else {}
    if kind == "text":
        return {"text": part.get("text"), **rest}
    if kind == "data":
        # In 0.3 this is an object. In 1.0 null would be a value.
        return rest if part.get("data") is None else {"data": part["data"], **rest}
    if kind == "file" and isinstance(part.get("file"), dict):
        return {FILE_MEMBERS[key]: value for key, value in part["file"].items() if key in FILE_MEMBERS} | rest
    raise RequestError(f"message.parts[{place}] has kind {kind!r}, but must be a text, data or file part.")
