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
