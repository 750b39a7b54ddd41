"""The JSON-RPC binding: a request a POST, 1.0 and 0.3 at one URL (specification, section 9; of 0.3.0, section 7)."""

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
from tailrace.errors import RequestTooLarge, TailraceError
from tailrace.inputs.body import read_body
from tailrace.stream import sse

logger = logging.getLogger("tailrace.a2a")


class JsonRpc(Binding):
    """Answers JSON-RPC. Its errors have HTTP status 200, as they always had in A2A, unless the fault is HTTP's own:
    a body too large (413) or of another type (415), a caller that is not known (401), another host (421).
    """

    async def __call__(self, request: Request) -> Response:
        call, method, old = Call(None, "", {}), "", False
        try:
            check_host(request, self.settings)
            check_json(request)
            call = jsonrpc.parse_call(await read_body(request, self.settings.max_request_bytes))
            method, old = _method(call, request)
            caller, extensions = self.caller(request, old=old)
            params = v0_3.params_from_03(method, call.params) if old else call.params
            if method in STREAMS:
                stream = await self.operations.stream(method, params, caller)
                return self.streamed(stream, sse.Envelope(call.id), extensions, old=old)
            result = await self.operations.call(method, params, caller)
            if old:
                result = v0_3.result_to_03(method, result)
            return self.whole(jsonrpc.success(call.id, result), extensions, old=old)
        except RequestTooLarge as error:
            status = 413 if not call.method else 200
            return self.whole(jsonrpc.failure(call.id, as_rpc_error(error)), [], old=old, status=status)
        except TailraceError as error:
            told = as_rpc_error(error)
            body = jsonrpc.failure(call.id, told)
            if old and method in STREAMS:
                # The 0.3 SDKs read nothing but a stream here. Whatever is wrong, it is the only thing in it.
                return Response(b"data: %b\n\n" % body, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
            return self.whole(body, [], old=old, status=told.status or 200)
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        except Exception:
            logger.exception("%s failed", call.method)
            return self.whole(jsonrpc.failure(call.id, errors.internal_error()), [], old=old)


def _method(call: Call, request: Request) -> tuple[str, bool]:
    """The method by its 1.0 name, and whether the caller speaks 0.3.

    The header decides, but for its patch number; without one it is 0.3, unless the method's name is one of
    1.0's (section 3.6).
    """
    try:
        version = version_of(request)
        old = call.method in v0_3.METHODS
        if version and old != (version == "0.3"):
            raise errors.method_not_found(call.method)
    except errors.RpcError as error:
        error.rpc_id = call.id
        raise
    return v0_3.METHODS.get(call.method, call.method), old
