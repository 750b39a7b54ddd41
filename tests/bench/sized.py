"""A function in a container, with the memory and the share of a processor that Lambda gives for it. Needs Docker.

1,769 MB are one processor (AWS Lambda Developer Guide, "Configure Lambda function memory"), here in periods of 20 ms.
Lambda starts an environment with more than its share, which this does not: its starts are the longest that can be.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from deploy.sam_local.docker import IMAGE
from tests.bench.processes import ROOT
from tests.bench.report import BenchError
from tests.runtime.emulator import Emulator
from tests.runtime.events import function_url_event

CPU_MB = 1769
_PERIOD_US = 20_000
# The functions' own packages on the functions' own image: the gateway's container.
_GATEWAY = "tailrace-sizes"
_WRAPPER = """#!/bin/sh
names=$(env | sed -n 's/^\\(AWS[A-Z_]*\\|TAILRACE[A-Z_]*\\|LAMBDA[A-Z_]*\\|_HANDLER\\|SAMPLE\\)=.*/--env \\1/p')
exec docker run --rm --network host --label {name} --cpu-period {period} --cpu-quota {quota} --memory {mb}m \\
  --memory-swap {mb}m --volume {layer}:/opt:ro {mounts} --env PYTHONPATH=/app --entrypoint /opt/tailrace-runtime \\
  $names {image} python3 bootstrap.py
"""
_AGENTS = """FROM {gateway}
USER root
COPY run.txt .
RUN python3 -m pip install --no-cache-dir --require-hashes --only-binary :all: -r run.txt
USER 10001:10001
"""


def runtime_layer(folder: Path) -> Path:
    """Build the layer of the runtime into `folder`."""
    build = ["make", "--silent", "-C", str(ROOT / "layers" / "runtime"), "build-RuntimeLayer"]
    _done(*build, f"ARTIFACTS_DIR={folder}", f"PYTHON={sys.executable}")
    return folder


def gateway_image() -> str:
    """Build the image with the gateway, in /app; return its name."""
    base, file = f"BASE={IMAGE}", "deploy/gateway/Dockerfile"
    _done(
        "docker", "build", "--network", "host", "--quiet", "--tag", _GATEWAY, "--build-arg", base, "--file", file, "."
    )
    return _GATEWAY


def agents_image(folder: Path) -> str:
    """Build the image with the agents' packages; return its name. What they run is mounted."""
    name, context = f"{gateway_image()}-agents", folder / "agents"
    context.mkdir()
    (context / "Dockerfile").write_text(_AGENTS.format(gateway=_GATEWAY))
    shutil.copy(ROOT / "requirements" / "run.txt", context)
    _done("docker", "build", "--network", "host", "--quiet", "--tag", name, str(context))
    return name


@asynccontextmanager
async def function(
    folder: Path,
    layer: Path,
    mb: int,
    task_root: Path,
    handler: str,
    *,
    image: str,
    environ: dict[str, str],
    mounts: tuple[Path, ...] = (),
    environments: int = 1,
    event: Callable[..., dict[str, Any]] = function_url_event,
) -> AsyncIterator[Emulator]:
    """Run a function with so much memory behind the tests' emulator. `mounts` are folders that it may read."""
    name = label(image)
    wrapper = folder / f"wrapper-{image}-{mb}" / "tailrace-runtime"
    wrapper.parent.mkdir(exist_ok=True)
    volumes = " ".join(f"--volume {each}:{each}:ro" for each in mounts)
    quota = _PERIOD_US * mb // CPU_MB
    wrapper.write_text(
        _WRAPPER.format(name=name, period=_PERIOD_US, quota=quota, mb=mb, layer=layer, mounts=volumes, image=image)
    )
    wrapper.chmod(0o755)
    # The container cannot be stopped by a signal to its client, as a function is frozen.
    emulator = Emulator(
        *(wrapper.parent, task_root, handler),
        python="-",
        environ={
            "LAMBDA_TASK_ROOT": str(task_root),
            **{each: value for each, value in os.environ.items() if each.startswith("AWS_")},
            **environ,
        },
        environments=environments,
        freeze=False,
        timeout_s=300,
        event=event,
    )
    try:
        async with emulator:
            yield emulator
    finally:
        for container in containers(image):
            _done("docker", "rm", "--force", container)


def _done(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    if done.returncode != 0:
        raise BenchError(f"{command[0]} failed: {done.stderr[-500:]}")


def label(image: str) -> str:
    """The label of this process's containers of an image."""
    return f"{image}-{os.getpid()}"


def containers(image: str) -> list[str]:
    """The ids of this process's containers of an image."""
    shown = ["docker", "ps", "--quiet", "--filter", f"label={label(image)}"]
    return subprocess.run(shown, capture_output=True, text=True).stdout.split()


def cpu_s(image: str) -> float:
    """The processor time that this process's containers of an image have taken until now, in seconds."""
    return sum(_cpu_s(container) for container in containers(image))


def _cpu_s(container: str) -> float:
    shown = subprocess.run(["docker", "exec", container, "cat", "/proc/1/stat"], capture_output=True, text=True).stdout
    user, system = shown.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
