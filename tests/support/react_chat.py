"""The packages of examples/react_chat, and the package of frontend/ beside them."""

from __future__ import annotations

from pathlib import Path

from tests.interop.cached import node_with

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "react_chat"


def packages() -> tuple[str, Path]:
    """Return node, and a folder whose `node_modules` has what the example needs."""
    node, folder = node_with(EXAMPLE)
    ours = folder / "node_modules" / "tailrace"
    if not ours.is_symlink():
        ours.unlink(missing_ok=True)
        ours.symlink_to(ROOT / "frontend")
    return node, folder
