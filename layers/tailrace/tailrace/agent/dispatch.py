"""Dispatch: have an agent look at a task, without waiting for what comes of it. Looking is what takes over.

What is sent is an ordinary request for the task (A2A's GetTask), so an agent has one interface whoever calls.
Locally it is an HTTP POST; on AWS an asynchronous invocation whose payload is the event that a Function URL
would have made of that POST ("Invoking Lambda functions asynchronously", AWS Lambda Developer Guide).
"""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from typing import Any

import httpx

from tailrace.a2a.client import AgentClient
from tailrace.aws import own_function
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.events import encode
from tailrace.log import Head
from tailrace.owner import OWNER_HEADER

logger = logging.getLogger("tailrace.dispatch")

_TASK_NOT_FOUND = -32001


class Dispatch:
    """Dispatches to the agents that `settings` name, and on Lambda to this function itself."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._places = settings.dispatch_places
        self._http = http
        self._sent: set[asyncio.Task[None]] = set()

    async def __call__(self, head: Head) -> bool:
        """Have the task's agent look at it; False if that is known to have failed.

        A failure is logged, never raised: whoever looks next, or the sweeper, is there too.
        """
        place = self._places.get(head.agent) or own_function()
        if place and not place.startswith(("http://", "https://")):
            return await self._invoke(place, head)
        # `make run` knows agents by their folders, and a card may have another name. Those whose task it is not say so.
        urls = [place] if place else self._settings.agents
        if not urls:
            logger.warning("task %s: nothing says where %s is dispatched to", head.task_id, head.agent)
            return False
        for url in urls:
            sent = asyncio.create_task(self._post(url, head), name=f"dispatch {head.task_id}")
            self._sent.add(sent)
            sent.add_done_callback(self._sent.discard)
        return True

    async def close(self) -> None:
        """Wait for what was sent."""
        await asyncio.gather(*self._sent)

    async def _post(self, url: str, head: Head) -> None:
        try:
            client = AgentClient(self._http, url, owner=head.owner, settings=self._settings)
            await client.call("GetTask", _params(head))
        except AgentError as error:
            if error.code == _TASK_NOT_FOUND and head.agent not in self._places:
                return  # one of the others has it
            logger.warning("task %s was not dispatched: %s", head.task_id, error)

    async def _invoke(self, function: str, head: Head) -> bool:
        payload = encode(function_url_event(head))
        try:
            await asyncio.to_thread(_lambda().invoke, FunctionName=function, InvocationType="Event", Payload=payload)
        except Exception as error:  # botocore makes its errors at run time
            logger.warning("task %s was not dispatched to %s: %s", head.task_id, function, error)
            return False
        return True


def function_url_event(head: Head) -> dict[str, Any]:
    """The event of a Function URL for a request that looks at the task (payload format 2.0)."""
    request = {"jsonrpc": "2.0", "id": "dispatch", "method": "GetTask", "params": _params(head)}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "a2a-version": "1.0", OWNER_HEADER: head.owner},
        "requestContext": {
            "domainName": "dispatch",
            "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "stage": "$default",
        },
        "body": encode(request).decode(),
        "isBase64Encoded": False,
    }


def _params(head: Head) -> dict[str, Any]:
    return {"id": head.task_id, "historyLength": 0}


@cache
def _lambda() -> Any:
    import boto3

    return boto3.client("lambda")
