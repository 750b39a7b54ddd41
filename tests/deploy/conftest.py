"""Fixtures: sam in its own environment, and one build of everything."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.added_agent import with_added_agent
from tests.deploy.programs import ARCHITECTURE, ROOT, SAM, Resources, run
from tests.deploy.resources import plainly

# Packages of the managed runtime.
RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py")


@pytest.fixture(scope="session")
def sam() -> Path:
    """The folder of sam's programs."""
    if not (SAM / "sam").exists():
        pytest.skip("sam is not installed: `make validate` installs it")
    return SAM


@pytest.fixture(scope="session")
def python313() -> str:
    """The functions' Python."""
    found = run(
        "make", "--silent", "--no-print-directory", "--eval", "which: ; @echo $(python313)", "which"
    ).stdout.strip()
    if found:
        return found
    pytest.skip("python3.13 is not installed, and the functions are built with it")


@pytest.fixture(scope="session")
def render(sam: Path) -> Callable[..., Resources]:
    """Return the resources that CloudFormation gets for some parameters."""

    @functools.cache
    def rendered(parameters: str) -> str:
        done = run(sam / "python", "-m", "tests.deploy.render", ROOT / "template.yaml", parameters)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def resources(**parameters: str) -> Resources:
        rendered_resources: Resources = plainly(json.loads(rendered(json.dumps(parameters)))["Resources"])
        return rendered_resources

    return resources


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project to which an agent was added."""
    return with_added_agent(tmp_path_factory.mktemp("project") / "tree")


@pytest.fixture(scope="session")
def sam_local_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of `make sam-local`."""
    return tmp_path_factory.mktemp("sam")


@pytest.fixture(scope="session")
def build(sam: Path, python313: str, tree: Path, sam_local_data: Path) -> Path:
    """All functions and layers, built by sam for this machine's architecture: by `make sam-local`, if that has run."""
    folder = sam_local_data / "sam-local" / "build"
    if not (folder / "template.yaml").exists():
        overrides = ("--parameter-overrides", f"Architecture={ARCHITECTURE}")
        done = run(sam / "sam", "build", "--build-dir", folder, *overrides, cwd=tree)
        assert done.returncode == 0, done.stderr
        expanded = run(sam / "python", "-m", "deploy.expand", folder / "template.yaml")
        assert expanded.returncode == 0, expanded.stderr
    return folder


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of the managed runtime."""
    folder = tmp_path_factory.mktemp("runtime")
    installed = Path(next(path for path in sys.path if path.endswith("site-packages")))
    for name in RUNTIME:
        (folder / name).symlink_to(installed / name)
    return folder


@pytest.fixture(scope="session")
def stack(render: Callable[..., Resources]) -> Resources:
    """The resources that CloudFormation gets without parameters."""
    return render()
