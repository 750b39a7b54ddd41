"""Puts the files that `tailrace new` writes into the wheel; all else is in pyproject.toml."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_ROOT = Path(__file__).parent.resolve()
sys.path.insert(0, str(_ROOT / "layers" / "tailrace"))
from tailrace_start.bundle import SAMCONFIG, TEMPLATE, files_in  # noqa: E402


class BuildWithBundle(build_py):
    """Copies the repository's files into the package `tailrace_start`, and names them for a source distribution."""

    def run(self) -> None:
        super().run()
        for name, file in self._files():
            copy = Path(self.build_lib, "tailrace_start", "bundle", name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), *(str(file.relative_to(_ROOT)) for _, file in self._files())]

    def _files(self) -> list[tuple[str, Path]]:
        return [*files_in(_ROOT), *((name, _ROOT / name) for name in (TEMPLATE, SAMCONFIG))]


setup(cmdclass={"build_py": BuildWithBundle})
