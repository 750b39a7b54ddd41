"""Fixtures: the layer, built once as `sam build` builds it, and a gate."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.runtime.gate import Gate

_LAYER = Path(__file__).parents[2] / "layers" / "runtime"


def build_layer(folder: Path, python: str) -> Path:
    """Build the layer with its own Makefile; return the folder that becomes /opt."""
    subprocess.run(
        ["make", "--silent", "-C", str(_LAYER), "build-RuntimeLayer", f"ARTIFACTS_DIR={folder}", f"PYTHON={python}"],
        check=True,
    )
    return folder


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer for the Python that runs the tests."""
    return build_layer(tmp_path_factory.mktemp("layer") / "opt", sys.executable)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with Gate() as gate:
        yield gate
