"""Programs of Node.js with packages from npm, pinned by version and hash: installed once into `.cache/`."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

_CACHE = Path(__file__).parents[1] / ".cache"
_INSTALL_S = 900


class Unavailable(Exception):
    """The packages cannot be installed. The text says what to do, as a part of a sentence."""


def node_with(folder: Path) -> tuple[str, Path]:
    """Return node, and a copy of `folder` with exactly the packages of its package-lock.json.

    Raises:
        Unavailable
    """
    node = _program("node", "install Node.js 20 or newer (`apt install nodejs npm`)")
    npm = _program("npm", "install npm (`apt install npm`)")
    pins = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()[:12]
    kept = _CACHE / f"interop-{folder.name}-node-{pins}"
    if not kept.exists():
        _CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as temporary:
            made = Path(temporary) / "made"
            made.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(folder / name, made)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=made, capture_output=True, check=False, timeout=_INSTALL_S)
            if done.returncode != 0:
                raise Unavailable(f"`{' '.join(command[-4:])}` failed: {done.stderr.decode()[-500:]}")
            # At once, so that nobody finds a part of it. Another process may have been faster.
            with contextlib.suppress(OSError):
                made.rename(kept)
    for script in folder.glob("*.mjs"):
        shutil.copy(script, kept)
    return node, kept


def _program(name: str, remedy: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unavailable(remedy)
    return found
