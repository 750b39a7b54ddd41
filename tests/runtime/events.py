"""The tests' events, in the form that AWS documents."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

URL_ID = "abcdefghijklmnopqrstuvwxyz012345"
DOMAIN = f"{URL_ID}.lambda-url.us-east-1.on.aws"


def function_url_event(
    method: str = "GET",
    target: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> dict[str, Any]:
    """Return a request to a Function URL (AWS: "Invoking Lambda function URLs", "Request payload format")."""
    path, _, query = target.partition("?")
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in headers:
        name = name.lower()
        if name == "cookie":
            cookies.extend(value.split("; "))
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    joined |= {"host": DOMAIN, "x-forwarded-proto": "https", "x-forwarded-port": "443", "x-forwarded-for": "192.0.2.7"}
    now = time.time()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": joined,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": URL_ID,
            "domainName": DOMAIN,
            "domainPrefix": URL_ID,
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
                "userAgent": joined.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        parameters: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
        event["queryStringParameters"] = parameters
    if body:
        text = joined.get("content-type", "").startswith(("text/", "application/json"))
        event["body"] = body.decode() if text else base64.b64encode(body).decode()
        event["isBase64Encoded"] = not text
    return event


def api_gateway_event(
    method: str = "GET", target: str = "/", headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the same request of an API Gateway HTTP API, which differs in its domain and cannot be streamed."""
    event = function_url_event(method, target, (headers or {}).items())
    domain = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
    event["headers"]["host"] = domain
    event["requestContext"] |= {"apiId": "a1b2c3d4e5", "domainName": domain, "domainPrefix": "a1b2c3d4e5"}
    return event


def rest_api_event(
    method: str = "GET",
    target: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    stage_variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a request to a REST API (API Gateway: "Input format of a Lambda function for proxy integration").

    Like API Gateway it keeps the path's percent-encoding, decodes the query, and has each value of a repeated header.
    It is of a streaming integration unless there are other `stage_variables`.
    """
    path, _, query = target.partition("?")
    domain = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
    several: dict[str, list[str]] = {}
    for name, value in headers:
        several.setdefault(name, []).append(value)
    several |= {"Host": [domain], "X-Forwarded-Proto": ["https"], "X-Forwarded-Port": ["443"]}
    parameters: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters.setdefault(name, []).append(value)
    # A REST API takes all bodies for binary whose media type is in `binaryMediaTypes`, here all.
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in several.items()},
        "multiValueHeaders": several,
        "queryStringParameters": {name: values[-1] for name, values in parameters.items()} or None,
        "multiValueQueryStringParameters": parameters or None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": {"responseTransferMode": "STREAM"} if stage_variables is None else dict(stage_variables),
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": domain,
            "domainPrefix": "a1b2c3d4e5",
            "extendedRequestId": "JKJaXmPLvHcESHA=",
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.7", "userAgent": "", "accountId": None},
            "path": f"/live{path}",
            "protocol": "HTTP/1.1",
            "requestId": str(uuid.uuid4()),
            "resourceId": "123456",
            "resourcePath": "/{proxy+}",
            "stage": "live",
        },
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }
