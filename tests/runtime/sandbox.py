"""One execution environment: a real bootstrap process, and its Runtime API.

Written from AWS's pages "Using the Lambda runtime API for custom runtimes", "Building a custom runtime for AWS Lambda"
and "Understanding the Lambda execution environment lifecycle", and stricter than AWS: it answers mistakes of a runtime
as AWS does, and records them in `violations`, which the emulator raises at its end.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any, Literal

from tests.runtime.bootstrap_process import start_bootstrap
from tests.runtime.exchange import End, Invocation, Part, Prelude, Whole
from tests.runtime.http1 import Broken, Head, Trailers, chunks, read_body, read_head, reply

PREFIX = "/2018-06-01/runtime"
BUFFERED_LIMIT = 6 * 1024 * 1024 + 100
_ARN = "arn:aws:lambda:us-east-1:123456789012:function"
_HTTP = "application/vnd.awslambda.http-integration-response"
_ERROR_TYPE, _ERROR_BODY = "lambda-runtime-function-error-type", "lambda-runtime-function-error-body"
_REPORT = {"errorMessage", "errorType", "requestId", "stackTrace"}


class Environment:
    """A process, its Runtime API, and their state."""

    def __init__(
        self,
        queue: asyncio.Queue[Invocation],
        *,
        command: list[str],
        environ: dict[str, str],
        concurrency: int,
        freeze: bool,
        response_limit: int,
        on_exit: Callable[[Environment], None],
        pass_fds: tuple[int, ...] = (),
        forked: bool = False,
    ) -> None:
        self.violations: list[str] = []
        self.log: list[str] = []
        self.phase: Literal["init", "restoring", "ready", "failed", "gone"] = "init"
        self.init_error: dict[str, Any] | None = None
        self.restore_error: dict[str, Any] | None = None
        self.exit_status: int | None = None
        self.next_status: list[int] = []
        """The statuses for the next posted responses, instead of 202."""
        self.restored = False
        self.changed = asyncio.Condition()
        self.active: dict[str, Invocation] = {}
        self.waiting = 0
        self._given: dict[str, Invocation] = {}
        self._queue = queue
        self._command = command
        self._environ = environ
        self._concurrency = concurrency
        self._freeze = freeze
        self._limit = response_limit
        self._on_exit = on_exit
        self._pollers: set[asyncio.StreamWriter] = set()
        self._responding: dict[str, asyncio.StreamWriter] = {}
        self._refused: set[asyncio.StreamWriter] = set()
        self._pass_fds = pass_fds
        self._forked = forked
        self._connections: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._started = asyncio.Event()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=256 * 1024)
        port = self._server.sockets[0].getsockname()[1]
        environ = {**self._environ, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}"}
        self.process, log = await start_bootstrap(self._command, environ, self._pass_fds, forked=self._forked)
        self._reading = asyncio.create_task(self._read_log(log))
        self._started.set()

    async def until(self, condition: Callable[[Environment], bool], seconds: float = 60) -> None:
        """Return when the condition holds of this environment."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(lambda: condition(self))

    @property
    def idle(self) -> bool:
        """Whether the runtime waits for as many invocations as it may serve."""
        return self.phase == "ready" and self.waiting == self._concurrency and not self.active

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def terminate(self) -> None:
        """End the environment as Lambda does if an extension is registered."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def drop_pollers(self) -> None:
        """Close every idle connection."""
        for writer in self._pollers:
            writer.transport.abort()
        self.signal(signal.SIGCONT)

    def close_api(self) -> None:
        """Close the Runtime API, as if the emulator had died."""
        self._server.close()
        self.drop_pollers()

    def hang_up(self, invocation: Invocation) -> None:
        """Close the connection that brings an invocation's response."""
        self._responding[invocation.id].transport.abort()

    async def stop(self) -> None:
        self._server.close()
        if self.process.returncode is None:
            self.signal(signal.SIGKILL)
        await self._reading
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def wrong(self, what: str) -> None:
        self.violations.append(what)

    async def _read_log(self, log: asyncio.StreamReader) -> None:
        while line := await log.readline():
            self.log.append(line.decode(errors="replace").rstrip("\n"))
        self.exit_status = await self.process.wait()
        in_init = self.phase in ("init", "restoring")
        if in_init and self.init_error is None:
            self.init_error = {"errorType": "Runtime.ExitError", "errorMessage": f"exit status {self.exit_status}"}
        for invocation in list(self.active.values()):
            error = {"errorType": "Runtime.ExitError", "errorMessage": f"Runtime exited: {self.exit_status}"}
            await self._finish(invocation, End(error))
        self._end_given({"errorType": "Runtime.ExitError", "errorMessage": f"Runtime exited: {self.exit_status}"})
        self.phase = "failed" if in_init or self.phase == "failed" else "gone"
        await self._notify()
        self._on_exit(self)

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    # The Runtime API

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while head := await read_head(reader):
                await self._started.wait()  # a process may ask before its process id is known here
                if head.get("host") is None:
                    self.wrong(f"{head.method} {head.target} has no Host")
                writer.write(await self._handle(head, reader, writer))
                await writer.drain()
                await self._notify()
                if writer in self._refused:
                    # Like Go's server: the refusal arrives before the request has been read.
                    writer.write_eof()
                    while await reader.read(1 << 16):
                        pass
                    break
        except (Broken, OSError, asyncio.CancelledError):
            pass
        except Exception as error:
            self.wrong(f"the request could not be read: {error!r}")
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _handle(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        match head.method, head.target.removeprefix(PREFIX).split("/")[1:]:
            case "GET", ["invocation", "next"]:
                self._pollers.add(writer)
                try:
                    return await self._next(reader)
                finally:
                    self._pollers.discard(writer)
            case "GET", ["restore", "next"]:
                if self.phase != "init":
                    self.wrong(f"/restore/next in phase {self.phase}")
                self.phase, self.restored = "restoring", True
                return reply(200)
            case "POST", ["init", "error"]:
                self.init_error = self._report(head, await read_body(reader, head), "")
                if self.phase not in ("init", "restoring"):
                    self.wrong(f"/init/error in phase {self.phase}")
                self.phase = "failed"
                return reply(202)
            case "POST", ["restore", "error"]:
                self.restore_error = self._report(head, await read_body(reader, head), "")
                if self.phase != "restoring":
                    self.wrong(f"/restore/error in phase {self.phase}")
                self.phase = "failed"
                return reply(202)
            case "POST", ["invocation", invocation_id, "response" | "error" as what]:
                invocation = self.active.get(invocation_id)
                if invocation is None or invocation.state != "running":
                    self.wrong(f"/{what} for {invocation_id}, which is not running")
                    await read_body(reader, head)
                    return reply(400 if invocation is None else 403)
                if head.get("lambda-runtime-invocation-id") != invocation.echo:
                    self.wrong(f"/{what} without the Lambda-Runtime-Invocation-Id it was given")
                invocation.state = "answering"
                if what == "error":
                    error = self._report(head, await read_body(reader, head), invocation.id)
                    await self._finish(invocation, End(error))
                    return self._accepted()
                self._responding[invocation.id] = writer
                try:
                    return await self._response(invocation, head, reader)
                finally:
                    del self._responding[invocation.id]
        self.wrong(f"there is no {head.method} {head.target}")
        return reply(404)

    async def _next(self, reader: asyncio.StreamReader) -> bytes:
        if self.phase == "failed":
            self.wrong("/next after an error that ends the process")
        self.phase = "ready"
        if self._concurrency == 1:
            self._end_given(None)
        if self.waiting + len(self.active) >= self._concurrency:
            self.wrong(f"/next while {len(self.active)} of {self._concurrency} run and {self.waiting} wait")
        self.waiting += 1
        await self._notify()
        if self._freeze and self.idle:
            self.signal(signal.SIGSTOP)
        taking = asyncio.create_task(self._queue.get())
        hanging_up = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait([taking, hanging_up], return_when=asyncio.FIRST_COMPLETED)
            if hanging_up.done():
                if hanging_up.result():
                    self.wrong("a request before the last one was answered")
                raise Broken("the poller went away")
            invocation = taking.result()
        finally:
            self.waiting -= 1
            hanging_up.cancel()
            if not taking.cancel() and not taking.cancelled() and hanging_up.done():
                self._queue.put_nowait(taking.result())  # its poller has disconnected
            await asyncio.wait([hanging_up, taking])
        self.active[invocation.id] = self._given[invocation.id] = invocation
        invocation.state, invocation.environment, invocation.given_s = "running", self, time.monotonic()
        deadline = time.time() + invocation.timeout_s
        self._timers[invocation.id] = asyncio.get_running_loop().call_later(
            invocation.timeout_s, self._time_out, invocation
        )
        if self._freeze:
            self.signal(signal.SIGCONT)
        values = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Invocation-Id": invocation.echo,
            "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": ":".join(
                (_ARN, self._environ["AWS_LAMBDA_FUNCTION_NAME"], self._environ.get("INVOKED_AS", "live"))
            ),
            "Lambda-Runtime-Trace-Id": invocation.trace,
            "Lambda-Runtime-Client-Context": invocation.client_context,
            "Lambda-Runtime-Cognito-Identity": invocation.identity,
            "Lambda-Runtime-Aws-Tenant-Id": invocation.tenant,
            "Content-Type": "application/json",
        }
        headers = [(name, value) for name, value in values.items() if value]
        return reply(200, json.dumps(invocation.event).encode(), headers)

    def _time_out(self, invocation: Invocation) -> None:
        """Kill the process when an invocation takes too long, as Lambda does."""
        error = {"errorType": "Sandbox.Timedout", "errorMessage": f"Timed out after {invocation.timeout_s} s"}
        self.signal(signal.SIGKILL)
        invocation.failed = error
        self._ending = asyncio.create_task(self._finish(invocation, End(error)))

    async def _finish(self, invocation: Invocation, end: Part) -> None:
        self.active.pop(invocation.id, None)
        if self._concurrency > 1:
            self._end_given(None, invocation.id)
        if invocation.state == "answered":
            return
        invocation.state = "answered"
        await invocation.parts.put(end)

    def _end_given(self, error: dict[str, Any] | None, only: str | None = None) -> None:
        """Mark invocations as finished: the runtime asks for the next one, or has died."""
        for each in [self._given[only]] if only in self._given else [] if only else list(self._given.values()):
            self._timers.pop(each.id).cancel()
            each.failed, each.over_s = each.failed or error, time.monotonic()
            self._given.pop(each.id).over.set()

    def _accepted(self) -> bytes:
        return reply(self.next_status.pop(0) if self.next_status else 202)

    async def _response(self, invocation: Invocation, head: Head, reader: asyncio.StreamReader) -> bytes:
        mode = head.get("lambda-runtime-function-response-mode")
        if mode is None:
            body = await read_body(reader, head)
            if len(body) > BUFFERED_LIMIT:
                words = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
                error = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": words}
                await self._finish(invocation, End(error))
                return reply(413, b'{"errorType":"RequestEntityTooLarge"}')
            await invocation.parts.put(Whole(body, head.get("content-type") or ""))
            await self._finish(invocation, End())
            return self._accepted()
        if mode != "streaming":
            self.wrong(f"response mode {mode}")
        if not invocation.streamed:
            self.wrong("streamed an event that cannot be streamed")
        if (head.get("transfer-encoding") or "").lower() != "chunked" or head.get("content-length"):
            self.wrong("a streamed response must be chunked and nothing else")
        if head.get("content-type") != _HTTP:
            self.wrong(f"content type {head.get('content-type')}")
        declared = {name.strip().lower() for name in (head.get("trailer") or "").split(",")}
        if declared != {_ERROR_TYPE, _ERROR_BODY}:
            self.wrong(f"declared the trailers {sorted(declared)}")
        trailers = Trailers()
        try:
            if not await self._body(invocation, reader, trailers):
                self._refused.add(self._responding[invocation.id])
                return reply(413, b'{"errorType":"RequestEntityTooLarge"}', [("Connection", "close")])
        except Broken as error:
            await self._finish(invocation, End({"errorType": "Runtime.TruncatedResponse", "errorMessage": str(error)}))
            raise
        await self._finish(invocation, End(self._trailing_error(invocation, trailers)))
        return self._accepted()

    async def _body(self, invocation: Invocation, reader: asyncio.StreamReader, trailers: Trailers) -> bool:
        """Forward a streamed body; return whether it is within the limit."""
        start, pieces, total = b"", [], 0
        prelude: Prelude | None = None
        async for data in chunks(reader, trailers):
            if prelude is None:
                pieces.append(data)
                start += data
                if bytes(8) not in start:
                    continue
                text, _, data = start.partition(bytes(8))
                if [text, bytes(8)] != pieces:
                    self.wrong("the prelude and the NULs must be the first and the second chunk")
                prelude = self._prelude(text)
                await invocation.parts.put(prelude)
                if not data:
                    continue
            total += len(data)
            invocation.chunks.append(len(data))
            if total > self._limit:
                error = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": f"over {self._limit} bytes"}
                await self._finish(invocation, End(error))
                return False
            await invocation.parts.put(data)
        if prelude is None:
            self.wrong("a streamed response without a prelude")
        return True

    def _prelude(self, text: bytes) -> Prelude:
        fields = json.loads(text)
        if set(fields) != {"statusCode", "headers", "cookies"}:
            self.wrong(f"the prelude has {sorted(fields)}")
        if not all(isinstance(value, str) for value in fields["headers"].values()):
            self.wrong("a header in the prelude is no string")
        if any(name.lower() == "set-cookie" for name in fields["headers"]):
            self.wrong("a cookie among the headers")
        return Prelude(fields["statusCode"], fields["headers"], fields["cookies"])

    def _trailing_error(self, invocation: Invocation, trailers: Trailers) -> dict[str, Any] | None:
        if not trailers.fields:
            return None
        if set(trailers.fields) != {_ERROR_TYPE, _ERROR_BODY}:
            self.wrong(f"sent the trailers {sorted(trailers.fields)}")
        if sum(len(name) + len(value) + 4 for name, value in trailers.fields.items()) + 2 > 4096:
            self.wrong("the trailers are longer than Go's server reads")
        try:
            report = base64.b64decode(trailers.fields[_ERROR_BODY], validate=True)
        except binascii.Error:
            self.wrong("the error in the trailers is no base64")
            return {}
        return self._checked(report, trailers.fields[_ERROR_TYPE], invocation.id)

    def _report(self, head: Head, body: bytes, request_id: str) -> dict[str, Any]:
        if cause := head.get("lambda-runtime-function-xray-error-cause"):
            json.loads(cause)
        return self._checked(body, head.get(_ERROR_TYPE) or "", request_id)

    def _checked(self, body: bytes, error_type: str, request_id: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(body)
        if set(report) != _REPORT or report["errorType"] != error_type or report["requestId"] != request_id:
            self.wrong(f"the error report is not right: {report}, {error_type}")
        return report
