"""Programs of Node.js with packages from npm, pinned by version and hash: installed once into `.cache/`."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

_CACHE = Path(__file__).parents[1] / ".cache"
_INSTALL_S = 900
# Here npm writes down what it has installed: the optional packages too that this machine needs.
_INSTALLED = Path("node_modules", ".package-lock.json")


class Unavailable(Exception):
    """The packages cannot be installed. The text says what to do, as a part of a sentence."""


class _Package(msgspec.Struct):
    """A package: what a lock file says of it, or its own package.json."""

    version: str = ""
    optional: bool = False


class _Lock(msgspec.Struct):
    """Packages by their folder; "" is what needs them."""

    packages: dict[str, _Package]


def node_with(folder: Path) -> tuple[str, Path]:
    """Return node, and a copy of `folder` with exactly the packages of its package-lock.json.

    A copy that has lost some of them is made anew. Who comes while it is made waits.

    Raises:
        Unavailable
    """
    node = _program("node", "install Node.js 20 or newer (`apt install nodejs npm`)")
    npm = _program("npm", "install npm (`apt install npm`)")
    pins = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()[:12]
    kept = _CACHE / f"interop-{folder.name}-node-{pins}"
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / f"{kept.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_whole(kept):
            _install(npm, folder, kept)
    for script in folder.glob("*.mjs"):
        shutil.copy(script, kept)
    return node, kept


def _is_whole(kept: Path) -> bool:
    """Whether each package is there, in the version that is locked."""
    try:
        locked, installed = (
            msgspec.json.decode((kept / name).read_bytes(), type=_Lock).packages
            for name in ("package-lock.json", _INSTALLED)
        )
        needed = {path: each for path, each in locked.items() if path and not each.optional} | installed
        return all(
            msgspec.json.decode((kept / path / "package.json").read_bytes(), type=_Package).version == each.version
            for path, each in needed.items()
        )
    except (OSError, msgspec.MsgspecError):
        return False


def _install(npm: str, folder: Path, kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=_CACHE) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, made)
        # With NODE_ENV=production npm would leave out what only builds and checks.
        command = [npm, "ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=made, capture_output=True, check=False, timeout=_INSTALL_S)
        if done.returncode != 0:
            raise Unavailable(f"`{' '.join(command[-5:])}` failed: {done.stderr.decode()[-500:]}")
        if kept.exists():
            kept.rename(Path(temporary) / "stale")
        made.rename(kept)  # at once, so that nobody finds a part of it


def _program(name: str, remedy: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unavailable(remedy)
    return found
