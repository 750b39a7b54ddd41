"""JSON-RPC 2.0 as A2A uses it: requests, responses, and the codes of errors (specification, sections 5.4 and 9)."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.errors import RequestError, RequestTooLarge, TailraceError, TaskUnknown, shorten
from tailrace.events import encode

# What decoding JSON may raise: for its grammar, for its UTF-8, for its depth.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class RpcError(TailraceError):
    """An error as it goes to the caller: JSON-RPC `code`, and `reason` in A2A's own words if it has any.

    `rpc_id` is the request's, if the request did not become a `Call`.
    """

    rpc_id: str | int | None = None

    def __init__(self, code: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def parse_error(message: str) -> RpcError:
    return RpcError(-32700, message)


def invalid_request(message: str) -> RpcError:
    return RpcError(-32600, message)


def method_not_found(method: str) -> RpcError:
    return RpcError(-32601, f"There is no method {shorten(method)!r}.")


def invalid_params(message: str) -> RpcError:
    return RpcError(-32602, message)


def internal_error() -> RpcError:
    return RpcError(-32603, "The agent failed to answer; its log says why.")


def task_not_found(task_id: str) -> RpcError:
    return RpcError(-32001, str(TaskUnknown(task_id)), "TASK_NOT_FOUND")


def not_cancelable(message: str) -> RpcError:
    return RpcError(-32002, message, "TASK_NOT_CANCELABLE")


def push_not_supported() -> RpcError:
    return RpcError(-32003, "This agent sends no push notifications.", "PUSH_NOTIFICATION_NOT_SUPPORTED")


def unsupported_operation(message: str) -> RpcError:
    return RpcError(-32004, message, "UNSUPPORTED_OPERATION")


def no_extended_card() -> RpcError:
    """For 0.3 only: 1.0 keeps this code for an agent whose card promises one (section 3.3.4)."""
    return RpcError(-32007, "This agent has no extended card.", "EXTENDED_AGENT_CARD_NOT_CONFIGURED")


def version_not_supported(version: str) -> RpcError:
    return RpcError(
        -32009, f"A2A-Version {shorten(version)!r} is not supported; 1.0 and 0.3 are.", "VERSION_NOT_SUPPORTED"
    )


class Call(msgspec.Struct, frozen=True):
    """One request, its envelope checked. `id` is None for a notification."""

    id: str | int | None
    method: str
    params: dict[str, Any]


def parse_call(body: bytes) -> Call:
    """The request in `body`.

    Raises:
        RpcError: -32700 for what is not JSON, -32600 for what is no request, -32602 for params that are no object.
    """
    try:
        given = msgspec.json.decode(body)
    except NOT_JSON as error:
        raise parse_error(f"The body is not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise invalid_request(
            f"The request is a JSON {_kind(given)}, but must be an object; batches are not part of A2A."
        )
    rpc_id = given.get("id")
    if isinstance(rpc_id, bool) or not isinstance(rpc_id, str | int | None):
        raise invalid_request(f"id is a {_kind(rpc_id)}, but must be a string, an integer or null.")
    try:
        return _call(rpc_id, given)
    except RpcError as error:
        error.rpc_id = rpc_id
        raise


def _call(rpc_id: str | int | None, given: dict[str, Any]) -> Call:
    version, method, params = given.get("jsonrpc"), given.get("method"), given.get("params")
    if version != "2.0":
        raise invalid_request(f'jsonrpc has value {shorten(repr(version))}, but must be "2.0".')
    if not isinstance(method, str) or not method:
        raise invalid_request(f"method has value {shorten(repr(method))}, but must be the name of a method.")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise invalid_params(f"params is a {_kind(params)}, but must be an object.")
    return Call(rpc_id, method, params)


def as_rpc_error(error: Exception) -> RpcError:
    """The error a caller gets for `error`; an unexpected one tells no more than that it happened."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, TaskUnknown):
        return task_not_found(error.task_id)
    if isinstance(error, RequestTooLarge):
        return invalid_params(str(error))
    if isinstance(error, RequestError):
        return invalid_params(str(error))
    if isinstance(error, TailraceError):
        return RpcError(-32603, str(error))
    return internal_error()


def success(rpc_id: str | int | None, result: Any) -> bytes:
    return encode({"jsonrpc": "2.0", "id": rpc_id, "result": result})


def failure(rpc_id: str | int | None, error: RpcError) -> bytes:
    body: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.reason:
        body["data"] = [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": error.reason,
                "domain": "a2a-protocol.org",
            }
        ]
    return encode({"jsonrpc": "2.0", "id": error.rpc_id if rpc_id is None else rpc_id, "error": body})


def _kind(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")
