"""JSON-RPC 2.0 as A2A uses it: requests are parsed, responses are built (specification, section 9)."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.a2a.errors import RpcError, invalid_params, invalid_request, parse_error
from tailrace.decoding import NOT_JSON, decode_json
from tailrace.errors import JsonError, TooDeep, shorten
from tailrace.events import encode


class Call(msgspec.Struct, frozen=True):
    """One request whose envelope has been checked. `id` is None for a notification."""

    id: str | int | None
    method: str
    params: dict[str, Any]


def parse_call(body: bytes) -> Call:
    """The request in `body`.

    Raises:
        RpcError: -32700, it is not JSON; -32600, it is not a request; -32602, its params are not an object, or it is
            nested too deep.
    """
    try:
        request = read_json(body)
    except RpcError as error:
        # A body that is not JSON has no id (JSON-RPC 2.0, section 5).
        error.rpc_id = _id_in(body) if error.code == -32602 else None
        raise
    if not isinstance(request, dict):
        raise invalid_request(
            f"The request is a JSON {json_type(request)}, but must be an object; batches are not part of A2A."
        )
    rpc_id = request.get("id")
    if isinstance(rpc_id, bool) or not isinstance(rpc_id, str | int | None):
        raise invalid_request(f"id is a {json_type(rpc_id)}, but must be a string, an integer or null.")
    try:
        return _call(rpc_id, request)
    except RpcError as error:
        error.rpc_id = rpc_id
        raise


def read_json(body: bytes) -> Any:
    """The value in `body`.

    Raises:
        RpcError: -32700, it is not JSON; -32602, it is nested too deep.
    """
    try:
        return decode_json(body)
    except TooDeep as error:
        raise invalid_params(str(error)) from None
    except JsonError as error:
        raise parse_error(str(error)) from None


class _Identified(msgspec.Struct):
    id: str | int | None = None


def _id_in(body: bytes) -> str | int | None:
    """The request's id in a body that is nested too deep; None if it cannot be read."""
    try:
        return msgspec.json.decode(body, type=_Identified).id
    except NOT_JSON:
        return None


def _call(rpc_id: str | int | None, request: dict[str, Any]) -> Call:
    version, method, params = request.get("jsonrpc"), request.get("method"), request.get("params")
    if version != "2.0":
        raise invalid_request(f'jsonrpc has value {shorten(repr(version))}, but must be "2.0".')
    if not isinstance(method, str) or not method:
        raise invalid_request(f"method has value {shorten(repr(method))}, but must be the name of a method.")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise invalid_params(f"params is a {json_type(params)}, but must be an object.")
    return Call(rpc_id, method, params)


def success(rpc_id: str | int | None, result: Any) -> bytes:
    """The response with a result."""
    return encode({"jsonrpc": "2.0", "id": rpc_id, "result": result})


def failure(rpc_id: str | int | None, error: RpcError) -> bytes:
    """The response with an error. Without an `rpc_id` it has the error's."""
    body: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.details:
        body["data"] = error.details
    return encode({"jsonrpc": "2.0", "id": error.rpc_id if rpc_id is None else rpc_id, "error": body})


def json_type(value: Any) -> str:
    """JSON's name for the type of a value."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")
