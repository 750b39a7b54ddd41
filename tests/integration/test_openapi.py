"""The API tells what it is: `/api/openapi.json` has every route, and what it says of them is true."""

from __future__ import annotations

import asyncio
import re
import uuid
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.app import create_app
from gateway.openapi import document
from tailrace.config import Settings
from tailrace.events import Message, Part, Source, status_update, submitted
from tailrace.log import Batch, EventLog, Head
from tailrace.log.memory import MemoryLog
from tests.support.anothers import BODIES
from tests.support.http import serve

ROOT = Path(__file__).parents[2]
# With everything that adds routes.
EVERYTHING = {"oidc_issuer": "https://issuer.example", "oidc_client_id": "tailrace"}
_PARAMETER = re.compile(r"\{\w+(?::path)?\}")


BOUNDED = settings(
    max_examples=2,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


async def a_finished_task(log: EventLog, owner: str) -> str:
    head = Head(task_id=str(uuid.uuid4()), owner=owner, context_id="c", agent="orchestrator")
    source = Source(head.task_id, "c", head.agent, 1)
    await log.create(head, submitted(source, Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])))
    await log.claim(head.task_id, "worker", 60)
    await log.append(head.task_id, Batch(2, 1, [status_update(source, 2, "state", state="TASK_STATE_COMPLETED")]))
    await log.update_state(head.task_id, 1, "TASK_STATE_COMPLETED", release=True)
    return head.task_id


def app_in(folder: Path, log: EventLog | None = None, **changes: Any) -> Starlette:
    chosen = Settings(log="memory", data_dir=str(folder), orchestrator_url="http://127.0.0.1:9/", **changes)
    return create_app(chosen, log=log or MemoryLog(), decide_owner=lambda request: request.headers.get("x-test-owner"))


def table(app: Starlette) -> set[tuple[str, str]]:
    """The method and path of everything that the app answers below /api, but for a HEAD that is like its GET."""
    routes = [each for each in app.routes if isinstance(each, Route) and each.path.startswith("/api/")]
    return {
        (method, _PARAMETER.sub("{}", each.path)) for each in routes for method in (each.methods or set()) - {"HEAD"}
    }


def described(paths: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), _PARAMETER.sub("{}", path)) for path, item in paths.items() for method in item} - {
        ("HEAD", "/api/stream/{}"),
        ("HEAD", "/api/chat/{}/stream"),
    }


def test_every_route_of_the_api_is_in_the_description(tmp_path: Path) -> None:
    app = app_in(tmp_path, **EVERYTHING)
    assert described(document(app.routes)["paths"]) == table(app)
    assert ("GET", "/api/auth/login") in table(app)


def test_the_table_of_the_protocol_has_every_route(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "PROTOCOL.md").read_text().partition("### 6.1 Routes")[2].partition("### 6.2")[0]
    told = re.findall(r"(GET|POST|PUT|PATCH|DELETE) (/api/[^\s`?;]+)", page)
    named = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in told}
    assert named == table(app_in(tmp_path, **EVERYTHING))


def test_the_description_is_openapi(tmp_path: Path) -> None:
    validate(document(app_in(tmp_path, **EVERYTHING).routes))


async def test_everybody_gets_it_and_nothing_else_of_the_api(tmp_path: Path) -> None:
    async with serve(app_in(tmp_path)) as url, httpx.AsyncClient(base_url=url) as http:
        got = await http.get("/api/openapi.json")
        assert (got.status_code, got.json()["openapi"]) == (200, "3.1.0")
        unchanged = await http.get("/api/openapi.json", headers={"If-None-Match": got.headers["etag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        open_ones = {
            path for path, item in got.json()["paths"].items() for each in item.values() if each.get("security") == []
        }
        assert open_ones == {"/api/health", "/api/openapi.json"}
        for path, item in got.json()["paths"].items():
            for method in item if path not in open_ones else ():
                headers = {"Content-Type": "application/json"}
                refused = await http.request(method, _PARAMETER.sub("x", path), content=b"{}", headers=headers)
                assert refused.status_code == 401, (method, path)


RUN: dict[str, Any] = {"threadId": "t", "runId": "r", "messages": []}
SAID: dict[str, Any] = {"id": "m", "role": "user", "parts": []}
NO_CONTENT = [{}, {"text": None}, {"text": "", "url": ""}, {"text": "", "data": 0}, {"raw": "", "data": 1}]
CONTENT = [{"text": ""}, {"data": None}, {"text": "a", "data": None}, {"url": "urn:x", "raw": None}, {"data": 0}]
# By their route, bodies that fit what the description says, and bodies that do not.
BODIES_OF: dict[str, tuple[list[Any], list[Any]]] = {
    "/api/agui/{agent}": ([RUN], [{**RUN, "threadId": ""}, {**RUN, "runId": ""}, {**RUN, "resume": [{}]}]),
    "/api/chat": (
        [{"id": "c", "messages": [SAID]}],
        [{"id": "", "messages": [SAID]}, {"id": "c", "messages": []}, {"id": "c", "messages": [{**SAID, "id": ""}]}],
    ),
    "/api/tasks": (
        [{"message": {"parts": [part]}} for part in CONTENT],
        [{"message": {"parts": parts}} for parts in ([], *([part] for part in NO_CONTENT))],
    ),
}


async def test_a_malformed_body_is_refused_by_the_description_too(tmp_path: Path) -> None:
    async with serve(app_in(tmp_path)) as url, httpx.AsyncClient(base_url=url, headers={"x-test-owner": "a"}) as http:
        shown = (await http.get("/api/openapi.json")).json()
        for path, (right, wrong) in BODIES_OF.items():
            content = shown["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            fits = Draft202012Validator({**content["schema"], "components": shown["components"]}).is_valid
            assert [body for body in right if not fits(body)] == []
            for body in wrong:
                refused = await http.post(path.format(agent="orchestrator"), json=body)
                assert (refused.status_code, fits(body)) == (400, False), body


async def test_what_the_description_says_is_true(tmp_path: Path) -> None:
    """Requests made of it by schemathesis, right and wrong ones, have the answers that it says."""
    import schemathesis  # here, because each process of the tests imports this module
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

    log = MemoryLog()
    known = await a_finished_task(log, "ada")
    # A schema cannot say which agents there are, or that a cursor is one of the task's. Credentials are tested above.
    # The agent is away, which a 502 says; a 500 is nowhere in the description.
    not_here = [ignored_auth, positive_data_acceptance, not_a_server_error]
    seen: set[tuple[str, str, int]] = set()

    def ask(case: Any, **path: str) -> None:
        case.cookies, case.path_parameters = {}, {**(case.path_parameters or {}), **path}
        case.headers = {**(case.headers or {}), "x-test-owner": "ada", "content-type": "application/json"}
        answer = case.call_and_validate(excluded_checks=not_here)
        seen.add((case.method, case.path, answer.status_code))

    def ask_all(url: str) -> None:
        for result in schemathesis.openapi.from_url(f"{url}/api/openapi.json").get_all_operations():
            operation = result.ok()
            named = dict.fromkeys(re.findall(r"\{(\w+)\}", operation.path), "x") | {"task_id": known}
            body = {"message": BODIES["message"]} if operation.path.startswith("/api/tasks") else {}
            ask(operation.Case(body=body) if operation.body else operation.Case(), **named)
            modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if operation.body or operation.query else [])]
            for mode in modes:
                BOUNDED(given(case=operation.as_strategy(generation_mode=mode))(ask))()

    async with serve(app_in(tmp_path, log)) as url:  # schemathesis would not end what the app does by itself
        await asyncio.to_thread(ask_all, url)
    answers = {(method, path): {status for *at, status in seen if at == [method, path]} for method, path, _ in seen}
    assert len(answers) > 25
    assert answers["GET", "/api/stream/{task_id}"] >= {200, 404}
    assert answers["POST", "/api/tasks"] >= {201, 400}
