"""A Function URL request as an ASGI HTTP connection (AWS: "Invoking Lambda function URLs"; ASGI 3.0, HTTP 2.4)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote, unquote

from tailrace_runtime.context import Context
from tailrace_runtime.faults import Fault, RuntimeFault
from tailrace_runtime.response import StreamedResponse

logger = logging.getLogger("tailrace.runtime")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def is_function_url(event: Any) -> bool:
    """Return whether the event is a request to a Function URL.

    An API Gateway HTTP API sends the same format 2.0. They differ in the domain. cargo-lambda sends no
    domain, and no API's id either.
    """
    if not isinstance(event, dict) or event.get("version") != "2.0":
        return False
    request = event.get("requestContext")
    if not isinstance(request, dict) or not isinstance(request.get("http"), dict):
        return False
    return ".lambda-url." in (request.get("domainName") or "") or not request.get("apiId")


def scope_of(event: dict[str, Any], context: Context, state: dict[str, Any]) -> Scope:
    """Return the ASGI scope of a Function URL event.

    As with Mangum, `aws.event` is the event and `aws.context` the `Context`. `state` is the lifespan's.
    """
    http = event["requestContext"]["http"]
    headers: dict[str, str] = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if cookies := event.get("cookies"):
        headers["cookie"] = "; ".join(cookies)
    path = event.get("rawPath") or http.get("path") or "/"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": str(http.get("protocol")).partition("/")[2] or "1.1",
        "method": http["method"].upper(),
        "scheme": headers.get("x-forwarded-proto", "https"),
        "path": unquote(path),
        "raw_path": quote(path, safe="/%:@!$&'()*+,;=~-._").encode("ascii"),
        "query_string": quote(event.get("rawQueryString") or "", safe="=&%+/?:@!$'()*,;~-._[]").encode("ascii"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), _header(value)) for name, value in headers.items()],
        "client": (http["sourceIp"], 0) if http.get("sourceIp") else None,
        "server": (event["requestContext"].get("domainName") or headers.get("host", "lambda"), 443),
        "state": dict(state),
        "extensions": {},
        "aws.event": event,
        "aws.context": context,
    }


def body_of(event: dict[str, Any]) -> bytes:
    """Return the request's body.

    Raises:
        RuntimeFault: the event says that it is base64, but it is not.
    """
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RuntimeFault("Runtime.UnmarshalError", f"Unable to unmarshal the body: {error}") from None


class Cycle:
    """One request and its response: `receive` and `send` for the app."""

    def __init__(self, scope: Scope, body: bytes, response: StreamedResponse) -> None:
        self._scope = scope
        self._body: bytes | None = body
        self._response = response
        self._start: Message | None = None
        self._complete = asyncio.Event()
        self._sending = asyncio.Lock()

    async def run(self, app: App) -> Fault | None:
        """Run the app to its end, and end the response.

        Returns:
            An error that the caller has to report, because the response has not begun.
        """
        try:
            await app(self._scope, self._receive, self._send)
            if not self._complete.is_set() and not self._response.gone.is_set():
                raise RuntimeFault("Runtime.IncompleteResponse", "The app returned without completing its response.")
        except asyncio.CancelledError:
            logger.warning("The app was stopped.")
            return self._fail(Fault("Runtime.AppStopped", "The app was stopped before its response was complete."))
        except Exception as error:
            if self._response.gone.is_set() and (isinstance(error, OSError) or _is_disconnect(error)):
                logger.info("The app stopped its response because the reader has gone.")
                return None
            logger.exception("The app failed.")
            return self._fail(Fault.of(error))
        finally:
            self._complete.set()
        return None

    def _fail(self, fault: Fault) -> Fault | None:
        if not self._response.begun:
            return None if self._response.gone.is_set() else fault
        if not self._complete.is_set():
            self._response.fail(fault)
        return None

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        ends = [asyncio.create_task(event.wait()) for event in (self._complete, self._response.gone)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        async with self._sending:
            if kind == "http.response.start" and self._start is None:
                self._start = message
            elif kind == "http.response.body" and self._start is not None and not self._complete.is_set():
                last = not message.get("more_body", False)
                if last:
                    self._complete.set()
                body = message.get("body", b"")
                if self._response.begun:
                    await self._response.write(body, last=last)
                else:
                    headers = self._start.get("headers", [])
                    await self._response.begin(self._start["status"], headers, body, last=last)
            else:
                raise RuntimeError(f"The app sent {kind!r}, which ASGI does not allow here.")


def _header(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()


def _is_disconnect(error: BaseException) -> bool:
    """Return whether it is a framework's error for a reader that has gone."""
    if isinstance(error, BaseExceptionGroup):
        return all(isinstance(each, OSError) or _is_disconnect(each) for each in error.exceptions)
    return type(error).__name__ == "ClientDisconnect"
