"""The three emulators of Lambda in these tests, with one interface.

Ours is the strictest. cargo-lambda's emulator is independent of us and streams. AWS's runtime interface emulator has
the state machine of the real Runtime API; it has no Function URLs and buffers responses.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.emulator import Emulator
from tests.runtime.events import function_url_event
from tests.support.processes import reserved_port

FUNCTIONS = Path(__file__).parent / "functions"
_CACHE = Path(__file__).parents[2] / ".cache"
_HANDLER = "app.handler"
MakeEvent = Callable[..., dict[str, Any]]


@dataclass
class ReceivedResponse:
    """A response as the client received it. `cut` tells whether it ended early."""

    status: int
    headers: httpx.Headers
    cookies: list[str]
    body: bytes
    cut: bool = False


@dataclass
class Front:
    """A function that answers over HTTP."""

    url: str
    processes: Callable[[], list[int]]
    """The ids of the function's processes."""
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=60))
    log: Callable[[], str] = lambda: ""

    async def ask(
        self, method: str, target: str, *, headers: list[tuple[str, str]] | None = None, body: bytes = b""
    ) -> ReceivedResponse:
        async with self.http.stream(method, self.url + target, headers=headers, content=body or None) as response:
            received, cut = bytearray(), False
            try:
                async for data in response.aiter_raw():
                    received += data
            except httpx.TransportError:
                cut = True
        cookies = response.headers.get_list("set-cookie")
        return ReceivedResponse(response.status_code, response.headers, cookies, bytes(received), cut)


@contextlib.asynccontextmanager
async def ours(
    layer: Path, function: str, handler: str = _HANDLER, *, event: MakeEvent = function_url_event, **environ: str
) -> AsyncIterator[Front]:
    """The strict emulator."""
    async with Emulator(
        layer, FUNCTIONS / function, handler, python=sys.executable, environ=environ, event=event
    ) as emulator:
        front = Front(emulator.url, lambda: [e.process.pid for e in emulator.environments])
        front.log = lambda: "\n".join(emulator.log)
        async with front.http:
            yield front


@contextlib.asynccontextmanager
async def cargo_lambda(layer: Path, function: str, handler: str = _HANDLER, **environ: str) -> AsyncIterator[Front]:
    """`cargo-lambda lambda watch` with one runtime process for its function `fn`."""
    program = cargo_lambda_program()
    stub = layer.parent / "cargo-stub"
    stub.mkdir(exist_ok=True)
    cargo = stub / "cargo"
    cargo.write_text(_CARGO)
    cargo.chmod(0o755)
    reservations = contextlib.ExitStack()
    port = reservations.enter_context(reserved_port())
    watch = await asyncio.create_subprocess_exec(
        *(program, "lambda", "watch", "--only-lambda-apis", "--disable-cors", "-A", "127.0.0.1", "-P", str(port)),
        cwd=stub,
        env={
            "LANG": "C.UTF-8",
            "PATH": f"{stub}:/usr/bin:/bin",
            "HOME": str(stub),
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    runtime: asyncio.subprocess.Process | None = None
    try:
        await _listens(port, watch)
        runtime = await asyncio.create_subprocess_exec(
            *(str(layer / "tailrace-runtime"), sys.executable, "/var/runtime/bootstrap.py"),
            env=_environ(function, handler, environ) | {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}/.rt/fn"},
            start_new_session=True,
        )
        pid = runtime.pid
        front = Front(f"http://127.0.0.1:{port}/lambda-url/fn", lambda: [pid])
        async with front.http:
            yield front
    finally:
        for process in (runtime, watch):
            if process is not None:
                _kill(process)
                await process.wait()
        reservations.close()


class EventClient(httpx.AsyncBaseTransport):
    """Turns each request into an event, for an emulator without Function URLs, and reads the prelude."""

    def __init__(self, invoke_url: str, event: MakeEvent) -> None:
        self._url = invoke_url
        self._event = event
        self._http = httpx.AsyncClient(timeout=60)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pairs = [(name, value) for name, value in request.headers.items() if name != "host"]
        event = self._event(request.method, request.url.raw_path.decode(), pairs, await request.aread())
        whole = (await self._http.post(self._url, json=event)).content
        prelude, nuls, body = whole.partition(bytes(8))
        if not nuls:
            return httpx.Response(502, stream=_Whole(whole))
        fields = json.loads(prelude)
        pairs = [*fields["headers"].items(), *(("set-cookie", each) for each in fields["cookies"])]
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        return httpx.Response(fields["statusCode"], headers=headers, stream=_Whole(body))

    async def aclose(self) -> None:
        await self._http.aclose()


class _Whole(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


@contextlib.asynccontextmanager
async def interface_emulator(
    layer: Path, function: str, handler: str = _HANDLER, *, event: MakeEvent = function_url_event, **environ: str
) -> AsyncIterator[Front]:
    """AWS's runtime interface emulator. It starts the process itself, at the first invocation."""
    program = interface_emulator_program()
    reservations = contextlib.ExitStack()
    port, api_port = (reservations.enter_context(reserved_port()) for _ in range(2))
    emulator = await asyncio.create_subprocess_exec(
        program,
        *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{api_port}", "--log-level", "error"),
        *(str(layer / "tailrace-runtime"), sys.executable, "/var/runtime/bootstrap.py"),
        env=_environ(function, handler, environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await _listens(port, emulator)
        invoke = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        async with httpx.AsyncClient(transport=EventClient(invoke, event)) as http:
            yield Front("http://function.test", lambda: _children(emulator.pid), http)
    finally:
        _kill(emulator)  # with its children: an orphan would poll the port of the next one
        await emulator.wait()
        reservations.close()


def cargo_lambda_program() -> str:
    """Return the path of cargo-lambda: in `.cache`, beside the Python that runs this, or on the PATH."""
    candidates = [*_CACHE.glob("*/bin/cargo-lambda"), Path(sys.executable).with_name("cargo-lambda")]
    program = next((str(path) for path in candidates if path.exists()), None) or shutil.which("cargo-lambda")
    if program is None:
        pytest.skip("cargo-lambda is not installed: pip install --no-deps cargo-lambda")
    return program


def interface_emulator_program() -> str:
    """Return the path of AWS's runtime interface emulator: from aws-sam-cli, or `aws-lambda-rie` on the PATH."""
    name = f"aws-lambda-rie-{'arm64' if os.uname().machine == 'aarch64' else 'x86_64'}"
    within = f"lib/python*/site-packages/samcli/local/rapid/{name}"
    homes = [*_CACHE.glob("*/"), Path(sys.prefix)]
    if sam := shutil.which("sam"):
        homes.append(Path(sam).resolve().parents[1])
    candidates = [path for home in homes for path in home.glob(within)]
    program = str(candidates[0]) if candidates else shutil.which("aws-lambda-rie")
    if program is None:
        pytest.skip("AWS's runtime interface emulator is not installed: pip install aws-sam-cli")
    if not os.access(program, os.X_OK):
        os.chmod(program, 0o755)
    return program


# cargo-lambda asks cargo for the project's functions, which are its binaries, as one line of JSON.
_TARGET = {"kind": ["bin"], "crate_types": ["bin"], "name": "fn", "src_path": "/fn/src/main.rs", "edition": "2021"}
_PACKAGE = {
    "name": "fn",
    "version": "0.1.0",
    "id": "fn 0.1.0 (path+file:///fn)",
    "edition": "2021",
    "manifest_path": "/fn/Cargo.toml",
    "targets": [_TARGET],
    "dependencies": [],
    "features": {},
}
_METADATA = {
    "packages": [_PACKAGE],
    "workspace_members": [_PACKAGE["id"]],
    "resolve": None,
    "metadata": None,
    "target_directory": "/tmp",
    "version": 1,
    "workspace_root": "/",
}
_CARGO = f"#!/bin/sh\necho '{json.dumps(_METADATA)}'\n"


def _environ(function: str, handler: str, environ: dict[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "_HANDLER": handler,
        "LAMBDA_TASK_ROOT": str(FUNCTIONS / function),
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "AWS_LAMBDA_FUNCTION_NAME": "test",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
        **environ,
    }


async def _listens(port: int, process: asyncio.subprocess.Process) -> None:
    """Return when something accepts connections. (A request would already be an invocation.)"""
    async with asyncio.timeout(60):
        while True:
            assert process.returncode is None, f"it ended with {process.returncode}"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.transport.abort()
            return


def _children(pid: int) -> list[int]:
    """Return the child processes of a process, and theirs."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    children = [int(each) for task in path.parents[1].glob("*/children") for each in task.read_text().split()]
    return [*children, *(below for each in children for below in _children(each))]


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
