"""Installs the partners of the interop tests once into `.cache/`, pinned by version and hash.

If something is not available, the test is skipped with a reason that says what to install; in CI it fails.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from local import node_packages

HERE = Path(__file__).parent
_CACHE = Path(__file__).parents[2] / ".cache"
_INSTALL_S = 900


def python_with(requirements: Path) -> Path:
    """Return the Python of an environment with exactly these requirements, which are pinned by hash.

    Who comes while it is made waits.
    """
    version = f"py{sys.version_info[0]}.{sys.version_info[1]}"
    kept = _kept(requirements.stem, version, requirements)
    with (_CACHE / f"{kept.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / "ready").exists():
            _install(requirements, kept)
    return kept / "bin" / "python"


def node_with(folder: Path) -> tuple[str, Path]:
    """Return node, and a copy of `folder` with exactly the packages of its package-lock.json."""
    try:
        return node_packages.node_with(folder)
    except node_packages.Unavailable as error:
        _absent(str(error))


def _install(requirements: Path, kept: Path) -> None:
    shutil.rmtree(kept, ignore_errors=True)  # an earlier installation was interrupted
    _run([sys.executable, "-m", "venv", "--without-pip", str(kept)], kept.parent)
    pip = [sys.executable, "-m", "pip", "--python", str(kept), "--quiet", "--disable-pip-version-check"]
    # The file names every package. Without --no-deps, pip would resolve extras and refuse packages without a hash.
    # Most of what would be compiled is never imported.
    _run([*pip, "install", "--no-deps", "--no-compile", "--require-hashes", "-r", str(requirements)], kept)
    (kept / "ready").touch()


def _kept(name: str, kind: str, pins: Path) -> Path:
    """Return the cache folder for these pins; other pins have another folder."""
    _CACHE.mkdir(exist_ok=True)
    return _CACHE / f"interop-{name}-{kind}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=_INSTALL_S)
    if done.returncode != 0:
        _absent(f"`{' '.join(command[-4:])}` failed: {done.stderr.decode()[-500:]}")


def _absent(reason: str) -> NoReturn:
    text = f"A partner of the interop tests is not available: {reason}."
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
