"""Requests to an API Gateway REST API, which streams or does not, and events whose response nobody reads."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.emulator import Emulator
from tests.runtime.events import function_url_event, rest_api_event
from tests.runtime.fronts import FUNCTIONS, cargo_lambda, interface_emulator


def function_of(layer: Path, name: str = "plain", **environ: str) -> Emulator:
    return Emulator(layer, FUNCTIONS / name, "app.handler", python=sys.executable, environ=environ)


async def test_each_value_of_a_repeated_header_arrives(layer: Path) -> None:
    headers = [("Accept", "text/html"), ("Accept", "*/*"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("X-One", "1")]
    async with function_of(layer) as function:
        echoed = (await function.invoke(rest_api_event("GET", "/echo", headers), streamed=True)).json
        event = rest_api_event("GET", "/echo", headers) | {"multiValueHeaders": None}
        last_values = (await function.invoke(event, streamed=True)).json
    pairs = [tuple(pair) for pair in echoed["headers"]]
    assert [value for name, value in pairs if name == "accept"] == ["text/html", "*/*"]
    assert ("cookie", "a=1; b=2") in pairs
    assert ("x-one", "1") in pairs
    assert echoed["server"][0].endswith(".execute-api.us-east-1.amazonaws.com")
    assert (echoed["scheme"], echoed["client"]) == ("https", ["192.0.2.7", 0])
    assert ["accept", "*/*"] in last_values["headers"]


async def test_the_path_has_no_stage_and_the_query_is_encoded_again(layer: Path) -> None:
    async with function_of(layer) as function:
        event = rest_api_event("GET", "/echo/100%25/a%2Fb?q=a%26b&q=%C3%A4&empty=")
        echoed = (await function.invoke(event, streamed=True)).json
    assert (echoed["path"], echoed["raw_path"]) == ("/echo/100%/a/b", "/echo/100%25/a%2Fb")
    assert echoed["query_string"] == "q=a%26b&q=%C3%A4&empty="


@pytest.mark.parametrize(
    ("event", "environ"),
    [
        (rest_api_event("GET", "/?q=1", stage_variables={}), {}),
        (rest_api_event("GET", "/?q=1") | {"stageVariables": None}, {}),
        (rest_api_event("GET", "/?q=1"), {"AWS_SAM_LOCAL": "true"}),
        # An HTTP API with the format 1.0: it has no response transfer mode.
        (rest_api_event("GET", "/?q=1") | {"version": "1.0"}, {}),
    ],
    ids=["no variable", "no variables", "sam local", "http api"],
)
async def test_without_streaming_the_ordinary_handler_answers(
    layer: Path, event: dict[str, Any], environ: dict[str, str]
) -> None:
    async with function_of(layer, "web", **environ) as function:
        result = await function.invoke(event)
    assert result.prelude is None
    assert result.json["statusCode"] == 200
    assert json.loads(result.json["body"])["query"] == {"q": "1"}
    assert len(result.json["multiValueHeaders"]["set-cookie"]) == 2


async def test_a_failed_rest_request_is_a_function_error(layer: Path) -> None:
    async with function_of(layer) as function:
        failed = await function.invoke(rest_api_event("GET", "/fail-before"), streamed=True)
        unreadable = await function.invoke(rest_api_event("POST", "/hello") | {"multiValueHeaders": 7}, streamed=True)
        again = await function.invoke(rest_api_event("GET", "/hello"), streamed=True)
        assert len(function.environments) == 1
    assert failed.error is not None
    assert unreadable.error is not None
    assert again.body == b"hello"


async def test_cargo_lambda_and_the_interface_emulator_take_the_same_response(layer: Path) -> None:
    async with interface_emulator(layer, "plain", event=rest_api_event) as function:
        answer = await function.ask("GET", "/cookies")
    assert (answer.status, answer.body, answer.cookies) == (200, b"crumbs", ["a=1; Path=/", "b=2; HttpOnly"])
    async with cargo_lambda(layer, "plain") as function:
        invoke = function.url.replace("/lambda-url/fn", "/2015-03-31/functions/fn/invocations")
        invoked = await function.http.post(invoke, json=rest_api_event("GET", "/cookies"))
    assert (invoked.status_code, invoked.content) == (200, b"crumbs")


def asynchronous_event(path: str) -> dict[str, Any]:
    """Return an event as a function sends it to another one asynchronously."""
    event = function_url_event("POST", path)
    event["requestContext"] = {"domainName": "dispatch", "http": event["requestContext"]["http"], "stage": "$default"}
    return event


async def test_an_asynchronous_event_is_answered_whole(layer: Path) -> None:
    async with function_of(layer) as function:
        answer = await function.invoke(asynchronous_event("/cookies"))
        binary = (await function.invoke(asynchronous_event("/binary"))).json
    assert answer.prelude is None
    assert answer.json["statusCode"] == 200
    assert answer.json["cookies"] == ["a=1; Path=/", "b=2; HttpOnly"]
    assert (answer.json["body"], answer.json["isBase64Encoded"]) == ("crumbs", False)
    assert binary["isBase64Encoded"]
    assert base64.b64decode(binary["body"]).startswith(bytes(range(256)))


@pytest.mark.parametrize("path", ["/fail-before", "/fail-in-body", "/incomplete"])
async def test_a_failed_asynchronous_event_is_an_error_and_the_next_one_works(layer: Path, path: str) -> None:
    async with function_of(layer) as function:
        failed = await function.invoke(asynchronous_event(path))
        assert failed.error is not None
        assert failed.body == b""
        assert (await function.invoke(asynchronous_event("/hello"))).json["body"] == "hello"
        assert len(function.environments) == 1
