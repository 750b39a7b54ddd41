"""The route that kills a worker for the page: which processes it kills, and where it does not exist."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.owner import secret_owner
from local.faults import is_ours
from local.site import create_site
from tailrace.config import Settings
from tests.support.conditions import eventually
from tests.support.processes import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def http(shipped: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with shipped.client() as client:
        yield client


async def waiting_task(http: httpx.AsyncClient) -> str:
    """Create a task without logs: it asks for them, and then nobody runs it. Returns its id."""
    created = (await http.post("/api/tasks", json={"message": {"parts": [{"text": "checkout is slow"}]}})).json()
    await http.get(created["streamUrl"])  # ends with the question

    async def is_released() -> bool:
        """The list has the state of the head, which changes together with the lease, a moment after the question."""
        tasks = (await http.get("/api/tasks")).json()["tasks"]
        return (created["id"], "TASK_STATE_INPUT_REQUIRED") in [(task["id"], task["status"]["state"]) for task in tasks]

    await eventually(is_released)
    return str(created["id"])


async def kill(http: httpx.AsyncClient, task: str, **headers: str) -> tuple[int, dict[str, Any]]:
    answer = await http.post(f"/api/local/tasks/{task}/kill", json={}, headers=headers)
    return answer.status_code, answer.json()


async def test_no_process_is_killed_when_none_runs_the_task(http: httpx.AsyncClient, shipped: Stack) -> None:
    before = await shipped.pid_of("orchestrator")
    task = await waiting_task(http)
    status, problem = await kill(http, task)
    assert (status, problem["detail"]) == (409, "No process runs the task at this moment.")
    assert (await http.post(f"/api/tasks/{task}/cancel", json={})).status_code == 202
    async with asyncio.timeout(60):
        while (await http.get(f"/api/tasks/{task}")).json()["status"]["state"] != "TASK_STATE_CANCELED":
            await asyncio.sleep(0.05)
    status, problem = await kill(http, task)
    assert (status, problem["detail"]) == (409, "The task is finished, so no process runs it.")
    assert await shipped.pid_of("orchestrator") == before


async def test_an_unknown_task_and_a_stranger_are_refused(http: httpx.AsyncClient) -> None:
    assert (await kill(http, "00000000-0000-0000-0000-000000000000"))[0] == 404
    assert (await kill(http, "nothing"))[0] == 404
    task = await waiting_task(http)
    assert (await kill(http, task, origin="https://elsewhere.example"))[0] == 403
    assert (await kill(http, task, host="rebound.example"))[0] == 401


async def test_only_a_function_of_the_same_supervisor_may_be_killed() -> None:
    assert not await is_ours(os.getpid())
    assert not await is_ours(os.getppid())
    assert not await is_ours(2**22 + 1)  # no such process


async def test_a_gateway_that_others_can_reach_has_no_route_and_no_buttons(tmp_path: Path) -> None:
    site = create_site(Settings(data_dir=str(tmp_path)), secret_owner("s3cret"))
    transport = httpx.ASGITransport(site)
    headers = {"x-tailrace-secret": "s3cret"}
    async with httpx.AsyncClient(transport=transport, base_url="http://site.example", headers=headers) as http:
        assert "local/" not in (await http.get("/")).text
        assert (await http.get("/local/faults.js")).status_code == 404
        answer = await http.post("/api/local/tasks/00000000-0000-0000-0000-000000000000/kill", json={})
        assert answer.status_code in (404, 405)


async def test_the_page_of_make_run_differs_from_the_deployed_one_only_by_its_extras(http: httpx.AsyncClient) -> None:
    deployed = (Path(__file__).parents[2] / "frontend" / "index.html").read_text()
    assert "local/" not in deployed
    page = await http.get("/")
    extras = re.compile(r' *<(?:link|script)[^>]*"local/[^>]*>(?:</script>)?\n')
    assert len(extras.findall(page.text)) == 2
    assert extras.sub("", page.text) == deployed
    for href in re.findall(r'"(local/[^"]*)"', page.text):
        assert (await http.get(f"/{href}")).headers["content-security-policy"] == page.headers[
            "content-security-policy"
        ]
