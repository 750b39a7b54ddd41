"""`make sam-local`: all functions in containers, with a real client, from POST to report."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.sam_local.docker import IMAGE, image_id, remove_containers
from deploy.sam_local.emulated import TABLE, container_settings
from deploy.sam_local.services import AGENTS_PORT, AWS_PORT
from deploy.smoke import check
from tailrace.a2a.task import snapshot
from tailrace.events import TERMINAL
from tailrace.log.dynamodb import DynamoDBLog
from tests.contract.dynamodb_table import use
from tests.deploy.programs import ROOT
from tests.support.conditions import eventually

_READY_S, _STOP_S, _ANSWER_S = 400, 120, 300


@pytest.fixture
def docker(sam: Path, python313: str) -> None:
    """Skip the tests without Docker or another program that the build needs."""
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode != 0:
        pytest.skip("no Docker engine answers: start one (without a registry, ../shared/lambda-image/build does)")


def containers() -> set[str]:
    """The ids of the containers of sam's images. Others come and go while this test runs."""
    listing = ["docker", "ps", "--all", "--format", "{{.Image}} {{.ID}}"]
    listed = subprocess.run(listing, capture_output=True, text=True, check=True)
    return {line.split()[1] for line in listed.stdout.splitlines() if line.startswith("samcli/")}


def aws_of(folder: Path) -> str:
    """The URL of the emulated AWS of `make sam-local`, whose data folder is `folder`."""
    settings = json.loads((folder / "sam-local" / "environment.json").read_text())
    return str(settings["Parameters"]["AWS_ENDPOINT_URL_S3"])


@contextlib.asynccontextmanager
async def sam_local(tree: Path, folder: Path) -> AsyncIterator[str]:
    """Run `make sam-local` in a copy of the project; yield the URL of its page, and stop it with SIGINT."""
    errors = folder / "stderr.txt"
    with errors.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.sam_local"),
            cwd=tree,
            env={**os.environ, "TAILRACE_DATA_DIR": str(folder), "TAILRACE_PORT": "0"},
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_S):
            while not (line := (await process.stdout.readline()).decode().strip()).startswith("http://"):
                assert line or process.returncode is None, "sam-local ended"
        yield line
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(_STOP_S):
            assert await process.wait() == 0
        # Shown if the test fails.
        print((folder / "sam-local" / "sam.log").read_text()[-20_000:], errors.read_text()[-20_000:])
    assert "Traceback" not in errors.read_text()


async def http_get(url: str) -> int:
    async with httpx.AsyncClient(timeout=_ANSWER_S) as http:
        return (await http.get(url)).status_code


async def claim_check(url: str, log: DynamoDBLog) -> None:
    """Upload a log to the emulated S3 as a browser does, and check its report, which comes without a viewer.

    `log` has the events of all tasks.
    """
    rows = [f"2026-01-01T10:{n // 60 % 60:02}:{n % 60:02}Z INFO ok\n" for n in range(3000)]
    content = "".join(rows + [row.replace("INFO ok", "ERROR disk full") for row in rows[-30:]]).encode()
    about = {"filename": "shop.log", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_S) as http:
        granted = (await http.post("/api/uploads", json=about)).json()
        upload, origin = granted["upload"], {"Origin": url}
        asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": ",".join(upload["headers"])}
        allowed = await http.options(upload["url"], headers=origin | asked)
        assert allowed.headers["access-control-allow-origin"] in (url, "*")
        policy = (await http.get("/")).headers["content-security-policy"]
        assert str(httpx.URL(upload["url"]).join("/")).rstrip("/") in policy
        done = await http.put(upload["url"], content=content, headers={**upload["headers"], **origin})
        assert done.status_code == 200
        # The analyst itself is asked: the orchestrator's way to it was gone before, and takes six containers.
        message = {"agent": "log_analyst", "message": {"parts": [{"text": "errors are up"}, granted["part"]]}}
        assert "disk full" in str(await outcome(http, log, message))


async def outcome(http: httpx.AsyncClient, log: DynamoDBLog, body: dict[str, Any]) -> Any:
    """Start a task that nobody watches, and wait for its end; return its artifacts."""
    task_id = (await http.post("/api/tasks", json=body)).json()["id"]
    async with asyncio.timeout(600):
        # Not by asking the gateway: each time that would take a container.
        while (await log.head(task_id)).state not in TERMINAL:
            await asyncio.sleep(0.2)
    task = (await snapshot(log, task_id)).task
    assert task.status.state == "TASK_STATE_COMPLETED"
    return task.artifacts


@pytest.mark.usefixtures("docker")
async def test_sam_local_runs_a_task_from_post_to_report_and_leaves_nothing_behind(
    tree: Path, sam_local_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = containers()
    async with sam_local(tree, sam_local_data) as url:
        rows = dict(await check(url, "", emulated=True))
        assert "each once and in order" in rows["events"]
        async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_S) as http:
            *_, oldest = (await http.get("/api/tasks")).json()["tasks"]
            task = (await http.get(f"/api/tasks/{oldest['id']}")).json()
        artifacts = {artifact["name"]: artifact["parts"] for artifact in task["artifacts"]}
        assert artifacts["findings"][0]["data"]["findings"]
        assert "".join(part["text"] for part in artifacts["report"])
        names, _, _ = rows["agents, restored or started"].partition(" after ")
        assert set(names.split(", ")) == {"orchestrator", "log_analyst", "metric_analyst", "my_greeter"}
        use(aws_of(sam_local_data), monkeypatch)
        log = DynamoDBLog(TABLE)
        await claim_check(url, log)
        await log.close()
        # Who asks when it is stopped is told so, and the terminal shows no stack trace.
        asking = asyncio.create_task(http_get(f"{url}/api/tasks"))
        await eventually(lambda: containers() - before)
    assert await asking in (200, 502)
    assert containers() <= before  # another test's may have ended meanwhile


@pytest.mark.usefixtures("docker")
def test_a_container_that_sam_leaves_is_removed_and_no_other() -> None:
    def created(variable: str) -> str:
        label = "sam.cli.container.type=lambda"
        command = ["docker", "create", "--label", label, "--env", variable, image_id() or IMAGE, "handler"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    left, other = created("AWS_ENDPOINT_URL_DYNAMODB=http://aws:1"), created("AWS_ENDPOINT_URL_DYNAMODB=http://aws:12")
    remove_containers("AWS_ENDPOINT_URL_DYNAMODB=http://aws:1")
    listing = ["docker", "ps", "--all", "--quiet", "--no-trunc"]
    listed = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["docker", "rm", other], capture_output=True, check=True)
    assert other in listed
    assert left not in listed


def test_a_plain_sam_local_start_api_is_told_where_the_services_are() -> None:
    aws, agents = (f"http://host.docker.internal:{port}" for port in (AWS_PORT, AGENTS_PORT))
    assert json.loads((ROOT / "deploy" / "sam-local.json").read_text()) == container_settings(aws, aws, agents)
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]["local_start_api"]["parameters"]
    assert settings["env_vars"] == "deploy/sam-local.json"
    assert settings["add_host"] == ["host.docker.internal:host-gateway"]
