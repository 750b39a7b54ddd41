"""HTTP requests as Lambda events, and as ASGI scopes (ASGI 3.0, HTTP 2.4).

Three kinds go to the app, and the kind decides how the response is sent:

1. A request to a Function URL has the payload format 2.0 (AWS: "Invoking Lambda function URLs"). It is streamed.
2. A request to a REST API has the format 1.0 (AWS: "Input format of a Lambda function for proxy integration"). It is
   streamed if the integration's response transfer mode is STREAM. The event does not tell the mode, so the API's stage
   tells it by its variable `responseTransferMode`. `sam local` knows the variable but cannot stream.
3. An asynchronous invocation may have the format 2.0 too. Nobody has made a request, so it has no id of one, and nobody
   reads the response, which is sent whole, like that of any function.

All other events, such as those of an HTTP API, are for the ordinary handler.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, MutableMapping
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode

from tailrace_runtime.context import Context
from tailrace_runtime.faults import RuntimeFault

Scope = MutableMapping[str, Any]
_Headers = list[tuple[bytes, bytes]]


def response_mode(event: Any) -> Literal["streamed", "whole"] | None:
    """Return how the app's response to this event is sent; None if the event is for the ordinary handler."""
    request = event.get("requestContext") if isinstance(event, dict) else None
    if not isinstance(request, dict):
        return None
    if _is_rest(event):
        variables = event.get("stageVariables") or {}
        can_stream = os.environ.get("AWS_SAM_LOCAL") != "true"
        return "streamed" if can_stream and variables.get("responseTransferMode") == "STREAM" else None
    if event.get("version") != "2.0" or not isinstance(request.get("http"), dict):
        return None
    if not request.get("requestId"):
        return "whole"
    # An HTTP API sends the same format. cargo-lambda's Function URLs have another domain, but no API's id.
    is_function_url = ".lambda-url." in (request.get("domainName") or "") or not request.get("apiId")
    return "streamed" if is_function_url else None


def scope_of(event: dict[str, Any], context: Context, state: dict[str, Any]) -> Scope:
    """Return the ASGI scope of an event that `response_mode` has a mode for.

    As with Mangum, `aws.event` is the event and `aws.context` the `Context`. `state` is the lifespan's. A REST API's
    stage is not in the path.
    """
    request = event["requestContext"]
    if _is_rest(event):
        method, path, protocol = event["httpMethod"], event.get("path") or "/", request.get("protocol")
        source_ip = (request.get("identity") or {}).get("sourceIp")
        headers, query = _rest_headers(event), _rest_query(event)
    else:
        http = request["http"]
        method, path, protocol = http["method"], event.get("rawPath") or http.get("path") or "/", http.get("protocol")
        source_ip = http.get("sourceIp")
        headers, query = _function_url_headers(event), event.get("rawQueryString") or ""
    named = dict(headers)
    host = request.get("domainName") or named.get(b"host", b"lambda").decode("latin-1")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": str(protocol).partition("/")[2] or "1.1",
        "method": method.upper(),
        "scheme": named.get(b"x-forwarded-proto", b"https").decode("latin-1"),
        # Both kinds have the path as it was sent, percent-encoded.
        "path": unquote(path),
        "raw_path": quote(path, safe="/%:@!$&'()*+,;=~-._").encode("ascii"),
        "query_string": quote(query, safe="=&%+/?:@!$'()*,;~-._[]").encode("ascii"),
        "root_path": "",
        "headers": headers,
        "client": (source_ip, 0) if source_ip else None,
        "server": (host, 443),
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


def _is_rest(event: dict[str, Any]) -> bool:
    # An HTTP API with the format 1.0 says so; it cannot stream.
    return "resource" in event and isinstance(event.get("httpMethod"), str) and "version" not in event


def _function_url_headers(event: dict[str, Any]) -> _Headers:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if cookies := event.get("cookies"):
        headers["cookie"] = "; ".join(cookies)
    return _encoded(headers.items())


def _rest_headers(event: dict[str, Any]) -> _Headers:
    """Return the headers, each value of a repeated one by itself. Cookies are one header, as in HTTP/1.1."""
    several: dict[str, list[str]] = event.get("multiValueHeaders") or {}
    if not several:
        several = {name: [value] for name, value in (event.get("headers") or {}).items()}
    pairs = [(name.lower(), value) for name, values in several.items() for value in values]
    cookies = [value for name, value in pairs if name == "cookie"]
    pairs = [pair for pair in pairs if pair[0] != "cookie"]
    return _encoded([*pairs, ("cookie", "; ".join(cookies))] if cookies else pairs)


def _rest_query(event: dict[str, Any]) -> str:
    """Return the query string; the event has its names and values decoded."""
    return urlencode(event.get("multiValueQueryStringParameters") or event.get("queryStringParameters") or {}, True)


def _encoded(pairs: Iterable[tuple[str, str]]) -> _Headers:
    return [(name.encode("latin-1"), _header(value)) for name, value in pairs]


def _header(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()
