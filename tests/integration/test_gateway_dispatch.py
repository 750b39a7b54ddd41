"""A gateway whose agents are Lambda functions dispatches tasks; viewers read the log and open no pipe."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import pipes as pipes_module
from gateway.app import create_app
from tailrace.agent import dispatch
from tailrace.config import Settings
from tailrace.log.memory import MemoryLog
from tests.sample_agents import event_burst
from tests.sample_agents.waits_at_gate import Gate, waits_at_gate
from tests.support.conditions import eventually
from tests.support.gateway import ALICE, System, header_owner
from tests.support.http import serve
from tests.support.in_process import system

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:orchestrator:live"
# What makes a gateway dispatch. Its viewers dispatch a task again that has not begun in the time of a lease, and a busy
# machine is never as slow as this one.
SETTINGS = {"dispatch": f"orchestrator={FUNCTION}", "lease_s": 60.0, "renew_s": 0.2, "tail_slow_ms": 100}
# A lease that a test can wait for.
SHORT: dict[str, Any] = {"lease_s": 1.0}


class Lambda:
    """The Invoke API. The agent at `url` gets what is sent, unless it `refuses` it, or does not `deliver` it."""

    def __init__(self) -> None:
        self.url = ""
        self.sent: list[dict[str, Any]] = []
        self.delivers = True
        self.refuses = False

    def invoke(self, **given: Any) -> None:
        if self.refuses:
            error = {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
            raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 429}}, "Invoke")  # type: ignore[typeddict-item]
        self.sent.append(given)
        if self.delivers:
            event = json.loads(given["Payload"])
            httpx.post(self.url, content=event["body"], headers=event["headers"]).raise_for_status()


@pytest.fixture
def invoked(monkeypatch: pytest.MonkeyPatch) -> Lambda:
    invoked = Lambda()
    monkeypatch.setattr(dispatch, "lambda_client", lambda: invoked)
    return invoked


@contextlib.asynccontextmanager
async def on_lambda(builder: Any, folder: Path, invoked: Lambda, **changes: Any) -> AsyncIterator[System]:
    async with system(builder, folder, **{**SETTINGS, **changes}) as sut:
        cards = (await sut.http.get("/api/agents")).json()["agents"]
        invoked.url = cards[0]["supportedInterfaces"][0]["url"]
        yield sut


def pipes() -> list[str]:
    return [name for task in asyncio.all_tasks() if (name := task.get_name()).startswith("pipe ")]


async def test_a_new_task_is_dispatched_at_once_and_needs_no_viewer(tmp_path: Path, invoked: Lambda) -> None:
    async with on_lambda(event_burst.builder, tmp_path, invoked) as sut:
        task_id = await sut.post({"data": {"events": 10}})
        (sent,) = invoked.sent
        assert (sent["FunctionName"], sent["InvocationType"]) == (FUNCTION, "Event")
        assert task_id in json.loads(sent["Payload"])["body"]
        async with asyncio.timeout(60):
            while (await sut.log.head(task_id)).state != "TASK_STATE_COMPLETED":
                await asyncio.sleep(0.01)
        assert (await sut.read(task_id)).seqs == list(range(1, 16))
        assert len(invoked.sent) == 1


async def test_viewers_read_the_log_and_open_no_pipe(tmp_path: Path, invoked: Lambda) -> None:
    async with on_lambda(event_burst.builder, tmp_path, invoked) as sut:
        task_id = await sut.post({"data": {"events": 200, "pause_s": 0.005}})
        seen_pipes: list[str] = []
        one, two = await asyncio.gather(
            sut.read(task_id, until=lambda seen: bool(seen_pipes.extend(pipes())) or seen.ended), sut.read(task_id)
        )
        assert one.seqs == two.seqs == list(range(1, 206))
        assert one.events == two.events
        assert (seen_pipes, len(invoked.sent)) == ([], 1)


async def test_a_dispatch_that_fails_does_not_fail_the_request(
    tmp_path: Path, invoked: Lambda, caplog: pytest.LogCaptureFixture
) -> None:
    invoked.refuses = True
    async with on_lambda(event_burst.builder, tmp_path, invoked, **SHORT) as sut:
        task_id = await sut.post({"data": {"events": 3}})
        assert f"task {task_id} was not dispatched to {FUNCTION}: An error occurred (TooManyRequests" in caplog.text
        invoked.refuses = False
        assert (await sut.read(task_id)).seqs == list(range(1, 9))  # its viewer dispatched it after the time of a lease
        assert invoked.sent


async def test_a_viewer_dispatches_a_task_that_does_not_start_once_in_the_time_of_a_lease(
    tmp_path: Path, invoked: Lambda
) -> None:
    invoked.delivers = False
    async with on_lambda(event_burst.builder, tmp_path, invoked, **SHORT) as sut:
        task_id = await sut.post({"data": {"events": 3}})
        began = sut.log.now()
        reading = asyncio.create_task(sut.read(task_id))
        await eventually(lambda: len(invoked.sent) == 3)
        assert sut.log.now() - began >= 2 * SHORT["lease_s"] * 1000
        invoked.delivers = True
        assert (await reading).seqs == list(range(1, 9))


async def test_a_viewer_dispatches_a_task_whose_worker_is_lost(tmp_path: Path, invoked: Lambda) -> None:
    async with on_lambda(event_burst.builder, tmp_path, invoked) as sut:
        invoked.delivers = False
        task_id = await sut.post({"data": {"events": 3}})
        await sut.log.claim(task_id, "a worker that dies", lease_s=0.1)
        invoked.delivers = True
        seen = await sut.read(task_id)
        assert seen.state == "TASK_STATE_COMPLETED"
        assert len(invoked.sent) == 2


async def test_a_quiet_task_pauses_and_its_run_goes_on(tmp_path: Path, invoked: Lambda) -> None:
    gate = Gate()
    changes = {"quiet_s": 0.1, "pause_min_ms": 50, "pause_max_ms": 50}
    async with on_lambda(waits_at_gate(gate), tmp_path, invoked, **changes) as sut:
        task_id = await sut.post({"text": "hello"})
        first = await sut.read(task_id)
        assert first.controls[-1] == ("pause", {"ms": 50})
        gate.open.set()
        got, seen = list(first.seqs), first
        while not seen.ended:
            seen = await sut.read(task_id, cursor=got[-1])
            got += seen.seqs
        assert got == list(range(1, len(got) + 1))
        assert (len(invoked.sent), gate.cancelled) == (1, False)


# A stream costs as much as work, and these streams are not quiet.
COSTLY = {"quiet_s": 60.0, "retry_ms": 20}
BUSY = ("pause", {"ms": 20, "reason": "busy"})


async def read_windows(sut: System, task_id: str) -> tuple[list[int], list[tuple[str, Any]]]:
    """Read until the task's end, as the page does; return the seqs, and how each stream ended."""
    got, endings = list[int](), list[tuple[str, Any]]()
    while not endings or endings[-1][0] != "end":
        seen = await sut.read(task_id, cursor=got[-1] if got else 0)
        got += seen.seqs
        endings.append(seen.controls[-1])
        await asyncio.sleep(COSTLY["retry_ms"] / 1000)  # as `pause` says
    return got, endings


async def test_when_lambda_refuses_an_agent_streams_are_windows_and_the_task_begins_when_it_can(
    tmp_path: Path, invoked: Lambda, caplog: pytest.LogCaptureFixture
) -> None:
    invoked.refuses = True
    async with on_lambda(event_burst.builder, tmp_path, invoked, **COSTLY, **SHORT) as sut:
        task_id = await sut.post({"data": {"events": 3}})
        assert f'"event":"pressure","reason":"429 from {FUNCTION}"' in caplog.text
        first = await sut.read(task_id)
        assert (first.seqs, first.controls[-1]) == ([1], BUSY)  # it occupies nothing while the agent cannot begin
        invoked.refuses = False
        got, endings = await read_windows(sut, task_id)
        assert got == list(range(1, 9))
        assert {*map(repr, endings[:-1])} == {repr(BUSY)}
        assert invoked.sent


async def test_a_stream_that_is_open_becomes_a_window_when_an_agent_does_not_begin(
    tmp_path: Path, invoked: Lambda, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes_module, "STARTS_MS", 200)
    invoked.delivers = False
    async with on_lambda(event_burst.builder, tmp_path, invoked, heartbeat_s=0.1, **COSTLY, **SHORT) as sut:
        task_id = await sut.post({"data": {"events": 3}})
        first = await sut.read(task_id)
        assert (first.seqs, first.controls[-1]) == ([1], BUSY)
        assert f"orchestrator has not begun task {task_id}" in caplog.text
        invoked.delivers = True
        got, _ = await read_windows(sut, task_id)
        assert got == list(range(1, 9))
        # For a while other streams of this process are windows, too.
        monkeypatch.setattr(pipes_module, "STARTS_MS", 60_000)
        invoked.delivers = False
        second = await sut.post({"data": {"events": 3}})
        assert (await sut.read(second)).controls[-1] == BUSY
        invoked.delivers = True
        got, _ = await read_windows(sut, second)
        assert got == list(range(1, 9))


async def test_where_a_stream_costs_nothing_it_is_held_although_lambda_refuses_an_agent(
    tmp_path: Path, invoked: Lambda
) -> None:
    invoked.refuses = True
    async with on_lambda(event_burst.builder, tmp_path, invoked, **SHORT) as sut:
        task_id = await sut.post({"data": {"events": 3}})
        invoked.refuses = False
        seen = await sut.read(task_id)
        assert seen.seqs == list(range(1, 9))
        assert "pause" not in {name for name, _ in seen.controls}


@contextlib.asynccontextmanager
async def answered_by_lambda(
    status: int, headers: dict[str, str], folder: Path, **changes: Any
) -> AsyncIterator[System]:
    """A gateway whose agents' URLs are answered by Lambda itself when something is posted: no execution is left."""

    def answer(_: Request) -> Response:
        return JSONResponse({"Message": "Rate Exceeded."}, status, headers)

    everything = Route("/{path:path}", answer, methods=["POST"])
    log = MemoryLog()
    async with serve(Starlette(routes=[everything])) as url:
        settings = replace(Settings.load(), data_dir=str(folder), orchestrator_url=f"{url}/", **{**SETTINGS, **changes})
        app = create_app(settings, log=log, decide_owner=header_owner)
        async with serve(app) as gateway, httpx.AsyncClient(base_url=gateway, headers=ALICE, timeout=60) as http:
            yield System(gateway, log, http)


@pytest.mark.parametrize(("status", "headers", "wait_s"), [(429, {}, "5"), (503, {"Retry-After": "2"}, "2")])
async def test_a_reply_for_which_lambda_has_no_execution_may_be_sent_again_and_streams_are_windows(
    tmp_path: Path, invoked: Lambda, caplog: pytest.LogCaptureFixture, status: int, headers: dict[str, str], wait_s: str
) -> None:
    invoked.delivers = False
    async with answered_by_lambda(status, headers, tmp_path, **COSTLY) as sut:
        task_id = await sut.post({"text": "hello"})
        assert "pressure" not in caplog.text
        refused = await sut.http.post(f"/api/tasks/{task_id}/messages", json={"message": {"parts": [{"text": "yes"}]}})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, wait_s)
        assert refused.json()["detail"] == f"The agent takes no requests now. Try again in {wait_s} s."
        assert f'"event":"pressure","reason":"{status} from 127.0.0.1"' in caplog.text
        assert (await sut.read(task_id)).controls[-1] == BUSY
