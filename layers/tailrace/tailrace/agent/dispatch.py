"""Dispatch: make an agent read a task, without waiting for its answer. An agent that reads an orphaned task runs it.

A dispatch is an ordinary A2A request (GetTask), so an agent needs no other interface. Locally it is an HTTP POST. On
AWS it is an asynchronous invocation with the event that a Function URL would make of that POST ("Invoking Lambda
functions asynchronously", AWS Lambda Developer Guide).
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
    """Dispatches tasks to the agents that `settings` name, and on Lambda also to this function itself."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._places = settings.dispatch_places
        self._http = http
        self._posts: set[asyncio.Task[None]] = set()

    async def __call__(self, head: Head) -> bool:
        """Make the task's agent read it; False if this has failed.

        Failures are logged and not raised: the next request for the task, or the sweeper, starts it as well. A POST is
        sent in the background, so True does not mean that it has arrived.
        """
        place = self._places.get(head.agent) or own_function()
        if place and not place.startswith(("http://", "https://")):
            return await self._invoke(place, head)
        # `make run` knows agents by their folders, and their cards may have other names. So all of them are asked, and
        # those that do not have the task answer that.
        urls = [place] if place else self._settings.agents
        if not urls:
            logger.warning(
                "task %s was not dispatched: TAILRACE_DISPATCH has no place for the agent %s", head.task_id, head.agent
            )
            return False
        for url in urls:
            post = asyncio.create_task(self._post(url, head), name=f"dispatch {head.task_id}")
            self._posts.add(post)
            post.add_done_callback(self._posts.discard)
        return True

    async def close(self) -> None:
        """Wait for the requests under way."""
        await asyncio.gather(*self._posts)

    async def _post(self, url: str, head: Head) -> None:
        try:
            client = AgentClient(self._http, url, owner=head.owner, settings=self._settings)
            await client.call("GetTask", _params(head))
        except AgentError as error:
            if error.code == _TASK_NOT_FOUND and head.agent not in self._places:
                return  # Another of the agents has it.
            logger.warning("task %s was not dispatched: %s", head.task_id, error)

    async def _invoke(self, function: str, head: Head) -> bool:
        payload = encode(function_url_event(head))
        try:
            await asyncio.to_thread(
                lambda_client().invoke, FunctionName=function, InvocationType="Event", Payload=payload
            )
        except Exception as error:  # botocore makes its errors at run time
            logger.warning("task %s was not dispatched to %s: %s", head.task_id, function, error)
            return False
        return True


def function_url_event(head: Head) -> dict[str, Any]:
    """The event that a Function URL makes of a GetTask request for the task (payload format 2.0)."""
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
def lambda_client() -> Any:
    """The process's client of Lambda."""
    import boto3

    return boto3.client("lambda")
