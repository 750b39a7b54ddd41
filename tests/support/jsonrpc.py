"""A2A for tests without Tailrace's client: requests as JSON, and streams as numbered frames."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import httpx

from tailrace.events import INTERRUPTED
from tailrace.log.base import EventLog
from tests.support.events import TERMINAL, message, metadata, state_of


class Frame(NamedTuple):
    """One event of a stream: its `id:` and the `result` in its data."""

    id: int | None
    result: dict[str, Any]


class Agent:
    """A served agent, and JSON-RPC calls to it."""

    def __init__(self, http: httpx.AsyncClient, url: str, log: EventLog) -> None:
        self.http = http
        self.url = url
        self.log = log

    async def post(self, body: bytes, *, version: str | None = "1.0", **headers: str) -> httpx.Response:
        return await self.http.post(self.url + "/", content=body, headers=_headers(version, headers))

    async def call(self, method: str, params: Any = None, *, version: str | None = "1.0", **headers: str) -> Any:
        """The whole JSON-RPC response."""
        response = await self.post(_content(method, params), version=version, **headers)
        assert response.headers["content-type"] == "application/json"
        answer = response.json()
        assert answer["jsonrpc"] == "2.0"
        assert ("result" in answer) != ("error" in answer)
        return answer

    async def result(self, method: str, params: Any = None, **options: Any) -> Any:
        answer = await self.call(method, params, **options)
        assert "result" in answer, answer
        return answer["result"]

    async def error(self, method: str, params: Any = None, **options: Any) -> dict[str, Any]:
        answer = await self.call(method, params, **options)
        assert "error" in answer, answer
        return dict(answer["error"])

    @contextlib.asynccontextmanager
    async def stream(
        self, method: str, params: Any, *, cursor: object = None, version: str | None = "1.0", **headers: str
    ) -> AsyncIterator[AsyncIterator[Frame]]:
        """Yield the frames of a streaming method as they arrive; leaving the block closes the connection."""
        if cursor is not None:
            headers["last_event_id"] = str(cursor)
        request = {"content": _content(method, params), "headers": _headers(version, headers)}
        async with self.http.stream("POST", self.url + "/", **request) as response:  # type: ignore[arg-type]
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream"), await response.aread()
            assert response.headers["cache-control"] == "no-store"
            yield _frames(response)

    async def frames(self, method: str, params: Any, **options: Any) -> list[Frame]:
        """All frames of a stream that the server ends."""
        async with self.stream(method, params, **options) as frames:
            return [frame async for frame in frames]

    async def begin(self, text: str, **options: Any) -> dict[str, Any]:
        """Start a task and return without waiting for it."""
        configuration = {"returnImmediately": True}
        sent = await self.result("SendMessage", {"message": message(text), "configuration": configuration}, **options)
        return dict(sent["task"])

    async def until(self, task_id: str, wanted: Callable[[Frame], bool]) -> list[Frame]:
        """Read the task's frames from the first up to one that is `wanted`, also over streams that rotate."""
        found: list[Frame] = []
        while not found or state_of(found[-1].result) not in {*TERMINAL, *INTERRUPTED}:
            cursor = next((frame.id for frame in reversed(found) if frame.id is not None), 0)
            async with self.stream("SubscribeToTask", {"id": task_id}, cursor=cursor) as frames:
                async for frame in frames:
                    found.append(frame)
                    if wanted(frame):
                        return found
        raise AssertionError(f"The stream ended without the wanted frame: {found}")

    async def finished(self, task_id: str) -> list[dict[str, Any]]:
        """Wait until the task is finished; return all its events, checked to be without gaps."""
        await self.until(task_id, lambda frame: state_of(frame.result) in TERMINAL)
        return await self.events(task_id)

    async def events(self, task_id: str) -> list[dict[str, Any]]:
        """Return the task's events in the log, checked to be without gaps."""
        found: list[dict[str, Any]] = []
        while batches := await self.log.read(task_id, len(found)):
            for batch in batches:
                assert batch.seq == len(found) + 1
                found += [json.loads(event) for event in batch.events]
        assert [metadata(event)["seq"] for event in found] == list(range(1, len(found) + 1))
        return found


def nested(levels: int) -> Any:
    """`levels` arrays, each inside the previous one."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def rpc(method: str, params: Any = None) -> dict[str, Any]:
    """The body of a request to call `method`; its id is "q"."""
    body = {"jsonrpc": "2.0", "id": "q", "method": method}
    return body if params is None else {**body, "params": params}


def _content(method: str, params: Any) -> bytes:
    return json.dumps(rpc(method, params)).encode()


def _headers(version: str | None, extra: dict[str, str]) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if version is not None:
        headers["A2A-Version"] = version
    return headers | {name.replace("_", "-"): value for name, value in extra.items()}


async def _frames(response: httpx.Response) -> AsyncIterator[Frame]:
    seq: int | None = None
    async for line in response.aiter_lines():
        if line.startswith("id: "):
            seq = int(line[4:])
        elif line.startswith("data: "):
            answer = json.loads(line[6:])
            assert (answer["jsonrpc"], answer["id"]) == ("2.0", "q")
            yield Frame(seq, answer["result"])
            seq = None
        else:
            assert line in ("", ":", ": "), f"not a line of a stream: {line!r}"
