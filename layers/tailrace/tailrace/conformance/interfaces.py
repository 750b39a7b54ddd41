"""The interfaces to a task: the browser's, and A2A's in both bindings, both methods and both versions."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

EXTENSION = "urn:tailrace:a2a:resume:1"
TERMINAL = {"COMPLETED", "FAILED", "CANCELED", "REJECTED"}
WAITING = {"INPUT_REQUIRED", "AUTH_REQUIRED"}
VIAS = ("browser", "subscribe", "send", "rest", "rest-send", "0.3")

# The status or code of each refusal, by interface (PROTOCOL.md, 5.5 and 6.9).
BROWSER_REFUSALS = {
    "invalid": 400,
    "unknown": 404,
    "finished": 409,
    "not waiting": 409,
    "conflict": 422,
    "over": 409,
    "full": 503,
}
RPC_REFUSALS = {
    "invalid": -32602,
    "unknown": -32001,
    "finished": -32004,
    "not waiting": -32004,
    "conflict": -32602,
    "over": -32002,
}
REST_REFUSALS = {"invalid": 400, "unknown": 404, "finished": 400, "not waiting": 400, "conflict": 400, "over": 400}


def card_url(url: str) -> str:
    """Where the card of the agent at `url` is, which may be the card's own address."""
    return url if httpx.URL(url).path.endswith(".json") else f"{url.rstrip('/')}/.well-known/agent-card.json"


@dataclass
class Task:
    """A task that a scenario has created, and the message that created it."""

    id: str
    message: dict[str, Any]


class Interface:
    """One interface at a URL. `headers` identify the user. `rpc` is where the agent speaks JSON-RPC."""

    def __init__(self, via: str, url: str, headers: dict[str, str], *, rpc: str) -> None:
        self.via = via
        self.url = url.rstrip("/")
        self.headers = headers
        self.rpc = rpc

    @property
    def browser(self) -> bool:
        return self.via == "browser"

    @property
    def bare(self) -> bool:
        """Whether events come without an envelope."""
        return self.via in ("rest", "rest-send")

    @property
    def sends(self) -> bool:
        """Whether a stream is opened by sending the message again."""
        return self.via in ("send", "rest-send")

    def message(self, text: str, key: str = "", **fields: Any) -> dict[str, Any]:
        if self.browser:
            return {"parts": [{"text": text}], **fields}
        return {"messageId": key or str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"text": text}], **fields}

    def creation(self, text: str, key: str) -> tuple[httpx.Request, dict[str, Any]]:
        """The request that creates a task, and its message. The same request again creates no second task."""
        message = self.message(text, key)
        if self.browser:
            headers = {"Idempotency-Key": key}
            return self._request("POST", "/api/tasks", {"message": message}, headers), message
        params = {"message": message, "configuration": {"returnImmediately": True}}
        return self.call("SendMessage", params), message

    def created(self, answer: Any) -> str:
        """The task's id in the response to its creation."""
        return str(answer["id"] if self.browser else answer["result"]["task"]["id"])

    def opening(self, task: Task, cursor: str | None, place: str) -> httpx.Request:
        """The request that opens a stream. The cursor's `place` is `header`, `query`, or `both` (a stale query)."""
        headers = {"Accept": "text/event-stream"}
        if cursor is not None and place != "query":
            headers["Last-Event-ID"] = cursor
        if self.browser:
            query = {"query": f"?cursor={cursor}", "both": "?cursor=1"}.get(place, "")
            return self._request("GET", f"/api/stream/{task.id}{query}", None, headers)
        if self.bare:
            headers = {**headers, "A2A-Version": "1.0", "A2A-Extensions": EXTENSION}
            if self.sends:
                return self._request("POST", "/message:stream", {"message": task.message}, headers)
            return self._request("GET", f"/tasks/{task.id}:subscribe", None, headers)
        if self.sends:
            return self.call("SendStreamingMessage", {"message": task.message}, headers)
        return self.call("SubscribeToTask", {"id": task.id}, headers)

    def reply(self, task: Task, text: str, key: str) -> httpx.Request:
        if self.browser:
            body = {"message": self.message(text, messageId=key)}
            return self._request("POST", f"/api/tasks/{task.id}/messages", body)
        message = self.message(text, key, taskId=task.id)
        return self.call("SendMessage", {"message": message, "configuration": {"returnImmediately": True}})

    def streamed_reply(self, task: Task, text: str, key: str, cursor: str | None) -> httpx.Request:
        answer = Task(task.id, self.message(text, key, taskId=task.id))
        return self.opening(answer, cursor, "header")

    def cancel(self, task: Task) -> httpx.Request:
        if self.browser:
            return self._request("POST", f"/api/tasks/{task.id}/cancel", {})
        return self.call("CancelTask", {"id": task.id})

    def reading(self, task: Task) -> httpx.Request:
        """The request for the whole task."""
        if self.browser:
            return self._request("GET", f"/api/tasks/{task.id}")
        return self.call("GetTask", {"id": task.id})

    def call(self, method: str, params: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Request:
        """A JSON-RPC request. With the interface 0.3, a stream is opened by 0.3's method."""
        version = "1.0"
        if self.via == "0.3" and method == "SubscribeToTask":
            method, version = "tasks/resubscribe", "0.3"
        body = {"jsonrpc": "2.0", "id": self.rpc_id, "method": method, "params": params}
        own_headers = {"A2A-Version": version, "X-A2A-Extensions" if version == "0.3" else "A2A-Extensions": EXTENSION}
        return self._asked("POST", self.rpc, body, {**own_headers, **(headers or {})})

    @property
    def rpc_id(self) -> str:
        return f"a {self.via} stream"

    def card(self) -> httpx.Request:
        return self._asked("GET", card_url(self.url))

    def refusal(self, why: str) -> int:
        """The HTTP status or JSON-RPC code of a refusal."""
        if self.browser:
            return BROWSER_REFUSALS[why]
        return REST_REFUSALS[why] if self.bare else RPC_REFUSALS[why]

    def _request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Request:
        return self._asked(method, self.url + path, body, headers)

    def _asked(self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Request:
        content = None if body is None else json.dumps(body).encode()
        kind = {"Accept": "application/json", **({} if body is None else {"Content-Type": "application/json"})}
        return httpx.Request(method, url, content=content, headers={**self.headers, **kind, **(headers or {})})


@dataclass
class Event:
    """An event of either version, as the rules read it. `state` is its state without the prefix, or None."""

    form: str
    task: str
    state: str | None
    meta: dict[str, Any]
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.meta.get("kind", ""))

    @property
    def text(self) -> tuple[str, str, bool] | None:
        """The artifact's id, the text, and whether it is appended; None if the event has no text."""
        artifact = self.body.get("artifact")
        if artifact is None or not all("text" in part for part in artifact["parts"]):
            return None
        return (
            artifact["artifactId"],
            "".join(part["text"] for part in artifact["parts"]),
            bool(self.body.get("append")),
        )


def event_of(payload: Any) -> Event:
    """Read an event. Raises KeyError, TypeError or ValueError if it is not an event of either version."""
    if "kind" in payload:
        form, body = (
            {"task": "task", "status-update": "statusUpdate", "artifact-update": "artifactUpdate"}[payload["kind"]],
            payload,
        )
    else:
        ((form, body),) = payload.items()
    status = body.get("status")
    state = None if status is None else status["state"].upper().replace("-", "_").removeprefix("TASK_STATE_")
    meta = (body.get("metadata") or {}).get(EXTENSION) or {}
    return Event(form, body["id" if form == "task" else "taskId"], state, meta, body)
