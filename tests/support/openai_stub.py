"""An OpenAI-compatible server that streams prepared answers word by word over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


async def at_once() -> None:
    return


class OpenAIStub:
    """`answers` maps a word of the first message to the answer; an answer of None is a server error.

    Each word of an answer is sent when `ready` returns; that is at once, unless a test waits in it.
    """

    def __init__(self, answers: dict[str, str | None], ready: Callable[[], Awaitable[object]] = at_once) -> None:
        self.answers = answers
        self.asked: list[list[dict[str, Any]]] = []
        self.keys: set[str] = set()
        """The keys with which it was asked."""
        self._ready = ready
        self.app = Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body["messages"])
        self.keys.add(request.headers["authorization"].removeprefix("Bearer "))
        system = body["messages"][0]["content"]
        answer = next((text for word, text in self.answers.items() if word in system), None)
        if answer is None:
            return JSONResponse({"error": {"message": "no model today", "type": "server_error"}}, 400)
        return StreamingResponse(self._chunks(answer), media_type="text/event-stream")

    async def _chunks(self, answer: str) -> AsyncIterator[bytes]:
        for word in answer.split(" "):
            await self._ready()
            yield _chunk({"content": f"{word} "}, None)
        yield _chunk({}, "stop")
        yield b"data: [DONE]\n\n"


def _chunk(delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "stub", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()
