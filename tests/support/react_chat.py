"""examples/react_chat: its packages, with that of frontend/ beside them, and its page as it is built."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.interop.cached import node_with

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "react_chat"
_BUILD = ("--bundle", "--format=esm", "--jsx=automatic")


def packages() -> tuple[str, Path]:
    """Return node, and a folder whose `node_modules` has what the example needs."""
    node, folder = node_with(EXAMPLE)
    ours, to = folder / "node_modules" / "tailrace", Path("..", "..", "..", "frontend")
    if not ours.is_symlink() or ours.readlink() != to:  # it may be one of another checkout
        made = ours.with_name(f".tailrace-{os.getpid()}")
        made.symlink_to(to)
        made.replace(ours)
    return node, folder


def build(into: Path) -> None:
    """Build the page."""
    _, folder = packages()
    shutil.copy(EXAMPLE / "page.jsx", folder)
    shutil.copy(EXAMPLE / "index.html", into)
    command: list[str | Path] = [folder / "node_modules" / ".bin" / "esbuild", "page.jsx", *_BUILD, f"--outdir={into}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
