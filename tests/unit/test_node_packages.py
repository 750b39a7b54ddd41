"""The packages of npm are those of the lock file: a copy that has lost or changed one is made anew."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from local import node_packages

LOCKED = {
    "packages": {"": {}, "node_modules/dep": {"version": "2"}, "node_modules/mac": {"version": "1", "optional": True}}
}
# Installs what is locked for this machine, and says so.
NPM = """#!/bin/sh
mkdir -p node_modules/dep
echo '{"version": "2"}' > node_modules/dep/package.json
echo '{"packages": {"node_modules/dep": {"version": "2"}}}' > node_modules/.package-lock.json
echo installed >> "$INSTALLED"
"""


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: (kept / "dep" / "package.json").write_text('{"version": "1"}'),
        lambda kept: (kept / "dep" / "package.json").write_text("{"),
        lambda kept: shutil.rmtree(kept / "dep"),
        lambda kept: (kept / ".package-lock.json").unlink(),  # an installation that was interrupted
        lambda kept: shutil.rmtree(kept.parent),
    ],
)
def test_a_copy_that_is_not_as_locked_is_made_anew(
    damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, programs = tmp_path / "program", tmp_path / "bin"
    for folder in (program, programs):
        folder.mkdir()
    (program / "package.json").write_text("{}")
    (program / "package-lock.json").write_text(json.dumps(LOCKED))
    for name in ("node", "npm"):
        (programs / name).write_text(NPM)
        (programs / name).chmod(0o755)
    log = tmp_path / "log"
    monkeypatch.setattr(node_packages, "_CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("INSTALLED", str(log))
    for _ in range(2):
        _, kept = node_packages.node_with(program)
    assert log.read_text() == "installed\n"
    damage(kept / "node_modules")
    assert node_packages.node_with(program)[1] == kept
    assert json.loads((kept / "node_modules" / "dep" / "package.json").read_text()) == {"version": "2"}
    assert log.read_text() == "installed\n" * 2
