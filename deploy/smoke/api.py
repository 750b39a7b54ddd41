"""Requests to the deployment, as the page makes them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Awaitable
from typing import Any

import httpx

from deploy.smoke.report import SmokeError
from deploy.smoke.stream import Connection, StreamRecord

# How much of an answer an error shows.
_SHOWN = 300


def remedy_of(answer: httpx.Response) -> str:
    """Return what to do about an answer that should have been another one."""
    return {
        200: "the address is another site's: the output Url of the stack has the right one.",
        401: "SECRET or TOKEN is not one of the deployment: `make smoke URL=… SECRET=…`, or TOKEN=… of `make token`. "
        "With Auth=… only a TOKEN counts.",
        403: 'AWS refused the request: OPERATIONS.md, "When something is wrong", has the two causes.',
        429: "the account has no execution left: SCALE.md says how to ask for more.",
    }.get(answer.status_code, 'look into the log group of the gateway with `filter level = "ERROR"`.')


def value_in(answer: httpx.Response, what: str, *path: str) -> Any:
    """Return the value that the answer to `what` has at a path of keys.

    Raises:
        SmokeError: it is no JSON, or has no such key.
    """
    try:
        value = answer.json()
        for key in path:
            value = value[key]
    except (ValueError, LookupError, TypeError):
        text = f"{what} answered {answer.status_code} without `{'.'.join(path)}`: {answer.text[:_SHOWN]}"
        raise SmokeError(text, remedy_of(answer)) from None
    return value


class Api:
    """The deployment behind `http`. `secret` is the gateway's, `token` a machine's; empty if there is none."""

    def __init__(self, http: httpx.AsyncClient, secret: str, token: str = "") -> None:
        self.http = http
        self.secret = secret
        self.known = {"x-tailrace-secret": secret} if secret else {}
        if token:
            self.known = {"authorization": f"Bearer {token}"}
        # The tasks that were created, for the bill.
        self.tasks: list[str] = []

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers={**self.known, **headers})

    async def post(self, path: str, value: Any) -> httpx.Response:
        body = json.dumps(value).encode()
        # CloudFront needs the digest to sign the request to the gateway.
        digest = {"content-type": "application/json", "x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
        return await self.http.post(path, content=body, headers={**self.known, **digest})

    async def create(self, message: dict[str, Any]) -> str:
        """Create a task; return its id.

        Raises:
            SmokeError: it was refused.
        """
        answer = await self.post("/api/tasks", {"message": message})
        if answer.status_code != 201:
            raise SmokeError(
                f"POST /api/tasks answered {answer.status_code}: {answer.text[:_SHOWN]}", remedy_of(answer)
            )
        task_id = str(value_in(answer, "POST /api/tasks", "id"))
        self.tasks.append(task_id)
        return task_id

    async def state(self, task_id: str) -> str:
        """Return the state of a task.

        Raises:
            SmokeError: it was not told.
        """
        answer = await self.get(f"/api/tasks/{task_id}")
        return str(value_in(answer, f"GET /api/tasks/{task_id}", "status", "state"))

    async def read(self, task_id: str, record: StreamRecord, stop_after: int | None = None) -> None:
        """Read on from the record's cursor until the end, a cut by the server, or `stop_after` events in all.

        Raises:
            SmokeError: the stream cannot be opened, or an event was lost or repeated.
        """
        cursor, connection = len(record.events), Connection(record, stop_after)
        headers = {**self.known, "accept": "text/event-stream", "last-event-id": str(cursor)}
        where = f"GET /api/stream at cursor {cursor}"
        try:
            async with self.http.stream("GET", f"/api/stream/{task_id}", headers=headers) as answer:
                if answer.status_code == 204:
                    # The `end` frame was lost.
                    record.end = {"state": await self.state(task_id), "seq": cursor}
                    return
                if answer.status_code != 200:
                    text = (await answer.aread()).decode(errors="replace")
                    remedy = "look into the log group of the gateway for this task's id."
                    raise SmokeError(f"{where} answered {answer.status_code}: {text[:_SHOWN]}", remedy)
                async for chunk in answer.aiter_raw():
                    if connection.note_chunk(chunk):
                        return
        except httpx.TransportError as error:
            if not connection.has_begun:
                remedy = (
                    "if it took a minute, the gateway sent nothing: CloudFront waits for 60 s. Look into its log group "
                    "for `platform.report` with the status `timeout`."
                )
                raise SmokeError(f"{where}: {error or type(error).__name__}", remedy) from None
            # The stream was cut. The next connection resumes it.
        finally:
            connection.close()


async def timed(answer: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
    """Return an answer, and how long it took in seconds."""
    started = time.monotonic()
    return await answer, time.monotonic() - started
