"""`make smoke` passes if everything is right. If something is wrong it fails, and says what to do."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.smoke import SmokeError, check
from tailrace.events import EXTENSION
from tests.support.http import serve
from tests.support.processes import ROOT, Stack

LAST = 9
SECRET = "0123456789abcdef"


async def test_smoke_passes_on_a_gateway_that_streams(shipped: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    rows = dict(await check(shipped.url, "", token=shipped.secret))
    assert "each once and in order, over 2 connections" in rows["events"]
    assert rows["agents, restored or started"].startswith("orchestrator, ")
    assert rows["replay"].startswith("the same ")
    assert rows["a task without a viewer"].startswith("completed")
    assert (rows["upload"], rows["another file by the same grant"]) in {("200", "400"), ("204", "400")}
    printed = capsys.readouterr().out
    in_order = [
        *(
            "agents, restored or started",
            "first byte of the stream",
            "between frames, live",
            "cut after event 5, resumed",
        ),
        *("a reader at the end", "without the secret", "upload", "a task without a viewer", "hand-off", "bill"),
    ]
    places = [printed.index(f"\n{name}  ") for name in in_order]
    assert places == sorted(places)


ALL = list(range(1, LAST + 1))


@dataclass
class Deployment:
    """A gateway that sends the events of `seqs` after the cursor; after the first stream, those of `replay`."""

    seqs: list[int]
    replay: list[int] | None = None
    secret: str = ""
    token: str = ""
    state: str = "COMPLETED"
    agents: tuple[dict[str, Any], ...] = ({"name": "orchestrator"},)
    at_end: int = 204
    refuses: int = 400
    kinds: tuple[str, ...] = ("attempt", "handoff", "attempt")
    pauses_at: int = 0
    stranger: int = 401
    card_host: str = ""
    starts: int = 0
    # What is answered with another site's text, or with Lambda's refusal.
    strange_at: str = ""
    strange: Response = dataclasses.field(default_factory=lambda: PlainTextResponse("<html>"))

    def app(self) -> Starlette:
        async def strange(_: Request) -> Response:
            return self.strange

        return Starlette(
            routes=[
                *([Route(self.strange_at, strange)] if self.strange_at else []),
                Route("/", self.page),
                Route("/api/agents", self.listed),
                Route("/api/tasks", self.tasks, methods=["GET", "POST"]),
                Route("/api/tasks/t", self.task),
                Route("/api/stream/t", self.stream),
                Route("/api/uploads", self.grant, methods=["POST"]),
                Route("/api/uploads/u", self.put, methods=["PUT"]),
                Route("/agents/orchestrator/", self.agent, methods=["POST"]),
                Route("/agents/orchestrator/.well-known/agent-card.json", self.card),
            ]
        )

    async def page(self, _: Request) -> Response:
        return PlainTextResponse("", headers={"Content-Security-Policy": "default-src 'none'"})

    async def agent(self, request: Request) -> Response:
        assert "x-amz-content-sha256" not in request.headers  # as a stock client sends it
        knows = request.headers.get("authorization") in (f"Bearer {self.secret}", f"Bearer {self.token}")
        return JSONResponse({}, 200 if knows else self.stranger)

    async def card(self, request: Request) -> Response:
        host = self.card_host or request.headers["host"]
        return JSONResponse({"supportedInterfaces": [{"url": f"https://{host}/agents/orchestrator/"}]})

    async def listed(self, _: Request) -> Response:
        return JSONResponse({"agents": self.agents})

    async def tasks(self, request: Request) -> Response:
        knows = request.headers.get("x-tailrace-secret") == self.secret
        if self.secret and not (knows or request.headers.get("authorization") == f"Bearer {self.token}"):
            return JSONResponse({}, 401)
        assert len(request.headers["x-amz-content-sha256"]) == 64
        return JSONResponse({"id": "t"}, 201)

    async def task(self, _: Request) -> Response:
        return JSONResponse({"status": {"state": f"TASK_STATE_{self.state}"}})

    async def grant(self, _: Request) -> Response:
        return JSONResponse({"upload": {"url": "/api/uploads/u", "headers": {}}}, 201)

    async def put(self, request: Request) -> Response:
        return Response(status_code=self.refuses if b"WARN" in await request.body() else 200)

    async def stream(self, request: Request) -> Response:
        cursor = int(request.headers.get("last-event-id") or request.query_params["cursor"])
        if cursor >= LAST:
            return Response(status_code=self.at_end)
        self.starts += cursor == 0
        sent = self.replay if self.replay is not None and self.starts > 1 else self.seqs

        async def chunks() -> AsyncIterator[str]:
            yield "retry: 1\n\nevent: sync\ndata: {}\n\n"
            for seq in [seq for seq in sent if seq > cursor]:
                kind = self.kinds[seq - 2] if 2 <= seq < 2 + len(self.kinds) else "progress"
                ours = {"ts": 1, "kind": kind, **({"cost": {"seconds": 1.5, "write_units": 40}} if seq == LAST else {})}
                event = {"result": {"statusUpdate": {"metadata": {EXTENSION: ours}, "n": seq}}}
                yield f"id: {seq}\ndata: {json.dumps(event)}\n\n"
                if seq == self.pauses_at:
                    yield 'retry: 1\n\nevent: pause\ndata: {"ms": 1}\n\n'
                    return
            yield f'event: end\ndata: {{"state":"TASK_STATE_{self.state}","seq":{LAST}}}\n\n'

        return StreamingResponse(chunks(), media_type="text/event-stream")


async def test_smoke_passes_with_the_gateways_secret_and_counts_hand_offs() -> None:
    async with serve(Deployment(ALL, secret=SECRET).app()) as url:
        rows = dict(await check(url, SECRET))
    assert rows["without the secret"] == "401"
    assert rows["hand-off"] == "2, and each run went on"
    assert rows["an A2A client's request"].endswith("without a digest")
    assert rows["the run by its own account"] == "1.5 seconds, 40 write units"


async def test_smoke_passes_with_a_machines_token() -> None:
    """As where people sign in, and there is no secret."""
    async with serve(Deployment(ALL, secret="nobody knows", token="trk_a_b").app()) as url:
        rows = dict(await check(url, "", token="trk_a_b"))
    assert rows["without the secret"] == "401"
    assert rows["an A2A client's request"].startswith("200 after")
    assert rows["another file by the same grant"] == "400"


@pytest.mark.parametrize(
    ("faulty", "what", "remedy"),
    [
        (Deployment(ALL, secret=SECRET, stranger=200), "instead of 401", "strangers can ask"),
        (Deployment(ALL, secret=SECRET, card_host="x.execute-api.aws"), "which are not below", "ViewerHost"),
    ],
    ids=["an open agent", "another address in the card"],
)
async def test_smoke_checks_the_agents_door(faulty: Deployment, what: str, remedy: str) -> None:
    async with serve(faulty.app()) as url:
        with pytest.raises(SmokeError, match=what) as failed:
            await check(url, SECRET)
    assert remedy in str(failed.value)


async def test_smoke_comes_back_after_a_pause() -> None:
    async with serve(Deployment(ALL, pauses_at=7).app()) as url:
        rows = dict(await check(url, ""))
    assert rows["events"] == "9, each once and in order, over 3 connections, pauses: 1"
    assert rows["replay"].startswith("the same 9 events")


@pytest.mark.parametrize(
    ("faulty", "what", "remedy"),
    [
        (Deployment([1, 2, 3, 4, 5, 6, 8, 9]), "Event 8 came after event 6", "report it"),
        (Deployment([1, 2, 3, 4, 5, 6, 6, 7, 8, 9]), "Event 6 came after event 6", "report it"),
        (Deployment([1, 2, 3, 5, 4, 6, 7, 8, 9]), "Event 5 came after event 3", "report it"),
        (Deployment([1, 2, 3, 4, 5, 6, 7, 8]), "ended at event 9 after 8 events", "report it"),
        (Deployment(ALL, replay=[1, 2, 4, 5, 6, 7, 8, 9]), "Event 4 came after event 2", "report it"),
        (Deployment(ALL, state="FAILED"), "ended as TASK_STATE_FAILED", "says why"),
        (Deployment(ALL, agents=({"name": "a"}, {"url": "u", "error": "e"})), "1 of 2 agents", "SnapStart=off"),
        (Deployment(ALL, at_end=200), "answered 200 instead of 204", "comes back for ever"),
        (Deployment(ALL, refuses=200), "answered 200 instead of 400 or 403", "x-amz-checksum-sha256"),
        (Deployment(ALL, kinds=("attempt", "handoff")), "handed on, but only", "may not invoke itself"),
    ],
    ids=[
        *("lost", "repeated", "out of order", "cut short", "replay differs", "failed", "an agent is silent"),
        *("no 204 at the end", "a foreign upload", "a hand-off without an attempt"),
    ],
)
async def test_smoke_fails_and_says_what_to_do(faulty: Deployment, what: str, remedy: str) -> None:
    async with serve(faulty.app()) as url:
        with pytest.raises(SmokeError, match=what) as failed:
            await check(url, "")
    assert remedy in str(failed.value).partition("What to do: ")[2]


@pytest.mark.parametrize(
    "path", ["/api/agents", "/api/tasks/t", "/agents/orchestrator/.well-known/agent-card.json"], ids=str
)
async def test_smoke_says_what_another_site_or_a_refusal_has_answered(path: str) -> None:
    throttled = JSONResponse({"Reason": "ConcurrentInvocationLimitExceeded"}, 429)
    for answer, remedy in ((PlainTextResponse("<html>"), "another site's"), (throttled, "")):
        async with serve(Deployment(ALL, secret=SECRET, strange_at=path, strange=answer).app()) as url:
            with pytest.raises(SmokeError, match=rf"GET {path} answered {answer.status_code}") as caught:
                await check(url, SECRET)
            assert remedy in str(caught.value)


async def test_smoke_asks_the_default_agent_of_a_project_without_an_orchestrator() -> None:
    deployment = Deployment(ALL, secret=SECRET, agents=({"name": "greeter"}, {"name": "billing"}))
    async with serve(deployment.app()) as url:
        with pytest.raises(SmokeError, match="POST /agents/greeter/ with the credential"):
            await check(url, SECRET)


async def test_smoke_fails_if_the_api_answers_without_the_secret() -> None:
    async with serve(Deployment(ALL).app()) as url:
        with pytest.raises(SmokeError, match="instead of 401"):
            await check(url, SECRET)


def reports(seconds: float) -> str:
    """Return reports of all functions of two runs, as they come from the log groups."""
    lines = []
    for function, mb in (("Gateway", 256), ("Orchestrator", 1024), ("LogAnalyst", 1024), ("MetricAnalyst", 1024)):
        metrics = {"billedDurationMs": seconds * 1000, "memorySizeMB": mb}
        report = {"type": "platform.report", "record": {"metrics": metrics}}
        called = "tailrace-GatewayFunction-1A2B3C4D5E6F" if function == "Gateway" else f"tailrace_{function}"
        stream = f"2026/11/29/{called}[7][0123456789abcdef]"
        lines += [json.dumps({"logStreamName": stream, "timestamp": 1, "message": json.dumps(report)})] * 2
    return "\n".join(lines)


async def test_the_bill_is_compared_with_the_model() -> None:
    asked = list[float]()

    def lines(since: float) -> str:
        asked.append(since)
        return reports(0.01)

    async with serve(Deployment(ALL).app()) as url:
        rows = dict(await check(url, "", lines=lines))
        assert "for 1,000 such runs, the model says $" in rows["bill"]
        with pytest.raises(SmokeError, match="OrchestratorFunction 1200 s") as failed:
            await check(url, "", lines=lambda _: reports(600))
    assert "python -m deploy.cost lines" in str(failed.value)
    assert len(asked) == 1


@pytest.mark.parametrize(("url", "code"), [("http://127.0.0.1:9", 1), ("nowhere", 2), ("", 2)])
async def test_smoke_reports_an_error_without_a_traceback(url: str, code: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.smoke", *([url] if url else [])), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    assert process.returncode == code
    assert (url or "make smoke URL=https://…") in stderr.decode()
    assert "Traceback" not in stderr.decode()
