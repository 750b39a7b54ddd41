"""Scripted agents that do not use Tailrace, on real HTTP servers, and the real orchestrator that asks them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from orchestrator import graph as orchestrator
from tailrace.events import EXTENSION
from tests.support.gateway import Seen, System
from tests.support.http import serve
from tests.support.in_process import system

Call = dict[str, Any]
Reply = Callable[[Call], Response]
LOGS = {"text": "2026-01-01T00:00:00Z ERROR disk full\n" * 5, "filename": "app.log"}
SKILL = {"id": "logs", "name": "Logs", "description": "Analyses logs.", "tags": ["logs"]}
OURS = {"A2A-Extensions": EXTENSION}
TASK = {"id": "t", "contextId": "c"}
WORKING = {**TASK, "status": {"state": "TASK_STATE_WORKING"}}
DONE = {**TASK, "status": {"state": "TASK_STATE_COMPLETED"}}
SAID = {"artifactId": "a", "name": "answer", "parts": [{"text": "Disk sdb is full."}]}
ANSWERED = {**DONE, "artifacts": [SAID]}


def result(value: Any) -> Reply:
    return lambda call: JSONResponse({"jsonrpc": "2.0", "id": call["id"], "result": value})


def error(code: int, text: str = "No.") -> Reply:
    return lambda call: JSONResponse({"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": text}})


def stream(*events: Any, end: str = "\n", ours: bool = False, indent: int | None = None) -> Reply:
    """The events as SSE. `ours` numbers them and names our extension; `indent` spreads the JSON over lines."""

    def answer(call: Call) -> Response:
        body = ""
        for number, event in enumerate(events, 1):
            data = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": event}, indent=indent)
            frame = [f"id: {number}"] if ours else []
            body += end.join([*frame, *(f"data: {line}" for line in data.split("\n")), "", ""])
        return Response(body, media_type="text/event-stream", headers=OURS if ours else {})

    return answer


def held(begun: Reply, gate: asyncio.Event) -> Reply:
    """A stream that sends its events and stays open until the gate opens."""

    def answer(call: Call) -> Response:
        whole = begun(call)

        async def body() -> AsyncIterator[bytes]:
            yield bytes(whole.body)
            await gate.wait()

        return StreamingResponse(body(), media_type="text/event-stream", headers=OURS)

    return answer


class Peer:
    """An agent that sends a prepared reply to each method. `asked` lists the methods that were called, in order."""

    def __init__(self, card: dict[str, Any] | None = None, path: str = "/rpc", **replies: Reply) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.path = path
        self._card = {"name": "peer", "skills": [SKILL], **(card or {})}
        self._replies = replies

    def card(self, request: Request) -> Response:
        interface = {"url": self.url + self.path, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        return JSONResponse({"supportedInterfaces": [interface], **self._card})

    async def rpc(self, request: Request) -> Response:
        call = await request.json()
        self.asked.append(call["method"])
        self.headers.append(dict(request.headers))
        reply = self._replies.get(call["method"].replace("/", "_"), error(-32601, "Method not found"))
        return reply(call)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/agent-card.json", self.card),
                Route("/rpc", self.rpc, methods=["POST"]),
                Route("/moved", moved, methods=["POST"]),
                Route("/away", away, methods=["POST"]),
            ]
        )


async def moved(request: Request) -> Response:
    return Response(status_code=308, headers={"Location": "/rpc"})


async def away(request: Request) -> Response:
    return Response(status_code=307, headers={"Location": "http://127.0.0.1:9/rpc"})


@contextlib.asynccontextmanager
async def served(patch: pytest.MonkeyPatch, *peers: Peer, **settings: str) -> AsyncIterator[None]:
    """Serve the peers, and make them the orchestrator's specialists in the environment."""
    async with contextlib.AsyncExitStack() as serving:
        for peer in peers:
            peer.url = await serving.enter_async_context(serve(peer.app))
        patch.setenv("TAILRACE_SPECIALIST_URLS", ",".join(peer.url for peer in peers))
        for variable, value in settings.items():
            patch.setenv(variable, value)
        yield


@contextlib.asynccontextmanager
async def asked(folder: Path, patch: pytest.MonkeyPatch, *peers: Peer, **settings: str) -> AsyncIterator[System]:
    """Serve the real orchestrator behind a gateway, with the peers as its specialists; `settings` are variables."""
    async with served(patch, *peers, **settings), system(orchestrator.builder, folder) as sut:
        yield sut


async def reported(sut: System) -> tuple[str, Seen]:
    """Run a task about some logs; return its report or its answer without Markdown's escapes, and all its events.

    The task has to complete.
    """
    task_id = await sut.post({"text": "what happened?"}, LOGS)
    seen = await sut.read(task_id)
    assert seen.state == "TASK_STATE_COMPLETED"
    task = (await sut.http.get(f"/api/tasks/{task_id}")).json()
    (report,) = [artifact for artifact in task["artifacts"] if artifact["name"] in ("report", "response")]
    return "".join(part["text"] for part in report["parts"]).replace("\\", ""), seen
