"""Lambda's asynchronous invocations, which `sam local start-api` lacks. By them a task runs that nobody watches.

As on AWS, an invocation is accepted at once, and its caller may end. The event is the one that a Function URL makes of
a request (tailrace/agent/dispatch.py), so this makes that request of it again, and sends it to the agent by `sam`.

Source: "Invoke", AWS Lambda API Reference.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.sam_local import say

# As Lambda's: it repeats one that has failed twice, though later.
_TRIES, _PAUSE_S = 3, 1.0


class Invocations:
    """Invokes the agents that `sam local start-api` serves. `http` leads to it; close the invocations first."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._running: set[asyncio.Task[None]] = set()
        self.route = Route("/2015-03-31/functions/{agent}/invocations", self._accept, methods=["POST"])

    async def _accept(self, request: Request) -> Response:
        if (kind := request.headers.get("x-amz-invocation-type")) != "Event":
            detail = f"InvocationType has value {kind!r}, but must be 'Event': agents are asked at /agents/."
            return JSONResponse({"Type": "User", "Message": detail}, 400)
        invocation = asyncio.create_task(self._run(request.path_params["agent"], await request.json()))
        self._running.add(invocation)
        invocation.add_done_callback(self._running.discard)
        return Response(status_code=202)

    async def _run(self, agent: str, event: dict[str, Any]) -> None:
        """Send the event's request. `sam` answers when the agent has no work any more, and 502 if it could not run."""
        path, headers, body = f"/agents/{agent}{event['rawPath']}", event["headers"], event["body"]
        for left in reversed(range(_TRIES)):
            try:
                answer = await self._http.post(path, headers=headers, content=body)
                problem = "" if answer.status_code < 500 else f"{answer.status_code} {answer.text.strip()}"
            except httpx.HTTPError as error:
                problem = str(error) or type(error).__name__
            if not problem:
                return
            say(f"{agent} was not run: sam local start-api: {problem}" + (" (again in a second)" if left else ""))
            if left:
                await asyncio.sleep(_PAUSE_S)

    async def close(self) -> None:
        """Give up the invocations under way."""
        for invocation in self._running:
            invocation.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
