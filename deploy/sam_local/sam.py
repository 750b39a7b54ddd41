"""sam: builds the functions, and runs `sam local start-api`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from deploy.sam_local import ROOT, SAM, SamLocalError, run
from deploy.sam_local.docker import ARCHITECTURE, HOST, image_id
from deploy.sam_local.layers import cache_layers

_STOP_S = 20.0
# How long sam waits for a container that has started to accept a connection: its default is 20 s, which is too short
# when many containers start at once on a busy machine.
_CONTAINER_S = 120


def build(folder: Path) -> Path:
    """Build for this machine's architecture, with the layers in `folder`/layers; return the built template.

    Raises:
        SamLocalError: `sam build` failed. The message has its output.
    """
    done = run(SAM, "build", "--build-dir", folder / "build", "--parameter-overrides", *_parameters())
    if done.returncode != 0:
        raise SamLocalError(f"sam build failed:\n{done.stderr.strip()[-3000:]}")
    template = folder / "build" / "template.yaml"
    expand(template, template)
    cache_layers(template, _layer_cache(template), image_id())
    return template


def expand(template: Path, output: Path) -> None:
    """Write the template to `output` without its loops.

    Raises:
        SamLocalError: it cannot be expanded.
    """
    expanded = run(SAM.with_name("python"), "-m", "deploy.expand", "--local", template, output)
    if expanded.returncode != 0:
        raise SamLocalError(expanded.stderr.strip())


def agents_in(template: Path) -> list[str]:
    """Return the names of the agents in an expanded template, with which their local paths begin."""
    return re.findall(r"^  (\w+)Registered:$", template.read_text(), re.MULTILINE)


def _layer_cache(template: Path) -> Path:
    return template.parents[1] / "layers"


def _parameters() -> list[str]:
    return [f"Architecture={ARCHITECTURE}", "SamLocal=true"]


@contextlib.asynccontextmanager
async def start_api(
    template: Path, environment: Path, port: int, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `sam local start-api` on loopback. SIGINT ends it, and it removes its containers."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [
        *(str(SAM), "local", "start-api", "--template", str(template), "--region", "us-east-1"),
        *("--host", "127.0.0.1", "--port", str(port), "--env-vars", str(environment), "--no-watch"),
        *("--add-host", f"{HOST}:host-gateway", "--parameter-overrides", *_parameters()),
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
