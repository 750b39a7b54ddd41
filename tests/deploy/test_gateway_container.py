"""The gateway as a container: built, run twice over one log, drained while somebody reads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.sam_local.docker import IMAGE, STAND_IN
from deploy.sam_local.emulated import emulated
from tailrace.stream.sse import Parser, ServerSentEvent
from tests.deploy.programs import run
from tests.support.processes import reserved_port

NAME = f"tailrace-gateway-test-{os.getpid()}"
SECRET = "a-secret-of-the-test"
_WAIT_S = 180


def docker(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run("docker", *arguments, DOCKER_BUILDKIT="0")


def inspected(what: str, template: str) -> Any:
    return json.loads(docker("inspect", "--format", "{{json " + template + "}}", what).stdout)


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """The image, on the official base if it is here, else on the functions' image or its stand-in."""
    # A container in this machine's own network adds no interface, which browsers in other tests would notice.
    if platform.system() != "Linux":
        pytest.skip("containers share this machine's network only on Linux")
    if shutil.which("docker") is None or docker("info").returncode != 0:
        pytest.skip("no Docker engine answers: start one")
    if STAND_IN.exists():
        assert run(STAND_IN, "3.13").returncode == 0
    here = [base for base in ("python:3.13-slim", IMAGE) if docker("image", "inspect", base).returncode == 0]
    base = here[0] if here else "python:3.13-slim"
    built = docker(
        *("build", "--network", "host", "--quiet", "--tag", NAME, "--build-arg", f"BASE={base}"),
        *("--file", "deploy/gateway/Dockerfile", "."),
    )
    if built.returncode != 0 and not here:
        pytest.skip(f"there is no image with Python here, and none can be fetched: {built.stderr[-300:]}")
    assert built.returncode == 0, built.stderr
    yield NAME
    docker("rmi", "--force", "--no-prune", NAME)  # the layer with the packages is kept for the next time


@pytest.fixture(scope="module")
def log_port() -> Iterator[int]:
    """The port of an emulated DynamoDB with the log's tables."""
    with emulated("127.0.0.1") as port:
        yield port


class Container:
    """A gateway in a container."""

    def __init__(self, container: str, port: int) -> None:
        self.id = container
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"x-tailrace-secret": SECRET}, timeout=_WAIT_S
        )


@contextlib.asynccontextmanager
async def gateway(image: str, log_port: int) -> AsyncIterator[Container]:
    """Run a container until it answers; remove it at the end."""
    with reserved_port() as port:
        variables = {
            "PORT": str(port),
            "TAILRACE_ACCESS_SECRET": SECRET,
            "TAILRACE_ORCHESTRATOR_URL": "http://127.0.0.1:9/",
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{log_port}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        options = [option for name, value in variables.items() for option in ("--env", f"{name}={value}")]
        begun = docker("run", "--detach", "--network", "host", "--read-only", *options, image)
        assert begun.returncode == 0, begun.stderr
        container = Container(begun.stdout.strip(), port)
        try:
            async with container.http, asyncio.timeout(_WAIT_S):
                while not await answers(container):
                    state = inspected(container.id, ".State.Status")
                    assert state == "running", docker("logs", container.id).stderr
                    await asyncio.sleep(0.05)
                yield container
        finally:
            docker("rm", "--force", container.id)


async def answers(container: Container) -> bool:
    try:
        return (await container.http.get("/api/health")).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_reader_whose_container_is_stopped_goes_on_at_another_one(image: str, log_port: int) -> None:
    async with gateway(image, log_port) as first, gateway(image, log_port) as second:
        created = await first.http.post("/api/tasks", json={"message": {"parts": [{"text": "hello"}]}})
        assert created.status_code == 201, created.text
        path = f"/api/stream/{created.json()['id']}"
        parser, seen, stopping = Parser(), list[ServerSentEvent](), None
        async with first.http.stream("GET", path) as stream:
            async for chunk in stream.aiter_raw():
                seen += parser.feed(chunk)
                if stopping is None and any(message.name == "sync" for message in seen):
                    stopping = asyncio.create_task(asyncio.to_thread(docker, "stop", "--time", "25", first.id))
        assert stopping is not None
        await stopping
        # Whole frames, then the wish that the reader comes back soon; and the process ended by itself.
        assert [message.id for message in seen if not message.name] == ["1"]
        assert parser.retry_ms == 250
        assert inspected(first.id, ".State.ExitCode") != 137

        cancelled = await second.http.post(f"{path.replace('stream', 'tasks')}/cancel", json={})
        assert cancelled.status_code == 202, cancelled.text
        rest = list(Parser().feed((await second.http.get(path, headers={"last-event-id": "1"})).content))
        assert [message.id for message in rest if not message.name] == ["2"]
        (end,) = [message for message in rest if message.name == "end"]
        assert json.loads(end.data) == {"state": "TASK_STATE_CANCELED", "seq": 2}


async def test_the_container_is_healthy_is_not_root_and_knows_who_may_ask(image: str, log_port: int) -> None:
    async with gateway(image, log_port) as container:
        command = inspected(image, ".Config.Healthcheck.Test")
        assert command[0] == "CMD"
        assert docker("exec", container.id, *command[1:]).returncode == 0
        assert docker("exec", "--env", "PORT=9", container.id, *command[1:]).returncode != 0
        assert docker("exec", container.id, "id", "-u").stdout.strip() == "10001"
        stranger = await container.http.get("/api/tasks", headers={"x-tailrace-secret": "a guess"})
        assert stranger.status_code == 401


def test_a_container_without_a_secret_says_what_is_missing(image: str) -> None:
    begun = docker("run", "--rm", "--network", "host", image)
    assert begun.returncode == 1
    assert "TAILRACE_ACCESS_SECRET" in begun.stderr
    assert "Traceback" not in begun.stderr


def test_the_image_has_what_the_gateway_needs_and_no_agents_packages(image: str) -> None:
    listed = docker("run", "--rm", "--network", "host", "--entrypoint", "ls", image, "/app").stdout.split()
    assert listed == ["gateway", "tailrace"]
    found = docker("run", "--rm", "--network", "host", "--entrypoint", "python3", image, "-c", "import langgraph")
    assert "ModuleNotFoundError" in found.stderr
