"""Runs everything in containers on this machine: `python -m deploy.sam_local` (or `make sam-local`), until Ctrl-C.

Builds, starts an emulated DynamoDB and S3 and `sam local start-api`, and prints the address of the page when every
function has answered. Needs Docker, but no AWS account. Each request starts a new container, which takes a second or
two.

    browser ─► page and /api/* on 127.0.0.1 ──► sam local start-api ──► a container per request
                     /agents/* where containers reach this machine ◄──┤  (agents are called through here)
             emulated DynamoDB and S3, also there  ◄──────────────────┘

The page is on loopback only. What the containers need is on an address that they can reach, but other machines cannot.
The emulated data is lost when the command ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import uvicorn
from moto.server import ThreadedMotoServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from deploy.sam_layers import cache_layers
from local.functions import listen, specialists
from local.site import FRONTEND, PageHeaders
from tailrace.agent.checkpoints.store import definition
from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.log.table import create_table
from tailrace.stores.private import private_folder

ROOT = Path(__file__).parents[1]
SAM = ROOT / ".cache" / "sam-venv" / "bin" / "sam"
# A script that builds a replacement for Amazon's image on machines that cannot reach a registry.
STAND_IN = ROOT.parent / "shared" / "lambda-image" / "build"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"

# The name of this machine in containers.
_HOST = "host.docker.internal"
_TABLE, _CHECKPOINTS, _BUCKET = "tailrace", "tailrace-checkpoints", "tailrace-files"
_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# The first request to a function builds the image of its containers.
_READY_S = 300.0
_STOP_S = 20.0
# How long sam waits for a container that has started to accept a connection: its default is 20 s, which is too short
# when many containers start at once on a busy machine.
_CONTAINER_S = 120
# No time limit: sam ends containers that do not answer.
_FOREVER = httpx.Timeout(None)
_HOP_BY_HOP = ("connection", "content-length", "transfer-encoding")


class SamLocalError(Exception):
    """Something that is needed does not work. The message is for the user."""


def say(text: str) -> None:
    print(text, flush=True)


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)  # noqa: S603
    except FileNotFoundError:
        raise SamLocalError(f"{command[0]} is not installed.") from None


def prepare_image() -> None:
    """Make sure that there is an image for the functions, or that sam can fetch one.

    Raises:
        SamLocalError: Docker does not run, or the image could not be made.
    """
    if STAND_IN.exists():
        made = _run(STAND_IN, "3.13")
        if made.returncode != 0:
            raise SamLocalError(f"{STAND_IN} failed:\n{made.stderr.strip()}")
    elif _run("docker", "info").returncode != 0:
        raise SamLocalError("Docker does not answer: `sam local` runs functions in containers.")


def image_id() -> str:
    """Return the id of the functions' image, or an empty string if it is not on this machine."""
    return _run("docker", "image", "inspect", "--format", "{{.Id}}", IMAGE).stdout.strip()


def build(folder: Path) -> Path:
    """Build for this machine's architecture, with the layers in `folder`/layers; return the built template.

    Raises:
        SamLocalError: `sam build` failed. The message has its output.
    """
    done = _run(SAM, "build", "--build-dir", folder / "build", "--parameter-overrides", *_parameters())
    if done.returncode != 0:
        raise SamLocalError(f"sam build failed:\n{done.stderr.strip()[-3000:]}")
    template = folder / "build" / "template.yaml"
    cache_layers(template, _layer_cache(template), image_id())
    return template


def _layer_cache(template: Path) -> Path:
    return template.parents[1] / "layers"


def _parameters() -> list[str]:
    return [f"Architecture={ARCHITECTURE}", "SamLocal=true"]


def reachable_address() -> str:
    """Return the address at which containers reach this machine and, on Linux, other machines do not.

    Raises:
        SamLocalError: Docker has no bridge network.
    """
    if platform.system() != "Linux":
        return "127.0.0.1"  # Docker Desktop forwards to loopback
    inspected = _run("docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}")
    try:
        bridge = json.loads(inspected.stdout)[0]
        # Docker before 28 names the gateway only if it was configured; otherwise it is the first address.
        return str(bridge.get("Gateway") or next(ipaddress.ip_network(bridge["Subnet"]).hosts()))
    except (ValueError, LookupError):
        raise SamLocalError(f"Docker's bridge network has no address: {inspected.stderr.strip()}") from None


@contextlib.contextmanager
def emulated(address: str) -> Iterator[int]:
    """Yield the port of an emulated DynamoDB with both tables and an emulated S3 with the bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs every request
    server = ThreadedMotoServer(address, port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        session = boto3.Session(aws_access_key_id="any", aws_secret_access_key="any", region_name="us-east-1")  # noqa: S106
        client: Any = session.client("dynamodb", endpoint_url=f"http://{address}:{port}")
        create_table(client, _TABLE)
        session.client("s3", endpoint_url=f"http://{address}:{port}").create_bucket(Bucket=_BUCKET)
        client.create_table(**definition(_CHECKPOINTS))
        yield port
    finally:
        server.stop()


class Proxy:
    """Forwards requests to `sam local start-api`. It returns whole responses, because sam does not stream."""

    def __init__(self, target: str) -> None:
        self._http = httpx.AsyncClient(base_url=target, timeout=_FOREVER, trust_env=False)

    async def pass_on(self, request: Request) -> Response:
        headers = [pair for pair in request.headers.raw if pair[0].decode() not in _HOP_BY_HOP]
        url = httpx.URL(path=request.url.path, query=request.url.query.encode())
        try:
            answer = await self._http.request(request.method, url, headers=headers, content=await request.body())
        except httpx.HTTPError as error:
            return Response(f"sam local start-api: {error or type(error).__name__}\n", 502)
        passed = Response(answer.content, answer.status_code)
        passed.raw_headers = [
            *(pair for pair in answer.headers.raw if pair[0].lower().decode() not in _HOP_BY_HOP),
            (b"content-length", str(len(answer.content)).encode()),
        ]
        return passed

    def page(self, uploads: str) -> Starlette:
        """Return an app with the page and the API, as with CloudFront. `uploads` is the origin of uploads."""
        return Starlette(
            routes=[
                Route("/api/{rest:path}", self.pass_on, methods=_ALL_METHODS),
                Mount("/", PageHeaders(StaticFiles(directory=FRONTEND, html=True), uploads=uploads)),
            ]
        )

    def agents(self) -> Starlette:
        """Return an app with the agents, for the containers."""
        return Starlette(routes=[Route("/agents/{rest:path}", self.pass_on, methods=_ALL_METHODS)])

    async def close(self) -> None:
        await self._http.aclose()


class _Server(uvicorn.Server):
    """Does not handle Ctrl-C, which `run` does."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def start_api(
    template: Path, environment: Path, port: int, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `sam local start-api` on loopback. SIGINT ends it, and it removes its containers."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [
        *(str(SAM), "local", "start-api", "--template", str(template), "--region", "us-east-1"),
        *("--host", "127.0.0.1", "--port", str(port), "--env-vars", str(environment), "--no-watch"),
        *("--add-host", f"{_HOST}:host-gateway", "--parameter-overrides", *_parameters()),
        *("--layer-cache-basedir", str(_layer_cache(template))),
        *(["--skip-pull-image"] if image_id() else []),
    ]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={
                **environ,
                "SAM_CLI_TELEMETRY": "0",
                "SAM_CLI_CONTAINER_CONNECTION_TIMEOUT": str(_CONTAINER_S),
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(process.wait(), _STOP_S)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


async def ready(http: httpx.AsyncClient, sam: asyncio.subprocess.Process, agents: str, log: Path) -> None:
    """Return when every function has answered once.

    Raises:
        SamLocalError: one did not answer, or sam ended. The message names the log.
    """
    names = ["orchestrator", *specialists()]
    paths = ["/api/health", *(f"{agents}/agents/{name}/.well-known/agent-card.json" for name in names)]
    try:
        async with asyncio.timeout(_READY_S):
            for path in paths:
                while (status := await _status(http, path)) != 200:
                    if sam.returncode is not None:
                        raise SamLocalError(f"sam local start-api ended; see {log}")
                    if status not in (None, 502):
                        raise SamLocalError(f"{path} answered {status}; see {log}")
                    await asyncio.sleep(0.2)
    except TimeoutError:
        raise SamLocalError(f"{path} did not answer within {_READY_S:.0f} s; see {log}") from None


async def _status(http: httpx.AsyncClient, path: str) -> int | None:
    with contextlib.suppress(httpx.HTTPError):
        return (await http.get(path)).status_code
    return None


def container_settings(dynamodb_port: int, s3: str, agents: str) -> dict[str, dict[str, str]]:
    """Return the environment of all functions, as `--env-vars` wants it.

    `dynamodb_port` is the port of the emulated DynamoDB on this machine, `s3` the URL of S3, `agents` the URL that the
    agents' names follow.
    """
    return {
        "Parameters": {
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://{_HOST}:{dynamodb_port}",
            "AWS_ENDPOINT_URL_S3": s3,
            "TAILRACE_BUCKET": _BUCKET,
            "TAILRACE_TABLE": _TABLE,
            "TAILRACE_CHECKPOINT_TABLE": _CHECKPOINTS,
            "TAILRACE_ORCHESTRATOR_URL": f"{agents}/orchestrator/",
            "TAILRACE_SPECIALIST_URLS": ",".join(f"{agents}/{name}/" for name in specialists()),
            "TAILRACE_AGENT_URLS": f"{agents}/",
        }
    }


async def run(page: socket.socket, folder: Path) -> None:
    """Serve the page on the socket `page` until Ctrl-C. Build, log and settings of containers go into `folder`.

    Raises:
        SamLocalError: something that is needed does not work, or sam ended.
    """
    environment, log = folder / "environment.json", folder / "sam.log"
    await asyncio.to_thread(prepare_image)
    say("building")
    template = await asyncio.to_thread(build, folder)
    address = reachable_address()
    inside = socket.create_server((address, 0))
    inside_port = inside.getsockname()[1]
    sam_port = _free_port()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        port = stack.enter_context(emulated(address))
        # The browser also uses this address, because presigned uploads name it.
        s3 = f"http://{address}:{port}"
        environment.write_text(json.dumps(container_settings(port, s3, f"http://{_HOST}:{inside_port}/agents")))
        say("starting sam local start-api; the first response of each function takes a while")
        sam = await stack.enter_async_context(start_api(template, environment, sam_port, log))
        proxy = Proxy(f"http://127.0.0.1:{sam_port}")
        stack.push_async_callback(proxy.close)
        await stack.enter_async_context(serving(proxy.page(s3), page))
        await stack.enter_async_context(serving(proxy.agents(), inside))
        url = f"http://127.0.0.1:{page.getsockname()[1]}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=_FOREVER, trust_env=False))
        await _until_stopped(stopped, sam, ready(http, sam, f"http://{address}:{inside_port}", log), url, log)


def _free_port() -> int:
    with listen(0) as listener:
        return int(listener.getsockname()[1])


async def _until_stopped(
    stopped: asyncio.Event,
    sam: asyncio.subprocess.Process,
    functions_ready: Coroutine[Any, Any, None],
    url: str,
    log: Path,
) -> None:
    """Print the page's `url` when the functions are ready, and return when `stopped` is set.

    Raises:
        SamLocalError: a function did not become ready, or sam ended.
    """
    stopping, ending = asyncio.create_task(stopped.wait()), asyncio.create_task(sam.wait())
    starting = asyncio.create_task(functions_ready)
    try:
        await asyncio.wait([stopping, ending, starting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            say(url)
            await asyncio.wait([stopping, ending], return_when=asyncio.FIRST_COMPLETED)
        if not stopped.is_set():
            raise SamLocalError(f"sam local start-api ended; see {log}")
    finally:
        for task in (stopping, ending, starting):
            task.cancel()
        await asyncio.gather(stopping, ending, starting, return_exceptions=True)


def main() -> None:
    try:
        settings = Settings.load()
        folder = private_folder(Path(settings.data_dir).resolve()) / "sam-local"
        folder.mkdir(exist_ok=True)
        asyncio.run(run(listen(settings.port), folder))
    except (SamLocalError, ConfigError, OSError) as error:
        sys.exit(f"sam-local: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
