"""Amazon Bedrock's ConverseStream, which streams a prepared answer word by word over real HTTP.

Written from AWS's pages "ConverseStream" (Amazon Bedrock API Reference) and "Event stream encoding" (Amazon Transcribe
Developer Guide, which describes application/vnd.amazon.eventstream).
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.support.openai_stub import at_once

_STRING = 7  # the type of a header's value


class BedrockStub:
    """Answers every question with `answer`. Each word of it is sent when `ready` returns."""

    def __init__(self, answer: str, ready: Callable[[], Awaitable[object]] = at_once) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """The model and the body of each request."""
        self.signers: set[str] = set()
        """The beginnings of the requests' signatures."""
        self.app = Starlette(routes=[Route("/model/{model}/converse-stream", self._converse, methods=["POST"])])
        self._answer = answer
        self._ready = ready

    async def _converse(self, request: Request) -> StreamingResponse:
        self.asked.append((request.path_params["model"], await request.json()))
        self.signers.add(request.headers.get("authorization", "").partition("=")[0])
        return StreamingResponse(self._events(), media_type="application/vnd.amazon.eventstream")

    async def _events(self) -> AsyncIterator[bytes]:
        yield event("messageStart", {"role": "assistant"})
        for word in self._answer.split(" "):
            await self._ready()
            yield event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": f"{word} "}})
        yield event("contentBlockStop", {"contentBlockIndex": 0})
        yield event("messageStop", {"stopReason": "end_turn"})
        usage = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
        yield event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})


def event(kind: str, fields: dict[str, Any]) -> bytes:
    """Return one message: lengths and their CRC, headers, payload, and the CRC of it all."""
    payload = json.dumps(fields).encode()
    headers = b"".join(
        bytes([len(name)]) + name.encode() + bytes([_STRING]) + struct.pack(">H", len(value)) + value.encode()
        for name, value in (
            (":event-type", kind),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))
