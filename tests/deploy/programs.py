"""Runs other programs: sam, the linters, another Python."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".cache" / "sam-venv" / "bin"
# Of this machine, as the template calls it.
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
QUIET = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

Resources = dict[str, dict[str, Any]]


def run(*command: str | Path, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's root, or in `cwd`, without any AWS account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, **QUIET, **variables},
        capture_output=True,
        text=True,
        timeout=600,
    )


def make(target: str, source: Path, built: Path, *, architecture: str = ARCHITECTURE, root: Path = ROOT) -> Path:
    """Build a function or a layer of the project `root` from a copy of its `source` into `built`; return that.

    This is the command by which `sam build` does it, without the seconds that sam itself takes.
    """
    copy = built.with_name(f"{built.name}-source")
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    built.mkdir()
    makefile = root / "deploy" / architecture / "Makefile"
    done = run("make", "--makefile", makefile, f"build-{target}", cwd=copy, ARTIFACTS_DIR=str(built))
    assert done.returncode == 0, done.stdout + done.stderr
    return built
