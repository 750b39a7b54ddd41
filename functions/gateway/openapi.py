"""`GET /api/openapi.json`: the API in OpenAPI 3.1, made of the table of its routes and the types of their bodies.

It needs no credential, as an agent's card does not: it is the same for everybody and in the repository too, and tools
that read it (generators, viewers, importers) send none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.api_route import STREAM, ApiRoute, Operation
from gateway.problems import ProblemDocument
from tailrace.events import encode

PATH = "/api/openapi.json"
_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_REF = "#/components/schemas/{name}"
# What follows from a route, and not from one operation alone.
_REFUSALS = {
    400: "Something in the request has a value that it cannot have.",
    401: "The gateway knows none of the request's credentials.",
    403: "The token's scopes do not allow it, or a page of another site sent it.",
    404: "There is no such thing, or it is somebody else's.",
    413: "The body is too large.",
    415: "The content type is not `application/json`.",
    429: "Too many wrong credentials, or you are at a limit. `Retry-After` says in how many seconds to try again.",
    502: "The agent could not be reached, or failed.",
    503: "There is no place, or the log is unavailable. With `Retry-After` it says when to try again.",
}
# One frame of a stream; a frame of events has the event as JSON in `data`.
_FRAME = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
}
_ALWAYS = (401, 403, 429, 503)
_SECURITY: dict[str, dict[str, str]] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of this gateway, one that its issuer signed, or its secret.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-tailrace",
        "description": "A browser's session. On loopback the cookie's name is `tailrace-PORT`. What changes something "
        "then needs an `Origin` that is exactly the gateway's.",
    },
}


class OpenApi:
    """The route of the description. `routes` are the table that it is made of, at the first request."""

    def __init__(self, routes: list[BaseRoute]) -> None:
        self._routes = routes

    @property
    def routes(self) -> list[BaseRoute]:
        answer = Operation(self.answer, "Describe this API.", answers=dict[str, Any], is_open=True)
        return [ApiRoute(PATH, GET=answer)]

    async def answer(self, request: Request) -> Response:
        """GET /api/openapi.json"""
        body, tag = self._document
        headers = {"Cache-Control": "max-age=300", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    @cached_property
    def _document(self) -> tuple[bytes, str]:
        body = encode(document(self._routes))
        return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI document of all `ApiRoute`s among the routes."""
    table = [each for each in routes if isinstance(each, ApiRoute)]
    kinds = list(dict.fromkeys(kind for each in table for kind in _kinds_of(each)))
    made, components = msgspec.json.schema_components([*kinds, ProblemDocument], ref_template=_REF)
    schemas = dict(zip([*kinds, ProblemDocument], made, strict=True))
    problems = {
        str(status): {
            "description": about,
            "content": {"application/problem+json": {"schema": schemas[ProblemDocument]}},
        }
        for status, about in _REFUSALS.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tailrace gateway",
            "version": "1",
            "description": "Tasks of LangGraph agents, their live streams and their conversations. docs/PROTOCOL.md "
            "specifies the streams. Agents are also at `/agents/NAME/`, over A2A.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in _SECURITY],
        "paths": {_PARAMETER.sub(r"{\1}", each.path): dict(_operations_of(each, schemas)) for each in table},
        "components": {"schemas": components, "responses": problems, "securitySchemes": _SECURITY},
    }


def _kinds_of(route: ApiRoute) -> Iterator[Any]:
    for each in route.operations.values():
        yield from (kind for kind in (each.takes, each.answers) if kind is not None)
        yield from (parameter.kind for parameter in each.parameters)


def _operations_of(route: ApiRoute, schemas: dict[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    named = _PARAMETER.findall(route.path)
    for method, operation in route.operations.items():
        shown: dict[str, Any] = {
            "operationId": _operation_id(method, route.path),
            "summary": operation.does,
            "responses": _responses(method, operation, named, schemas),
        }
        if parameters := [*map(_in_path, named), *_optional(operation, schemas)]:
            shown["parameters"] = parameters
        if operation.takes is not None:
            content = {"application/json": {"schema": schemas[operation.takes]}}
            shown["requestBody"] = {"required": True, "content": content}
        if operation.is_open:
            shown["security"] = []
        yield method.lower(), shown
        if method == "GET" and operation.media_type == STREAM:
            answers = {str(operation.status): {"description": "A GET would open a stream."}}
            others = {status: each for status, each in shown["responses"].items() if status != str(operation.status)}
            summary = "Get the status that a GET would have, without a stream."
            head_id = _operation_id("HEAD", route.path)
            yield "head", {**shown, "operationId": head_id, "summary": summary, "responses": {**answers, **others}}


def _operation_id(method: str, path: str) -> str:
    """A name for generated clients: `get_api_tasks_task_id`."""
    return re.sub(r"\W+", "_", method.lower() + path).strip("_")


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _optional(operation: Operation, schemas: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    for each in operation.parameters:
        yield {"name": each.name, "in": each.place, "description": each.about, "schema": schemas[each.kind]}


def _responses(method: str, operation: Operation, named: list[str], schemas: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.media_type == STREAM:
        answer["content"] = {STREAM: {"schema": _FRAME}}
    elif operation.answers is not None:
        answer["content"] = {operation.media_type: {"schema": schemas[operation.answers]}}
    refused = set() if operation.is_open else set(_ALWAYS)
    if named:
        refused.add(404)
    if operation.parameters:
        refused.add(400)
    if operation.takes is not None:
        refused |= {400, 413}
    if method in ("POST", "PATCH"):
        refused.add(415)
    shown: dict[int, dict[str, Any]] = {
        status: {"$ref": f"#/components/responses/{status}"} for status in (*refused, *operation.also)
    }
    problem = {"application/problem+json": {"schema": schemas[ProblemDocument]}}
    for status, about in operation.also.items():
        if about:
            shown[status] = {"description": about, **({"content": problem} if status >= 400 else {})}
    return {str(operation.status): answer, **{str(status): shown[status] for status in sorted(shown)}}
