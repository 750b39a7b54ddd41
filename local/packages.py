"""A function's own packages: `requirements.txt` in its folder, installed for its process only.

Each list is installed once, into a folder of the data folder that is named by the list's hash. On Lambda, `sam build`
puts the same packages into that function. In both places a package that is there already stays at its version.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from tailrace.errors import TailraceError
from tailrace.stores.private import private_folder

# How many lines of pip's words are shown.
_LINES = 20


class PackagesError(TailraceError):
    """A function's packages could not be installed. The message is for who has listed them."""


def use_packages(requirements: Path, data: Path) -> None:
    """Make what the list `requirements` names importable in this process; nothing if there is no such file.

    Raises:
        PackagesError: pip could not install it.
    """
    if not requirements.exists():
        return
    folder = packages_folder(requirements, private_folder(data))
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        print(f"installing {requirements}", flush=True)
        _install(requirements, folder)
    # First, as on Lambda, where a function's own packages come before those of its layers.
    sys.path.insert(0, str(folder))


def are_installed(requirements: Path, data: Path) -> bool:
    """Whether `use_packages` has nothing to install."""
    try:
        return packages_folder(requirements, data).exists()
    except OSError:  # there is no list, or none that can be read
        return True


def packages_folder(requirements: Path, data: Path) -> Path:
    """The folder for what the list names, in the data folder."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    name = hashlib.sha256(version.encode() + b"\0" + requirements.read_bytes()).hexdigest()[:16]
    return data / "packages" / name


def _install(requirements: Path, folder: Path) -> None:
    """Install into a folder beside `folder`, which becomes that one when it is complete."""
    making = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        kept = making / "constraints.txt"
        kept.write_text("".join(f"{each.name}=={each.version}\n" for each in distributions() if each.name))
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--progress-bar",
            "off",
            "--disable-pip-version-check",
            "--no-input",
        ]
        target = ["--target", str(making / "packages"), "--constraint", str(kept), "--requirement", str(requirements)]
        with _exit_at_sigterm():
            done = subprocess.run([*pip, *target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            why = "\n".join(done.stdout.strip().splitlines()[-_LINES:])
            raise PackagesError(f"pip could not install {requirements}:\n{why}")
        try:
            os.rename(making / "packages", folder)
        except OSError:
            if not folder.exists():  # another process was faster
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


@contextlib.contextmanager
def _exit_at_sigterm() -> Iterator[None]:
    """End this process at SIGTERM by an exception: pip would go on without it, and leave a folder that nobody needs."""

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
