"""The JSON-RPC binding: a request is a POST, 1.0 and 0.3 at one URL (specification, section 9; 0.3.0, section 7)."""

from __future__ import annotations

import logging

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tailrace.a2a import errors, jsonrpc
from tailrace.a2a.compat.v0_3 import server as v0_3
from tailrace.a2a.errors import as_rpc_error
from tailrace.a2a.jsonrpc import Call
from tailrace.a2a.server.binding import Binding
from tailrace.a2a.server.negotiation import check_host, check_json, version_of
from tailrace.a2a.server.operations import STREAMS
from tailrace.a2a.types import Version
from tailrace.errors import RequestTooLarge, TailraceError
from tailrace.inputs.body import read_body
from tailrace.stream import sse

logger = logging.getLogger("tailrace.a2a")


class JsonRpc(Binding):
    """Answers JSON-RPC. An error has HTTP status 200, as in all versions of A2A, unless it is HTTP's own: a body too
    large (413) or of another type (415), an unknown caller (401), another origin (403) or another host (421).
    """

    async def __call__(self, request: Request) -> Response:
        call, method = Call(None, "", {}), ""
        version: Version = "1.0"
        try:
            check_host(request, self.settings)
            check_json(request)
            call = jsonrpc.parse_call(await read_body(request, self.settings.max_request_bytes))
            method, version = _method(call, request)
            caller, extensions = self.caller(request, version=version)
            params = v0_3.params_from_v0_3(method, call.params) if version == "0.3" else call.params
            if method in STREAMS:
                answer = await self.operations.stream(method, params, caller)
                return self.respond_stream(answer, sse.Envelope(call.id), extensions, version=version)
            result = await self.operations.call(method, params, caller)
            if version == "0.3":
                result = v0_3.result_to_v0_3(method, result)
            return self.respond(jsonrpc.success(call.id, result), extensions, version=version)
        except RequestTooLarge as error:
            status = 413 if not call.method else 200
            return self.respond(jsonrpc.failure(call.id, as_rpc_error(error)), [], version=version, status=status)
        except TailraceError as error:
            rpc_error = as_rpc_error(error)
            body = jsonrpc.failure(call.id, rpc_error)
            if version == "0.3" and method in STREAMS:
                # The 0.3 SDKs read only a stream here, so the error is its one event.
                return Response(b"data: %b\n\n" % body, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
            status, retry_after_s = rpc_error.status or 200, rpc_error.retry_after_s
            return self.respond(body, [], version=version, status=status, retry_after_s=retry_after_s)
        except ClientDisconnect:
            return Response(status_code=400)  # the caller has gone
        except Exception:
            logger.exception("%s failed", call.method)
            return self.respond(jsonrpc.failure(call.id, errors.internal_error()), [], version=version)


def _method(call: Call, request: Request) -> tuple[str, Version]:
    """The method by its 1.0 name, and the version that the caller speaks.

    The header decides, without its patch number. Without a header the method's name decides: 1.0 and 0.3 have none in
    common (section 3.6).
    """
    version: Version = "0.3" if call.method in v0_3.METHODS else "1.0"
    try:
        if version_of(request) not in ("", version):
            raise errors.method_not_found(call.method)
    except errors.RpcError as error:
        error.rpc_id = call.id
        raise
    return v0_3.METHODS.get(call.method, call.method), version
