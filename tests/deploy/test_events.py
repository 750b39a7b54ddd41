"""Each payload in events/ has the form that its function gets on AWS or from `sam local`, and is answered."""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.agent import dispatch
from tailrace.agent.dispatch import function_url_event
from tailrace.events import submitted
from tailrace.log import EventLog, Head
from tailrace.log.memory import MemoryLog
from tailrace.owner import OWNER_HEADER
from tests.deploy.programs import ROOT, Resources
from tests.deploy.resources import of
from tests.support.events import message_of

EVENTS = sorted((ROOT / "events").glob("*.json"))
SCHEDULED = ROOT / "events" / "sweeper-schedule.json"
# These come from dispatch; the others come over HTTP.
SENT = [path for path in EVENTS if path.stem.endswith("-dispatch")]
ASKED = [path for path in EVENTS if path not in (SCHEDULED, *SENT)]
DISPATCHED = ["log_analyst", "metric_analyst", "orchestrator"]
HANDLERS = {name: f"{name}.handler" for name in (*DISPATCHED, "gateway", "sweeper")}
STATUS = {"gateway-create-task": 201, "gateway-stranger": 401, "gateway-stream": 404}


def function_of(path: Path) -> str:
    return path.stem.split("-")[0]


def loaded(path: Path) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(path.read_text())
    return event


@pytest.fixture(scope="session")
def local_routes(render: Callable[..., Resources]) -> dict[str, str]:
    """The routes of `sam local` and their functions."""
    local = render(SamLocal="true")
    paths = (each["Body"]["paths"] for each in of(local, "AWS::ApiGatewayV2::Api").values())
    return {route: re.findall(r"function:(\w+)Function/", str(to))[0] for each in paths for route, to in each.items()}


class Clock:
    passed_s = 0

    def __call__(self) -> float:
        return time.time() + self.passed_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> EventLog:
    """One log in memory for every function."""
    log = MemoryLog(clock=clock)
    for module in ("tailrace.log", "tailrace.agent.app"):
        monkeypatch.setattr(f"{module}.open_log", lambda settings: log)
    return log


@pytest.fixture
def handler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, log: EventLog) -> Iterator[Any]:
    """The handler of the function that the parameter names, imported with its environment."""
    function: str = request.param
    for name, value in {
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "TAILRACE_LOG": "memory",
        "TAILRACE_ACCESS_SECRET": "the-secret-of-the-tests",
        "TAILRACE_DISPATCH": "orchestrator=orchestrator:live" if function == "sweeper" else "",
    }.items():
        monkeypatch.setenv(name, value)
    module = HANDLERS[function]
    monkeypatch.delitem(sys.modules, module, raising=False)
    loop = asyncio.new_event_loop()  # Mangum uses the current loop and does not close it
    asyncio.set_event_loop(loop)
    yield importlib.import_module(module).handler
    asyncio.set_event_loop(None)
    loop.close()


def test_every_function_has_a_payload_for_each_of_its_triggers() -> None:
    assert {function_of(path) for path in EVENTS} == HANDLERS.keys()
    assert [function_of(path) for path in SENT] == DISPATCHED
    for function in HANDLERS.keys() - {"sweeper"}:
        mine = [loaded(path) for path in ASKED if function_of(path) == function]
        triggers = {event["requestContext"]["domainName"].rpartition(".lambda-url.")[0] != "" for event in mine}
        assert triggers == {True, False}, f"{function}: a Function URL, and the API of sam local"


@pytest.mark.parametrize("path", ASKED, ids=lambda path: path.stem)
def test_a_payload_has_the_form_of_its_trigger(path: Path, local_routes: dict[str, str]) -> None:
    event = loaded(path)
    http = event["requestContext"]["http"]
    assert event["version"] == "2.0"
    assert event["rawPath"] == http["path"]
    assert set(event["headers"]) == {name.lower() for name in event["headers"]}
    if event["routeKey"] == "$default":
        assert event["headers"]["host"] == event["requestContext"]["domainName"]
    else:
        route = event["routeKey"].removeprefix("ANY ")
        assert local_routes[route].lower() == function_of(path).replace("_", "")
        assert re.fullmatch(route.replace("{proxy+}", ".+"), event["rawPath"])


@pytest.mark.parametrize(
    ("path", "handler"),
    [pytest.param(path, function_of(path), id=path.stem) for path in ASKED],
    indirect=["handler"],
)
def test_every_payload_is_answered(path: Path, handler: Any) -> None:
    answer = handler(loaded(path), None)
    text = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"]
    assert answer["statusCode"] == STATUS.get(path.stem, 200), text
    body = json.loads(text)
    if path.stem.endswith("-send"):
        assert body["result"]["task"]["status"]["state"] in ("TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED")


def test_sam_local_routes_reach_every_function(local_routes: dict[str, str]) -> None:
    assert {function.lower() for function in local_routes.values()} == {
        name.replace("_", "") for name in HANDLERS.keys() - {"sweeper"}
    }


def create(log: EventLog, head: Head) -> None:
    """A task that no process has started."""
    message = message_of({"text": "What changed?"}, message_id="m-1")
    asyncio.get_event_loop().run_until_complete(log.create(head, submitted(head.source, message)))


@pytest.mark.parametrize(
    ("path", "handler"),
    [pytest.param(path, function_of(path), id=path.stem) for path in SENT],
    indirect=["handler"],
)
def test_a_dispatch_makes_the_agent_run_the_task(path: Path, handler: Any, log: EventLog) -> None:
    event = loaded(path)
    task_id = json.loads(event["body"])["params"]["id"]
    owner = event["headers"][OWNER_HEADER]
    head = Head(task_id=task_id, owner=owner, context_id="c", agent=function_of(path))
    assert event == json.loads(json.dumps(function_url_event(head)))
    create(log, head)
    answer = handler(event, None)
    assert json.loads(answer["body"])["result"]["id"] == task_id
    # The invocation ends with the run. Without data, an analyst asks a question; the orchestrator has no specialists
    # here, and its report says so.
    state = "TASK_STATE_COMPLETED" if head.agent == "orchestrator" else "TASK_STATE_INPUT_REQUIRED"
    assert asyncio.get_event_loop().run_until_complete(log.head(task_id)).state == state


@pytest.mark.parametrize("handler", ["sweeper"], indirect=True)
def test_the_schedule_makes_the_sweeper_dispatch_orphaned_tasks(
    handler: Any, log: EventLog, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, head = loaded(SCHEDULED), Head(task_id="t", owner="o", context_id="c", agent="orchestrator")
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    sent: list[dict[str, Any]] = []

    class Lambda:
        def invoke(self, **given: Any) -> None:
            sent.append(given)

    monkeypatch.setattr(dispatch, "lambda_client", Lambda)
    create(log, head)
    clock.passed_s = 60
    assert handler(event, None) == {"dispatched": 1, "deleted": 0}
    (invoked,) = sent
    assert (invoked["FunctionName"], invoked["InvocationType"]) == ("orchestrator:live", "Event")
    assert json.loads(invoked["Payload"]) == function_url_event(head)
