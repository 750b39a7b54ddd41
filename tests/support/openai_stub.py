"""An OpenAI-compatible server that streams prepared answers word by word over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class OpenAIStub:
    """`answers` maps a word of the system prompt to the answer; an answer of None is a server error."""

    def __init__(self, answers: dict[str, str | None]) -> None:
        self.answers = answers
        self.asked: list[list[dict[str, Any]]] = []
        self.app = Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body["messages"])
        system = body["messages"][0]["content"]
        answer = next((text for word, text in self.answers.items() if word in system), None)
        if answer is None:
            return JSONResponse({"error": {"message": "no model today", "type": "server_error"}}, 400)
        return StreamingResponse(_chunks(answer), media_type="text/event-stream")


async def _chunks(answer: str) -> AsyncIterator[bytes]:
    for word in answer.split(" "):
        yield _chunk({"content": f"{word} "}, None)
    yield _chunk({}, "stop")
    yield b"data: [DONE]\n\n"


def _chunk(delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "stub", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()
