"""On SIGTERM every open stream ends with `retry: 250` within the graceful shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.events import message
from tests.support.jsonrpc import rpc
from tests.support.processes import UVICORN, listen, start_server, url_of

_UVICORN = (*UVICORN, "--timeout-graceful-shutdown", "60")
_GATEWAYS = {
    "uvicorn": (*_UVICORN, "--factory", "gateway.app:create_app"),
    "make run": ("-m", "local.serve", "gateway"),
}
_SECRET = "correct-horse-battery-staple"
_AGENT = (*_UVICORN, "tests.sample_agents.slow_steps:app")


@dataclass
class Server:
    """A server process, and a client of it."""

    process: asyncio.subprocess.Process
    http: httpx.AsyncClient

    async def terminate_while_reading(self, method: str, path: str, until: bytes, **request: Any) -> tuple[bytes, str]:
        """Open a stream and send SIGTERM after `until`; return the stream and the process's stderr."""
        body, stopping = b"", None
        async with self.http.stream(method, path, **request) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if until in body and stopping is None:
                    self.process.send_signal(signal.SIGTERM)
                    stopping = asyncio.create_task(self.process.communicate())
        assert stopping is not None, f"the stream ended by itself: {body!r}"
        _, stderr = await stopping
        return body, stderr.decode()


@contextlib.asynccontextmanager
async def server(arguments: tuple[str, ...], folder: Path) -> AsyncIterator[Server]:
    """Run `python` with `arguments` as a server on a free port of loopback."""
    with listen() as listener:
        url = url_of(listener)
        process = await start_server(
            listener,
            arguments,
            {"TAILRACE_DATA_DIR": str(folder), "TAILRACE_RUN_SECRET": _SECRET},
            stdin=asyncio.subprocess.PIPE,  # functions of `make run` end when their stdin closes
            stderr=asyncio.subprocess.PIPE,
        )
    try:
        bearer = f"Bearer {_SECRET}"
        headers = {"content-type": "application/json", "a2a-version": "1.0", "authorization": bearer}
        async with httpx.AsyncClient(base_url=url, timeout=60, headers=headers) as http:
            yield Server(process, http)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("kind", _GATEWAYS)
async def test_a_stopping_gateway_ends_its_streams_with_a_retry(kind: str, tmp_path: Path) -> None:
    async with server(_GATEWAYS[kind], tmp_path) as gateway:
        # No agent runs the task, so its stream stays open.
        task = (await gateway.http.post("/api/tasks", json={"message": {"parts": [{"text": "hello"}]}})).json()
        body, stderr = await gateway.terminate_while_reading("GET", task["streamUrl"], b"event: sync")
        assert body.endswith(b"\n\nretry: 250\n\n")
        assert b"event: end" not in body
        assert "Cancel" not in stderr
        assert "Traceback" not in stderr
        assert gateway.process.returncode == -signal.SIGTERM


async def test_a_stopping_agent_ends_its_streams_with_a_retry(tmp_path: Path) -> None:
    call = rpc("SendStreamingMessage", {"message": message("2 events, 60000 ms apart")})
    async with server(_AGENT, tmp_path) as agent:
        body, stderr = await agent.terminate_while_reading("POST", "/", b"step 1", json=call)
        assert body.endswith(b"}\n\nretry: 250\n\n")
        assert "Cancel" not in stderr
        assert "Traceback" not in stderr
        assert agent.process.returncode == -signal.SIGTERM
