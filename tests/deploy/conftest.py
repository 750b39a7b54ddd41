"""Fixtures: sam in its own environment, and one build of everything."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.programs import ARCHITECTURE, ROOT, SAM, Resources, run


@pytest.fixture(scope="session")
def sam() -> Path:
    """The folder of sam's programs."""
    if not (SAM / "sam").exists():
        pytest.skip("sam is not installed: `make validate` installs it")
    return SAM


@pytest.fixture(scope="session")
def python313() -> str:
    """The functions' Python."""
    for executable in (shutil.which("python3.13"), *Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13")):
        if executable and run(executable, "--version").returncode == 0:
            return str(executable)
    pytest.skip("python3.13 is not installed, and the functions are built with it")


@pytest.fixture(scope="session")
def render(sam: Path) -> Callable[..., Resources]:
    """Return the resources that CloudFormation gets for some parameters."""

    @functools.cache
    def rendered(parameters: str) -> str:
        done = run(sam / "python", ROOT / "tests" / "deploy" / "render.py", ROOT / "template.yaml", parameters)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def resources(**parameters: str) -> Resources:
        rendered_resources: Resources = json.loads(rendered(json.dumps(parameters)))["Resources"]
        return rendered_resources

    return resources


@pytest.fixture(scope="session")
def build(sam: Path, python313: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All functions and layers, built by sam for this machine's architecture."""
    folder = tmp_path_factory.mktemp("sam") / "build"
    overrides = ("--parameter-overrides", f"Architecture={ARCHITECTURE}")
    done = run(sam / "sam", "build", "--build-dir", folder, *overrides)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def stack(render: Callable[..., Resources]) -> Resources:
    """The resources that CloudFormation gets without parameters."""
    return render()
