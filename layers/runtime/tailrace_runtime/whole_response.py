"""An app's response that is sent in one piece, as that of an ordinary handler (AWS: "Invoking Lambda function URLs",
"Response payload format").
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping

from tailrace_runtime.connection import Connection
from tailrace_runtime.encoding import to_json
from tailrace_runtime.faults import Fault
from tailrace_runtime.response import ReaderGone, prelude_fields
from tailrace_runtime.wire import Reply


class WholeResponse:
    """Collects the response to one invocation and sends it when the app ends it.

    It has the interface of `StreamedResponse`. It has begun only when it has been sent, so until then an error is
    reported instead of it.
    """

    def __init__(self, connection: Connection, path: str, headers: Mapping[str, str]) -> None:
        self._connection = connection
        self._path = path
        self._headers = {"Content-Type": "application/json", **headers}
        self._body = bytearray()
        self._reply: Reply | None = None
        self.begun = False
        self.gone = asyncio.Event()
        """Set when the Runtime API could not be reached."""

    async def begin(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, last: bool = False
    ) -> None:
        """Add a piece of the body; with the last one, send the response.

        Raises:
            ReaderGone: the Runtime API cannot be reached.
        """
        self._body += body
        if not last:
            return
        self.begun = True
        try:
            whole = to_json({**prelude_fields(status, headers), **_body_fields(bytes(self._body))})
            self._reply = await self._connection.request("POST", self._path, self._headers, whole)
        except OSError:
            self.gone.set()
            raise ReaderGone from None

    async def write(self, body: bytes, *, last: bool = False) -> None:
        raise AssertionError("Nothing follows a whole response.")

    def fail(self, fault: Fault) -> None:
        raise AssertionError("Nothing follows a whole response.")

    async def reply(self) -> Reply | None:
        """Return the Runtime API's reply, None if there was none."""
        return self._reply


def _body_fields(body: bytes) -> dict[str, object]:
    try:
        return {"body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
