"""Lambda on this machine: a function's environments, and its Function URL or REST API with streaming.

    async with Emulator(layer, task_root, "app.handler") as function:
        httpx.get(function.url)                     # its Function URL
        await function.invoke({"any": "event"})     # the Invoke API

Each environment is a real bootstrap process with its own Runtime API. At most `environments` are started, on demand
and again after they have died. An idle process is stopped (SIGSTOP) until the next invocation, as Lambda freezes it.
Leaving the context raises an AssertionError with every rule that the runtime broke.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.runtime.events import function_url_event
from tests.runtime.exchange import End, Invocation, Prelude, Whole
from tests.runtime.http1 import Broken, Head, read_body, read_head, reply
from tests.runtime.sandbox import Environment

REQUEST_LIMIT = 6 * 1024 * 1024
STREAM_LIMIT = 200 * 1024 * 1024


@dataclass
class Result:
    """The result of an invocation."""

    body: bytes
    prelude: Prelude | None
    error: dict[str, Any] | None
    invocation: Invocation

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Emulator:
    """One function. Its environments' processes get a clean environment and `environ`.

    `event` makes an event of a request: of one to its Function URL, or to a REST API that streams. Processes that are
    `forked` do not import again what all functions of this project import.
    """

    def __init__(
        self,
        layer: Path,
        task_root: Path,
        handler: str,
        *,
        python: str,
        environ: dict[str, str] | None = None,
        environments: int = 1,
        concurrency: int = 1,
        timeout_s: float = 60,
        freeze: bool = True,
        response_limit: int = STREAM_LIMIT,
        pass_fds: tuple[int, ...] = (),
        event: Callable[..., dict[str, Any]] = function_url_event,
        forked: bool = False,
    ) -> None:
        self.environments: list[Environment] = []
        """All environments of the function, the newest last."""
        self.invocations: list[Invocation] = []
        """All invocations, the newest last."""
        self.timeout_s = timeout_s
        self.traced = True
        self._most = environments
        self._queue: asyncio.Queue[Invocation] = asyncio.Queue()
        self._concurrency = concurrency
        self._freeze = freeze
        self._limit = response_limit
        self._pass_fds = pass_fds
        self._forked = forked
        self._event = event
        self._being_started = 0
        self._fronts: set[asyncio.Task[None]] = set()
        self._command = [str(layer / "tailrace-runtime"), python, "/var/runtime/bootstrap.py"]
        self._environ = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "_HANDLER": handler,
            "LAMBDA_TASK_ROOT": str(task_root),
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_LAMBDA_FUNCTION_NAME": "test",
            "AWS_LAMBDA_FUNCTION_VERSION": "7",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/test",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/22/[7]0123456789abcdef",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            **({"AWS_LAMBDA_MAX_CONCURRENCY": str(concurrency)} if concurrency > 1 else {}),
            **(environ or {}),
        }

    async def __aenter__(self) -> Emulator:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=8 * 1024 * 1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for environment in self.environments:
            await environment.stop()
        for front in list(self._fronts):
            front.cancel()
        await asyncio.gather(*self._fronts, return_exceptions=True)
        violations = [each for environment in self.environments for each in environment.violations]
        if violations and error is None:
            raise AssertionError("The runtime broke the Runtime API's rules:\n" + "\n".join(violations))
        for each in violations:
            if error is not None:
                error.add_note(f"The runtime broke the Runtime API's rules: {each}")
        if error is not None:
            error.add_note("The function's log:\n" + "\n".join(self.log))

    @property
    def log(self) -> list[str]:
        return [line for environment in self.environments for line in environment.log]

    @property
    def environment(self) -> Environment:
        """The newest environment."""
        return self.environments[-1]

    def knows(self, **variables: str) -> None:
        """Add variables to the environments that are started from now on."""
        self._environ.update(variables)

    async def start(self) -> Environment:
        """Start a new environment; return it when it is ready or has failed."""
        self._being_started += 1
        return await self._start()

    async def _start(self) -> Environment:
        environment = Environment(
            self._queue,
            command=self._command,
            environ=self._environ,
            concurrency=self._concurrency,
            freeze=self._freeze,
            response_limit=self._limit,
            on_exit=self._exited,
            pass_fds=self._pass_fds,
            forked=self._forked,
        )
        await environment.start()
        self.environments.append(environment)
        self._being_started -= 1
        await environment.until(lambda e: e.phase in ("ready", "failed", "gone"))
        return environment

    async def invoke(
        self,
        event: dict[str, Any],
        *,
        streamed: bool = False,
        client_context: str | None = None,
        identity: str | None = None,
        tenant: str | None = None,
    ) -> Result:
        """Invoke the function and return its whole response (AWS: Invoke; InvokeWithResponseStream if `streamed`)."""
        invocation = Invocation(event, streamed, self.timeout_s, client_context, identity, tenant)
        self.submit(invocation)
        prelude: Prelude | None = None
        body = bytearray()
        while True:
            match await invocation.parts.get():
                case Prelude() as first:
                    prelude = first
                case Whole() as whole:
                    body += whole.body
                case End(error):
                    return Result(bytes(body), prelude, error, invocation)
                case data:
                    body += data

    def submit(self, invocation: Invocation) -> None:
        """Queue an invocation. If all environments are busy, a new one is started, up to the limit."""
        self.invocations.append(invocation)
        if not self.traced:
            invocation.trace = None
        self._queue.put_nowait(invocation)
        alive = [each for each in self.environments if each.phase in ("init", "restoring", "ready")]
        free = sum(each.waiting if each.phase == "ready" else self._concurrency for each in alive)
        free += self._being_started * self._concurrency
        if len(alive) + self._being_started < self._most and free < self._queue.qsize():
            self._start_soon()

    def _start_soon(self) -> None:
        self._being_started += 1
        task = asyncio.create_task(self._start_for_queue())
        self._fronts.add(task)
        task.add_done_callback(self._fronts.discard)

    async def _start_for_queue(self) -> None:
        await self._start()

    def _exited(self, environment: Environment) -> None:
        """Handle the end of an environment: waiting invocations get another one, unless this one could not start."""
        if environment.phase == "failed":
            if not self._queue.empty():
                self._queue.get_nowait().parts.put_nowait(End(environment.init_error or environment.restore_error))
        elif not self._queue.empty():
            self._start_soon()

    # The Function URL

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._fronts.add(task)
        try:
            while head := await read_head(reader):
                if not await self._serve(head, await read_body(reader, head), writer):
                    break
            await _close(writer)
        except (Broken, OSError, asyncio.CancelledError):
            pass
        finally:
            self._fronts.discard(task)
            writer.transport.abort()

    async def _serve(self, head: Head, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection can be used again."""
        event = self._event(head.method, head.target, head.pairs, body)
        if len(json.dumps(event)) > REQUEST_LIMIT:
            message = f'{{"Message":"Request must be smaller than {REQUEST_LIMIT} bytes"}}'
            await _send(writer, reply(413, message.encode()))
            return True
        invocation = Invocation(event, streamed=True, timeout_s=self.timeout_s)
        self.submit(invocation)
        first = await invocation.parts.get()
        match first:
            case Prelude():
                return await self._stream(head, first, invocation, writer)
            case Whole():
                await invocation.parts.get()
                kind = [("Content-Type", "application/json")]
                await _send(writer, reply(200, first.body, kind))
            case _:
                await _send(writer, reply(502, b"Internal Server Error"))
        return True

    async def _stream(self, head: Head, prelude: Prelude, invocation: Invocation, writer: asyncio.StreamWriter) -> bool:
        bodiless = head.method == "HEAD" or prelude.status in (204, 304)
        lines = [f"HTTP/1.1 {prelude.status} -"]
        lines += [f"{name}: {value}" for name, value in prelude.headers.items() if name.lower() != "content-length"]
        lines += [f"Set-Cookie: {cookie}" for cookie in prelude.cookies]
        lines += [] if bodiless else ["Transfer-Encoding: chunked"]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        # A disconnected client changes nothing: the function continues, and its response is read to the end.
        async for data in _body(invocation):
            if data is None:
                writer.transport.abort()
                return False
            if not bodiless:
                await _send(writer, b"%x\r\n%b\r\n" % (len(data), data))
        if not bodiless:
            await _send(writer, b"0\r\n\r\n")
        return not writer.is_closing()


async def _body(invocation: Invocation) -> AsyncIterator[bytes | None]:
    """Yield the rest of a response; None at its end if it is incomplete."""
    while True:
        part = await invocation.parts.get()
        if isinstance(part, End):
            if part.error is not None:
                yield None
            return
        assert isinstance(part, bytes)
        yield part


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(OSError):
        if not writer.is_closing():
            writer.write(data)
            await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()
