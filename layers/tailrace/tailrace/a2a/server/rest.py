"""The HTTP+JSON binding of protocol 1.0 (specification, section 11; paths as in a2a.proto)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace.a2a import errors
from tailrace.a2a.errors import RpcError, as_rpc_error
from tailrace.a2a.jsonrpc import json_type, read_json
from tailrace.a2a.server.binding import Binding
from tailrace.a2a.server.negotiation import answer_type, check_host, check_json, version_of
from tailrace.a2a.server.operations import STREAMS
from tailrace.errors import RequestTooLarge, TailraceError
from tailrace.events import encode
from tailrace.inputs.body import read_body
from tailrace.stream import sse

logger = logging.getLogger("tailrace.a2a")

# Section 5.4, by JSON-RPC code: HTTP's status and google.rpc's.
_STATUS: dict[int, tuple[int, str]] = {
    -32700: (400, "INVALID_ARGUMENT"),
    -32600: (400, "INVALID_ARGUMENT"),
    -32601: (404, "UNIMPLEMENTED"),
    -32602: (400, "INVALID_ARGUMENT"),
    -32603: (500, "INTERNAL"),
    -32000: (401, "UNAUTHENTICATED"),
    -32001: (404, "NOT_FOUND"),
    -32002: (400, "FAILED_PRECONDITION"),
    -32004: (400, "FAILED_PRECONDITION"),
    -32005: (400, "INVALID_ARGUMENT"),
    -32007: (400, "FAILED_PRECONDITION"),
    -32008: (400, "FAILED_PRECONDITION"),
    -32009: (400, "FAILED_PRECONDITION"),
}

_PUSH = "/tasks/{task_id}/pushNotificationConfigs"
# Verb, path, method. The text says POST to subscribe, the proto says GET (A2A issue 1574): both are served.
_ROUTES = [
    ("POST", "/message:send", "SendMessage"),
    ("POST", "/message:stream", "SendStreamingMessage"),
    ("GET", "/tasks", "ListTasks"),
    ("POST", "/tasks/{id}:cancel", "CancelTask"),
    ("GET", "/tasks/{id}:subscribe", "SubscribeToTask"),
    ("POST", "/tasks/{id}:subscribe", "SubscribeToTask"),
    ("GET", "/tasks/{id}", "GetTask"),
    ("POST", _PUSH, "CreateTaskPushNotificationConfig"),
    ("GET", _PUSH, "ListTaskPushNotificationConfigs"),
    ("GET", f"{_PUSH}/{{id}}", "GetTaskPushNotificationConfig"),
    ("DELETE", f"{_PUSH}/{{id}}", "DeleteTaskPushNotificationConfig"),
    ("GET", "/extendedAgentCard", "GetExtendedAgentCard"),
]
# Query parameters that are no field of an operation.
_PARAMETERS = frozenset({"A2A-Version", "tenant"})


class Rest(Binding):
    """Answers HTTP+JSON, in the media type that the caller names."""

    def routes(self) -> list[Route]:
        return [Route(path, self._endpoint(method), methods=[verb]) for verb, path, method in _ROUTES]

    def _endpoint(self, method: str) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return await self._answer(method, request)
            except RequestTooLarge as error:
                return self._failure(RpcError(-32602, str(error), status=413), request)
            except TailraceError as error:
                return self._failure(as_rpc_error(error), request)
            except ClientDisconnect:
                return Response(status_code=400)  # the caller has gone
            except Exception:
                logger.exception("%s failed", method)
                return self._failure(errors.internal_error(), request)

        return endpoint

    async def _answer(self, method: str, request: Request) -> Response:
        check_host(request, self.settings)
        if version_of(request) != "1.0":
            # "Agents MUST interpret empty value as 0.3" (section 3.6.2), which had other paths.
            raise errors.version_not_supported(request.headers.get("a2a-version", ""), "this interface speaks 1.0")
        caller, extensions = self.caller(request, strict=request.method == "POST")
        params = await self._params(request)
        if method in STREAMS:
            answer = await self.operations.stream(method, params, caller)
            if request.method == "HEAD":
                answer.leave()
                return Response(media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
            return self.respond_stream(answer, sse.Framing(), extensions)
        result = await self.operations.call(method, params, caller)
        return self.respond(encode(result), extensions, media_type=answer_type(request))

    async def _params(self, request: Request) -> dict[str, Any]:
        """The operation's params: the body or the query (section 11.5), with what the path names.

        Raises:
            RpcError: -32602, they name something else than the path; or the body is refused.
        """
        if request.method != "POST":
            params: dict[str, Any] = {
                key: value for key, value in request.query_params.items() if value and key not in _PARAMETERS
            }
        else:
            check_json(request)
            params = _object(await read_body(request, self.settings.max_request_bytes))
        for name, value in request.path_params.items():
            key = {"task_id": "taskId"}.get(name, name)
            if params.get(key) not in (None, value):
                raise errors.invalid_params(f"{key} has value {params[key]!r}, but the path names {value!r}.")
            params[key] = value
        return params

    def _failure(self, error: RpcError, request: Request) -> Response:
        status, name = _STATUS[error.code] if error.retry_after_s is None else (503, "UNAVAILABLE")
        status = error.status or status
        body: dict[str, Any] = {"code": status, "status": name, "message": str(error)}
        if error.details:
            body["details"] = error.details
        return self.respond(
            encode({"error": body}),
            [],
            status=status,
            media_type=answer_type(request),
            retry_after_s=error.retry_after_s,
        )


def _object(body: bytes) -> dict[str, Any]:
    """A body that is a JSON object; an empty body is an empty object.

    Raises:
        RpcError: the body is something else.
    """
    value = read_json(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise errors.invalid_params(f"The body is a JSON {json_type(value)}, but must be an object.")
    return value
