"""Dispatch: make an agent read a task, without waiting for its answer. An agent that reads an orphaned task runs it.

A dispatch is an ordinary A2A request (GetTask), so an agent needs no other interface. Nobody reads the answer, and the
request says so: the agent need not read the task's log. Locally it is an HTTP POST. On AWS it is an asynchronous
invocation with the event that a Function URL would make of that POST ("Invoking Lambda functions asynchronously", AWS
Lambda Developer Guide).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx

from tailrace.a2a.client import MINIMAL, AgentClient
from tailrace.aws import on_lambda, own_function
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.events import encode
from tailrace.log import Head
from tailrace.owner import OWNER_HEADER
from tailrace.registry import dispatch_place, own_agent_urls, read_registry
from tailrace.tracing.context import within

logger = logging.getLogger("tailrace.dispatch")

_TASK_NOT_FOUND = -32001


class Dispatch:
    """Dispatches tasks to the agents that `settings` name, and on Lambda those of `agent` to this function itself."""

    def __init__(
        self,
        settings: Settings,
        http: httpx.AsyncClient,
        agent: str | None = None,
        throttled: Callable[[str], None] = lambda function: None,
    ) -> None:
        """`throttled` is called with the name of a function that Lambda takes no more invocations of (429)."""
        self._settings = settings
        self._http = http
        self._agent = agent
        self._throttled = throttled
        self._posts: set[asyncio.Task[None]] = set()

    async def __call__(self, head: Head) -> bool:
        """Make the task's agent read it; False if this has failed.

        Failures are logged and not raised: the next request for the task, or the sweeper, starts it as well. A POST is
        sent in the background, so True does not mean that it has arrived.
        """
        await read_registry(self._settings)
        place = dispatch_place(head.agent, self._settings)
        if not place and head.agent == self._agent:
            place = own_function() or ""
        if place and not _is_url(place):
            return await self._invoke(place, head)
        # `make run` knows agents by their folders, and their cards may have other names. So all of them are asked, and
        # those that do not have the task answer that.
        urls = [place] if place else own_agent_urls(self._settings)
        if not urls or (not place and on_lambda()):
            where = " and ".join(filter(None, ("TAILRACE_DISPATCH", self._settings.registry)))
            logger.warning(
                "task %s was not dispatched: no place for the agent %s in %s", head.task_id, head.agent, where
            )
            return False
        for url in urls:
            post = asyncio.create_task(self._post(url, head), name=f"dispatch {head.task_id}")
            self._posts.add(post)
            post.add_done_callback(self._posts.discard)
        return True

    async def invokes(self, agent: str) -> bool:
        """Whether the agent is a Lambda function that is known here, which is invoked and not asked by its URL."""
        await read_registry(self._settings)
        place = dispatch_place(agent, self._settings)
        return bool(place) and not _is_url(place)

    async def close(self) -> None:
        """Wait for the requests under way."""
        await asyncio.gather(*self._posts)

    async def _post(self, url: str, head: Head) -> None:
        try:
            client = AgentClient(self._http, url, owner=head.owner, settings=self._settings)
            with within(head.trace):
                await client.visit(head.task_id)
        except AgentError as error:
            if error.code == _TASK_NOT_FOUND and not dispatch_place(head.agent, self._settings):
                return  # Another of the agents has it.
            logger.warning("task %s was not dispatched: %s", head.task_id, error)

    async def _invoke(self, function: str, head: Head) -> bool:
        payload = encode(function_url_event(head))

        def invoke() -> None:  # in a thread with the client, which takes a moment to make
            lambda_client().invoke(FunctionName=function, InvocationType="Event", Payload=payload)

        try:
            await asyncio.to_thread(invoke)
        except Exception as error:  # botocore makes its errors at run time
            logger.warning("task %s was not dispatched to %s: %s", head.task_id, function, error)
            if _status_of(error) == 429:
                self._throttled(function)
            return False
        return True


def _status_of(error: Exception) -> int:
    """The HTTP status in an error of botocore's, 0 if there is none."""
    return int(getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_url(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def function_url_event(head: Head) -> dict[str, Any]:
    """The event that a Function URL makes of a GetTask request for the task (payload format 2.0)."""
    request = {"jsonrpc": "2.0", "id": "dispatch", "method": "GetTask", "params": {"id": head.task_id}}
    # As a reader that has the first event: the agent takes the task for a new one, and need not read its head.
    new = {"last-event-id": "1"} if head.attempt == 0 else {}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {
            "content-type": "application/json",
            "a2a-version": "1.0",
            OWNER_HEADER: head.owner,
            **MINIMAL,
            **new,
        },
        "requestContext": {
            "domainName": "dispatch",
            "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "stage": "$default",
        },
        "body": encode(request).decode(),
        "isBase64Encoded": False,
    }


@cache
def lambda_client() -> Any:
    """The process's client of Lambda.

    An asynchronous invocation is accepted or refused at once. A try that is repeated may invoke the agent twice, which
    does no harm.
    """
    from botocore.config import Config
    from botocore.session import get_session

    config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
    return get_session().create_client("lambda", config=config)
