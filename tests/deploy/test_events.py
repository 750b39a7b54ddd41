"""Each payload in events/ is one that its function gets on AWS or from `sam local`, and answers."""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from outside import ROOT

EVENTS = sorted((ROOT / "events").glob("*.json"))
HANDLERS = {name: f"{name}.app" for name in ("orchestrator", "log_analyst", "metric_analyst")}
HANDLERS["gateway"] = "gateway.function"
STATUS = {"gateway-create-task": 201, "gateway-stranger": 401, "gateway-stream": 404}


def function_of(path: Path) -> str:
    return path.stem.split("-")[0]


def loaded(path: Path) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(path.read_text())
    return event


def local_routes() -> dict[str, str]:
    """The routes of `sam local` and the function each leads to."""
    text = (ROOT / "template.yaml").read_text()
    found = re.findall(r"^          (/\S+):\n(?:.*\n){5}.*\$\{(\w+)Function\.Arn\}", text, re.MULTILINE)
    return dict(found)


@pytest.fixture
def handler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The function's handler, in a process that looks like its own."""
    function: str = request.param
    for name, value in {
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "TAILRACE_LOG": "memory",
        "TAILRACE_ACCESS_SECRET": "the-secret-of-the-tests",
    }.items():
        monkeypatch.setenv(name, value)
    module = HANDLERS[function]
    monkeypatch.delitem(sys.modules, module, raising=False)
    loop = asyncio.new_event_loop()  # Mangum takes the one that is set, and leaves it open
    asyncio.set_event_loop(loop)
    yield importlib.import_module(module).handler
    asyncio.set_event_loop(None)
    loop.close()


def test_every_function_has_a_payload_for_each_of_its_triggers() -> None:
    assert {function_of(path) for path in EVENTS} == HANDLERS.keys()
    for function in HANDLERS:
        mine = [loaded(path) for path in EVENTS if function_of(path) == function]
        triggers = {event["requestContext"]["domainName"].rpartition(".lambda-url.")[0] != "" for event in mine}
        assert triggers == {True, False}, f"{function}: a Function URL, and the API of sam local"


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_a_payload_has_the_form_of_its_trigger(path: Path) -> None:
    event = loaded(path)
    http = event["requestContext"]["http"]
    assert event["version"] == "2.0"
    assert event["rawPath"] == http["path"]
    assert set(event["headers"]) == {name.lower() for name in event["headers"]}
    if event["routeKey"] == "$default":
        assert event["headers"]["host"] == event["requestContext"]["domainName"]
    else:
        route = event["routeKey"].removeprefix("ANY ")
        assert local_routes()[route].lower() == function_of(path).replace("_", "")
        assert re.fullmatch(route.replace("{proxy+}", ".+"), event["rawPath"])


@pytest.mark.parametrize(
    ("path", "handler"),
    [pytest.param(path, function_of(path), id=path.stem) for path in EVENTS],
    indirect=["handler"],
)
def test_a_payload_is_answered(path: Path, handler: Any) -> None:
    answer = handler(loaded(path), None)
    text = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"]
    assert answer["statusCode"] == STATUS.get(path.stem, 200), text
    body = json.loads(text)
    if path.stem.endswith("-send"):
        assert body["result"]["task"]["status"]["state"] in ("TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED")


def test_the_routes_of_sam_local_lead_to_every_function() -> None:
    assert {function.lower() for function in local_routes().values()} == {name.replace("_", "") for name in HANDLERS}
