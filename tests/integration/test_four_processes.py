"""The main job over real HTTP: gateway, orchestrator and both analysts as processes of their own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tailrace.stream.sse import Parser
from tests.support.checkout import ANALYSTS, checkout
from tests.support.events import metadata
from tests.support.gateway import post_task, read_stream
from tests.support.processes import ROOT, Stack, agent, stack
from triage.findings import Finding

SAMPLE = ROOT / "frontend" / "sample"


def sample_parts() -> list[dict[str, Any]]:
    sample = json.loads((SAMPLE / "sample.json").read_text())
    files = [
        {
            "raw": base64.b64encode((SAMPLE / file["href"]).read_bytes()).decode(),
            "filename": file["href"],
            "mediaType": "application/gzip",
        }
        for file in sample["files"]
    ]
    return [{"text": sample["text"]}, {"data": {"alert": sample["alert"]}}, *files]


async def test_the_sample_is_triaged(shipped: Stack) -> None:
    async with shipped.client() as http:
        task_id = await post_task(http, *sample_parts())
        seen = await read_stream(http, task_id)
        task = (await http.get(f"/api/tasks/{task_id}")).json()
    assert seen.state == "TASK_STATE_COMPLETED"
    assert seen.seqs == list(range(1, len(seen.seqs) + 1))
    details = [metadata(event) for event in seen.events]
    assert {"orchestrator", "log_analyst", "metric_analyst"} <= {event["agent"] for event in details}
    assert {"state", "route", "node_start", "node_end", "progress", "token", "result"} <= {e["kind"] for e in details}
    artifacts = {artifact["name"]: artifact["parts"] for artifact in task["artifacts"]}
    findings = msgspec.convert(artifacts["findings"][0]["data"]["findings"], list[Finding])
    assert [finding.start for finding in findings] == sorted(finding.start for finding in findings)
    report = artifacts["report"][0]["text"]
    # In the recording, the upstream is killed and nginx logs it.
    assert "Connection refused" in report
    assert {finding.type for finding in findings} >= {"new_template", "level_shift"}
    for heading in ("What happened", "When it began", "The evidence", "Likely cause", "What to look at next"):
        assert heading in report


async def test_specialists_progress_is_nested_under_the_step_that_asked(shipped: Stack) -> None:
    async with shipped.client() as http:
        details = [
            metadata(event) for event in (await read_stream(http, await post_task(http, *sample_parts()))).events
        ]
    asking = {event["step"] for event in details if event["kind"] == "tool_start" and event["name"].startswith("ask ")}
    roots = [e for e in details if e["kind"] == "node_start" and e["agent"] != "orchestrator"]
    assert roots
    assert {event["parent"] for event in roots} == asking


async def test_a_hundred_concurrent_streams_are_complete(shipped: Stack) -> None:
    limits = httpx.Limits(max_connections=None)
    async with shipped.client(limits=limits) as http:
        task_id = await post_task(http, *sample_parts())
        streams = await asyncio.gather(*(read_stream(http, task_id) for _ in range(100)))
    for seen in streams:
        assert seen.seqs == streams[0].seqs == list(range(1, len(seen.seqs) + 1))
        assert seen.state == "TASK_STATE_COMPLETED"


async def test_a_task_without_data_asks_for_it_and_resumes_with_the_reply(shipped: Stack) -> None:
    async with shipped.client() as http:
        task_id = await post_task(http, {"text": "checkout is broken"})
        waiting = await read_stream(http, task_id)
        assert waiting.state == "TASK_STATE_INPUT_REQUIRED"
        lines = "".join(f"2026-01-01T10:{m:02}:{s:02}Z INFO ok {s}\n" for m in range(10) for s in range(0, 60, 5))
        reply = {"message": {"parts": [{"text": lines, "filename": "app.log", "mediaType": "text/plain"}]}}
        assert (await http.post(f"/api/tasks/{task_id}/messages", json=reply)).status_code == 202
        rest = await read_stream(http, task_id, cursor=waiting.seqs[-1])
    assert rest.state == "TASK_STATE_COMPLETED"
    assert rest.seqs[0] == waiting.seqs[-1] + 1
    assert "log_analyst" in {metadata(event)["agent"] for event in rest.events}


async def test_the_report_names_a_specialist_that_is_down(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9/"
    started = stack(tmp_path, checkout(tmp_path / "checkout", ANALYSTS), TAILRACE_SPECIALIST_URLS=nobody)
    async with started as alone, alone.client() as http:
        task_id = await post_task(http, *sample_parts())
        assert (await read_stream(http, task_id)).state == "TASK_STATE_COMPLETED"
        artifacts = (await http.get(f"/api/tasks/{task_id}")).json()["artifacts"]
    report = next(artifact for artifact in artifacts if artifact["name"] == "report")["parts"][0]["text"]
    assert "Not covered" in report
    assert nobody in report


async def test_a_killed_gateway_costs_a_browser_and_the_command_only_a_reconnect(tmp_path: Path) -> None:
    async with (
        agent(tmp_path, "runs_commands") as url,
        stack(tmp_path, checkout(tmp_path / "checkout", ANALYSTS), TAILRACE_ORCHESTRATOR_URL=url) as slow_stack,
        slow_stack.client() as http,
    ):
        task_id = await post_task(http, {"text": "30 events; hold kill; 100 events"})
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tailrace", "tail", task_id, "--json"),
            env={**os.environ, "TAILRACE_DATA_DIR": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
        )
        assert command.stdout is not None
        told = [await command.stdout.readline() for _ in range(20)]
        got: list[int] = []
        parser = Parser()
        with contextlib.suppress(httpx.RemoteProtocolError):
            async with http.stream("GET", f"/api/stream/{task_id}") as answer:
                async for chunk in answer.aiter_bytes():
                    got += [int(message.id) for message in parser.feed(chunk) if not message.name]
                    if len(got) > 20 and (pid := await slow_stack.pid_of("gateway")):
                        os.kill(pid, signal.SIGKILL)
        (tmp_path / "gate-kill").touch()
        rest = await read_stream(http, task_id, cursor=got[-1])
        told += (await command.stdout.read()).splitlines()
        assert await command.wait() == 0
    assert len(got) < 100, "the stream was not cut"
    assert got + rest.seqs == list(range(1, rest.seqs[-1] + 1))
    assert rest.state == "TASK_STATE_COMPLETED"
    assert [metadata(json.loads(line))["seq"] for line in told] == list(range(1, rest.seqs[-1] + 1))


async def test_ctrl_c_stops_every_process(tmp_path: Path) -> None:
    async with stack(tmp_path) as started:
        pids = [await started.pid_of(name) for name in ("gateway", "orchestrator", "log_analyst", "metric_analyst")]
        assert None not in pids
    assert started.supervisor.returncode == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid or 0, 0)
