"""The Runtime API (AWS: "Using the Lambda runtime API for custom runtimes"), version 2018-06-01."""

from __future__ import annotations

import logging
import platform

from tailrace_runtime.connection import Connection
from tailrace_runtime.faults import Fault
from tailrace_runtime.invocation import Invocation
from tailrace_runtime.response import StreamedResponse
from tailrace_runtime.whole_response import WholeResponse
from tailrace_runtime.wire import Reply

logger = logging.getLogger("tailrace.runtime")

_RUNTIME = "/2018-06-01/runtime"
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
_USER_AGENT = {"User-Agent": f"tailrace-runtime (Python {platform.python_version()})"}


class ContainerError(Exception):
    """The Runtime API says that this environment cannot go on: the process must exit."""


class RuntimeAPI:
    """A client of the Runtime API. Each poller has its own, because /next blocks until there is work."""

    def __init__(self, address: str) -> None:
        self._connection = Connection.to(address)

    async def next(self) -> Invocation:
        """Return the next invocation, however long it takes. The call tells Lambda that the last one is finished.

        Raises:
            ContainerError: there will be no more invocations.
            OSError: the Runtime API cannot be reached.
        """
        reply = await self._connection.request("GET", f"{_RUNTIME}/invocation/next", _USER_AGENT)
        if reply.status != 200:
            raise ContainerError(f"/invocation/next was answered {reply.status}: {_text(reply)}")
        return Invocation.of(reply.headers, reply.body)

    async def respond(self, invocation: Invocation, body: bytes, content_type: str) -> None:
        """Answer an invocation in one piece."""
        path = f"{_RUNTIME}/invocation/{invocation.request_id}/response"
        headers = {"Content-Type": content_type, **_USER_AGENT, **_echo(invocation)}
        check_reply(await self._connection.request("POST", path, headers, body), "The response")

    async def fail(self, invocation: Invocation, fault: Fault) -> None:
        """Answer an invocation with an error."""
        path = f"{_RUNTIME}/invocation/{invocation.request_id}/error"
        headers = {
            "Content-Type": "application/json",
            _ERROR_TYPE: fault.header,
            **({"Lambda-Runtime-Function-XRay-Error-Cause": cause} if (cause := fault.cause()) else {}),
            **_USER_AGENT,
            **_echo(invocation),
        }
        check_reply(
            await self._connection.request("POST", path, headers, fault.json(invocation.request_id)), "The error"
        )

    def stream(self, invocation: Invocation) -> StreamedResponse:
        """Answer an invocation piece by piece. Nothing is sent yet."""
        path = f"{_RUNTIME}/invocation/{invocation.request_id}/response"
        return StreamedResponse(self._connection, path, {**_USER_AGENT, **_echo(invocation)}, invocation.request_id)

    def answer_whole(self, invocation: Invocation) -> WholeResponse:
        """Answer an invocation with an app's response in one piece. Nothing is sent yet."""
        path = f"{_RUNTIME}/invocation/{invocation.request_id}/response"
        return WholeResponse(self._connection, path, {**_USER_AGENT, **_echo(invocation)})

    async def fail_init(self, fault: Fault) -> None:
        """Report why the function cannot be used."""
        await self._report(f"{_RUNTIME}/init/error", fault)

    async def restore_next(self) -> None:
        """Report that the process is ready for its snapshot; return when it has been restored from one.

        Raises:
            ContainerError: it was not restored.
        """
        reply = await self._connection.request("GET", f"{_RUNTIME}/restore/next", _USER_AGENT)
        # The peer of this connection is gone: it belonged to the environment of the snapshot.
        self.close()
        if reply.status != 200:
            raise ContainerError(f"/restore/next was answered {reply.status}: {_text(reply)}")

    async def fail_restore(self, fault: Fault) -> None:
        """Report why the function cannot be used after it was restored."""
        await self._report(f"{_RUNTIME}/restore/error", fault)

    def close(self) -> None:
        """Close the connection. The next request opens a new one."""
        self._connection.close()

    async def _report(self, path: str, fault: Fault) -> None:
        headers = {"Content-Type": "application/json", _ERROR_TYPE: fault.header, **_USER_AGENT}
        reply = await self._connection.request("POST", path, headers, fault.json())
        if reply.status != 202:
            logger.warning("%s was answered %d: %s", path, reply.status, _text(reply))


def check_reply(reply: Reply, what: str) -> None:
    """Decide by the reply to a POST whether the process goes on; `what` was posted, for the log.

    202 is success (200 from cargo-lambda). 410 means that Lambda has given up the invocation
    (ErrorRuntimeInvokeTimeout; aws/aws-lambda-dotnet#2508), 413 that the body was too large, 400 and 403 that it is not
    allowed now. Then the invocation is over, but the process goes on.

    Raises:
        ContainerError: the status is 500 or above.
    """
    if reply.status == 410:
        logger.warning("%s came too late (410): %s", what, _text(reply))
    elif reply.status >= 500:
        raise ContainerError(f"{what} was answered {reply.status}: {_text(reply)}")
    elif not 200 <= reply.status < 300:
        logger.error("%s was refused (%d): %s", what, reply.status, _text(reply))


def _echo(invocation: Invocation) -> dict[str, str]:
    invocation_id = invocation.invocation_id
    return {} if invocation_id is None else {"Lambda-Runtime-Invocation-Id": invocation_id}


def _text(reply: Reply) -> str:
    return reply.body[:500].decode(errors="replace").strip()
